package node

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"time"

	"strongroom/engine"
	"strongroom/internal/seal"
	"strongroom/internal/secret"
	"strongroom/internal/storage"
	"strongroom/internal/sys"
)

const rekeyAgain = "\"vault operator rekey -init\""

// RekeyRequest is what a rekey is to make.
type RekeyRequest struct {
	SecretShares        int      `json:"secret_shares"`
	SecretThreshold     int      `json:"secret_threshold"`
	StoredShares        int      `json:"stored_shares"` // ignored: every auto seal stores what it needs
	PGPKeys             []string `json:"pgp_keys"`
	Backup              bool     `json:"backup"`
	RequireVerification bool     `json:"require_verification"`
}

// rekey is a rekey under way.
type rekey struct {
	nonce          string
	to             seal.Config // Shares and Threshold of the new key
	pgp            []seal.PGPKey
	fingerprints   []string
	backup, verify bool
	given          seal.Ceremony // of the present shares

	// Between the shares and the end of the verification:
	key         seal.Key // the new one, not in force yet
	proven      uint64   // version of core/seal that the present shares opened
	saved       *sys.RekeyBackup
	verifyNonce string
	verified    seal.Ceremony // of the new shares
}

func (r *rekey) zero() {
	r.given.Reset()
	r.verified.Reset()
	secret.Bytes(r.key).Zero()
}

func (r *rekey) status(required int) sys.RekeyStatus {
	if r == nil {
		return sys.RekeyStatus{Required: required}
	}
	progress, _ := r.given.Progress()
	return sys.RekeyStatus{Nonce: r.nonce, Started: true, T: r.to.Threshold, N: r.to.Shares, Progress: progress, Required: required,
		PGPFingerprints: r.fingerprints, Backup: r.backup, VerificationRequired: r.verify, VerificationNonce: r.verifyNonce}
}

// holdRekey locks the ceremonies and reads the seal; recovery says whose shares the
// caller means, the recovery key's or the unseal key's.
func (n *Node) holdRekey(ctx context.Context, recovery bool) (*member, seal.Config, func(), error) {
	m, release, err := n.holdCeremonies()
	if err != nil {
		return nil, seal.Config{}, nil, err
	}
	c, ok, err := n.sealConfig(m)
	switch {
	case err == nil && !ok:
		err = errNotMember
	case err == nil && recovery && !c.Auto():
		err = engine.Invalidf("recovery rekeying not supported: this cluster has unseal keys and no recovery keys; rekey those, with -target=barrier")
	case err == nil && !recovery && c.Auto():
		err = engine.Invalidf("this cluster unseals itself (%s) and has no unseal keys to share: rekey its recovery keys, with -target=recovery", c.Type)
	}
	if err != nil {
		release()
		return nil, c, nil, err
	}
	return m, c, release, nil
}

// RekeyStatus says how far a rekey is.
func (n *Node) RekeyStatus(ctx context.Context, recovery bool) (sys.RekeyStatus, error) {
	_, c, release, err := n.holdRekey(ctx, recovery)
	if err != nil {
		return sys.RekeyStatus{}, err
	}
	defer release()
	return n.ceremonies.rekey.status(c.Threshold), nil
}

// RekeyInit begins a rekey.
func (n *Node) RekeyInit(ctx context.Context, recovery bool, req RekeyRequest) (sys.RekeyStatus, error) {
	_, c, release, err := n.holdRekey(ctx, recovery)
	if err != nil {
		return sys.RekeyStatus{}, err
	}
	defer release()
	if n.ceremonies.rekey != nil {
		return sys.RekeyStatus{}, engine.Invalidf("rekey already in progress: go on with it (\"operator rekey -status\" shows its nonce), or cancel it first (\"operator rekey -cancel\")")
	}
	r := &rekey{to: seal.Config{Shares: req.SecretShares, Threshold: req.SecretThreshold}, backup: req.Backup, verify: req.RequireVerification}
	if err := r.to.Validate(); err != nil {
		return sys.RekeyStatus{}, engine.Invalidf("%v", err)
	}
	if r.pgp, err = seal.ParsePGPKeys(req.PGPKeys, r.to.Shares); err != nil {
		return sys.RekeyStatus{}, engine.Invalidf("%v", err)
	}
	if r.backup && len(r.pgp) == 0 {
		return sys.RekeyStatus{}, engine.Invalidf("cannot request a backup of the new keys without providing PGP keys for encryption")
	}
	for _, k := range r.pgp {
		r.fingerprints = append(r.fingerprints, k.Fingerprint())
	}
	r.nonce = newNonce(n.ceremonies.term)
	n.ceremonies.rekey = r
	n.logger.Info("rekey begun", "nonce", r.nonce, "shares", r.to.Shares, "threshold", r.to.Threshold)
	return r.status(c.Threshold), nil
}

// RekeyCancel forgets the rekey under way, whichever keys it is of: the stock client
// cancels a recovery key's rekey at the path of the other. nonce may be empty.
func (n *Node) RekeyCancel(nonce string) error {
	_, release, err := n.holdCeremonies()
	if err != nil {
		return err
	}
	defer release()
	r := n.ceremonies.rekey
	if r == nil {
		return nil
	}
	if nonce != "" && nonce != r.nonce {
		return n.ceremonies.checkNonce("rekey", nonce, r.nonce, rekeyAgain)
	}
	r.zero()
	n.ceremonies.rekey = nil
	n.logger.Info("rekey cancelled", "nonce", r.nonce)
	return nil
}

// RekeyUpdate takes one present share, which it owns. With the last of them the
// result is not nil: the new key is in force, unless it is to be verified first.
func (n *Node) RekeyUpdate(ctx context.Context, recovery bool, nonce string, share []byte) (sys.RekeyStatus, *sys.RekeyResult, error) {
	m, c, release, err := n.holdRekey(ctx, recovery)
	if err != nil {
		return sys.RekeyStatus{}, nil, err
	}
	defer release()
	r := n.ceremonies.rekey
	if err := n.ceremonies.checkNonce("rekey", nonce, r.status(0).Nonce, rekeyAgain); err != nil {
		return sys.RekeyStatus{}, nil, err
	}
	if r.key != nil {
		return sys.RekeyStatus{}, nil, engine.Invalidf("the present key shares have all been given: enter the new ones now, with \"operator rekey -verify -nonce=%s\"", r.verifyNonce)
	}
	held, err := take(&r.given, share, c.Threshold)
	if err != nil || held == nil {
		return r.status(c.Threshold), nil, err
	}
	defer secret.Bytes(held).Zero()
	if _, r.proven, err = n.prove(ctx, m, held); err != nil {
		return sys.RekeyStatus{}, nil, err
	}
	res, err := n.deal(ctx, m, r)
	return r.status(c.Threshold), res, err
}

// deal makes the new key and its shares, and puts it in force if that is all.
func (n *Node) deal(ctx context.Context, m *member, r *rekey) (*sys.RekeyResult, error) {
	key, shares, err := seal.Deal(r.to)
	if err != nil {
		return nil, err
	}
	if shares, _, err = seal.EncryptShares(shares, r.pgp); err != nil {
		secret.Bytes(key).Zero()
		return nil, engine.Invalidf("%v", err)
	}
	res := &sys.RekeyResult{Nonce: r.nonce, Complete: true, PGPFingerprints: r.fingerprints, Backup: r.backup, VerificationRequired: r.verify}
	for _, s := range shares {
		res.Keys, res.KeysB64 = append(res.Keys, hex.EncodeToString(s)), append(res.KeysB64, base64.StdEncoding.EncodeToString(s))
		clear(s)
	}
	if r.backup {
		r.saved = &sys.RekeyBackup{Nonce: r.nonce, Keys: map[string][]string{}, KeysB64: map[string][]string{}}
		for i, f := range r.fingerprints {
			r.saved.Keys[f], r.saved.KeysB64[f] = append(r.saved.Keys[f], res.Keys[i]), append(r.saved.KeysB64[f], res.KeysB64[i])
		}
	}
	r.key = key
	if r.verify {
		r.verifyNonce = newNonce(n.ceremonies.term)
		res.VerificationNonce = r.verifyNonce
		return res, nil
	}
	if err := n.finishRekey(ctx, m, r); err != nil {
		return nil, err
	}
	return res, nil
}

// finishRekey puts the new key in force and ends the ceremony, however that went:
// nobody but the caller has shares of the new key, and to whom it fails has none.
func (n *Node) finishRekey(ctx context.Context, m *member, r *rekey) error {
	wrote, err := rewriteKeys(ctx, m, r)
	if errors.Is(err, storage.ErrUnknownOutcome) {
		err = n.settleRekey(m, wrote, err)
	}
	r.zero()
	n.ceremonies.rekey = nil
	switch {
	case errors.Is(err, storage.ErrConflict):
		return engine.Errorf(engine.Unavailable, "leadership, the seal or the keyring changed at the same moment, and nothing was rekeyed: the present key shares are still in force. Start again with %s", rekeyAgain)
	case errors.Is(err, storage.ErrUnknownOutcome):
		return &engine.Error{Kind: engine.Internal, Err: err, Text: "the active node was lost while the new keys were stored, and the outcome could not be learned: seal and restart no node before you know that the present key shares " +
			"are still in force (\"vault operator generate-root\" takes them; cancel it then). With \"rekey -init -verify\" this cannot happen"}
	case err != nil:
		return err
	}
	if err := m.barrier.Refresh(ctx); err != nil {
		n.logger.Error("cannot follow the new keyring", "error", err)
	}
	n.logger.Info("rekeyed: new key shares are in force", "nonce", r.nonce, "shares", r.to.Shares, "threshold", r.to.Threshold)
	return nil
}

// rewriteKeys stores, in one batch, what puts r's key in force. For Shamir that is
// a new unseal key, a new root key and a new join key; the data stays as it is. With
// an auto seal it is a new recovery key alone.
// wrote is one of its writes, which no other batch can have made: its box is fresh.
func rewriteKeys(ctx context.Context, m *member, r *rekey) (wrote storage.Write, err error) {
	tx := storage.Begin(m.store)
	var c seal.Config
	if _, err := storage.GetJSON(ctx, tx, sealPath, &c); err != nil {
		return wrote, err
	}
	if version, err := tx.Version(ctx, sealPath); err != nil || version != r.proven {
		return wrote, errors.Join(err, storage.ErrConflict)
	}
	c.Shares, c.Threshold = r.to.Shares, r.to.Threshold
	path, backup := recoveryPath, sys.RecoveryBackupPath
	value := r.key.Verifier()
	if !c.Auto() {
		root := secret.NewKey()
		defer root.Zero()
		if err := m.barrier.Rekey(ctx, tx, root); err != nil {
			return wrote, err
		}
		if c.Wrapped, err = r.key.Wrap(ctx, root); err != nil {
			return wrote, err
		}
		path, value, backup = joinPath, r.key.JoinKey(), sys.BarrierBackupPath
	}
	box, err := m.barrier.Encrypt(path, value)
	clear(value)
	if err != nil {
		return wrote, err
	}
	wrote = storage.Write{Key: path, Value: box}
	tx.Put(path, box)
	if err := putBackup(tx, m, backup, r.saved); err != nil {
		return wrote, err
	}
	if err := storage.PutJSON(tx, sealPath, c); err != nil {
		return wrote, err
	}
	return wrote, tx.Commit(ctx)
}

// settleLimit is how long a rekey whose leader lost its place while it was stored
// waits for the next one, which knows what became of it.
const settleLimit = 20 * time.Second

// settleRekey finds out what became of a batch whose outcome is unknown: once a
// leader, this node or a later one, has had an entry applied, every batch before
// is in its state or will never be. unknown is returned if there is none in time. It
// waits even if the client has gone: nobody else has the new shares.
func (n *Node) settleRekey(m *member, wrote storage.Write, unknown error) error {
	ctx, cancel := context.WithTimeout(n.ctx, settleLimit)
	defer cancel()
	err := poll(ctx, settleLimit, func() (bool, error) { return m.store.Barrier(ctx) == nil || n.CatchUp(ctx) == nil, nil })
	if err != nil {
		return unknown
	}
	e, err := m.store.Get(ctx, wrote.Key)
	switch {
	case err != nil:
		return errors.Join(unknown, err)
	case bytes.Equal(e.Value, wrote.Value):
		return nil
	}
	return storage.ErrConflict // it was not stored, and never will be
}

// putBackup keeps the encrypted shares, or, without, deletes those of a rekey before:
// they are of a key that opens nothing any more.
func putBackup(tx *storage.Tx, m *member, path string, saved *sys.RekeyBackup) error {
	if saved == nil {
		tx.Delete(path)
		return nil
	}
	text, err := json.Marshal(saved)
	if err != nil {
		return err
	}
	return putInside(tx, m.barrier, path, text)
}

// holdVerification locks a rekey whose new shares are to be verified; r is nil if
// there is none.
func (n *Node) holdVerification(ctx context.Context, recovery bool) (m *member, r *rekey, release func(), err error) {
	m, _, release, err = n.holdRekey(ctx, recovery)
	if err != nil {
		return nil, nil, nil, err
	}
	if r = n.ceremonies.rekey; r != nil && r.key == nil {
		r = nil
	}
	return m, r, release, nil
}

func (r *rekey) verifyStatus() sys.VerifyStatus {
	if r == nil {
		return sys.VerifyStatus{}
	}
	progress, _ := r.verified.Progress()
	return sys.VerifyStatus{Nonce: r.verifyNonce, Started: true, T: r.to.Threshold, N: r.to.Shares, Progress: progress}
}

// RekeyVerifyStatus says how far the verification of new shares is.
func (n *Node) RekeyVerifyStatus(ctx context.Context, recovery bool) (sys.VerifyStatus, error) {
	_, r, release, err := n.holdVerification(ctx, recovery)
	if err != nil {
		return sys.VerifyStatus{}, err
	}
	defer release()
	if n.ceremonies.rekey == nil {
		return sys.VerifyStatus{}, n.ceremonies.checkNonce("rekey", "", "", rekeyAgain)
	}
	return r.verifyStatus(), nil
}

// RekeyVerifyCancel forgets the new shares given so far, and gives the
// verification a new nonce; the rekey goes on.
func (n *Node) RekeyVerifyCancel(ctx context.Context, recovery bool) (sys.VerifyStatus, error) {
	_, r, release, err := n.holdVerification(ctx, recovery)
	if err != nil {
		return sys.VerifyStatus{}, err
	}
	defer release()
	if r != nil {
		r.verified.Reset()
		r.verifyNonce = newNonce(n.ceremonies.term)
	}
	return r.verifyStatus(), nil
}

// RekeyVerify takes one of the new shares, which it owns. With the last of them the
// new key is in force and the status complete.
func (n *Node) RekeyVerify(ctx context.Context, recovery bool, nonce string, share []byte) (sys.VerifyStatus, error) {
	m, r, release, err := n.holdVerification(ctx, recovery)
	if err != nil {
		return sys.VerifyStatus{}, err
	}
	defer release()
	if err := n.ceremonies.checkNonce("rekey verification", nonce, r.verifyStatus().Nonce, rekeyAgain); err != nil {
		return sys.VerifyStatus{}, err
	}
	held, err := take(&r.verified, share, r.to.Threshold)
	if err != nil || held == nil {
		return r.verifyStatus(), err
	}
	defer secret.Bytes(held).Zero()
	if subtle.ConstantTimeCompare(held, r.key) != 1 {
		return sys.VerifyStatus{}, engine.Invalidf("the shares are not all of the new key: at least one of them is wrong, and which one cannot be told; all %d were discarded: enter them again, or cancel the rekey. The present key shares are still in force", r.to.Threshold)
	}
	done := r.verifyStatus()
	done.Complete, done.Progress = true, r.to.Threshold
	return done, n.finishRekey(ctx, m, r)
}
