package node

import (
	"context"
	"encoding/base64"

	"strongroom/engine"
	"strongroom/internal/active"
	"strongroom/internal/seal"
	"strongroom/internal/secret"
	"strongroom/internal/sys"
	"strongroom/internal/token"
)

const generateAgain = "\"vault operator generate-root -init\""

// generation is the generation of a root token under way.
type generation struct {
	nonce string
	otp   secret.Bytes // with which the token is XORed; nil with pgp
	pgp   *seal.PGPKey
	given seal.Ceremony
}

func (g *generation) zero() {
	g.given.Reset()
	g.otp.Zero()
}

func (g *generation) status(required int) sys.RootStatus {
	st := sys.RootStatus{Required: required, OTPLength: token.Length}
	if g != nil {
		st.Started, st.Nonce = true, g.nonce
		st.Progress, _ = g.given.Progress()
		if g.pgp != nil {
			st.PGPFingerprint = g.pgp.Fingerprint()
		}
	}
	return st
}

func (n *Node) holdRoot() (*member, seal.Config, func(), error) {
	m, release, err := n.holdCeremonies()
	if err != nil {
		return nil, seal.Config{}, nil, err
	}
	c, ok, err := n.sealConfig(m)
	if err == nil && !ok {
		err = errNotMember
	}
	if err != nil {
		release()
	}
	return m, c, release, err
}

// RootStatus says how far the generation of a root token is.
func (n *Node) RootStatus() (sys.RootStatus, error) {
	_, c, release, err := n.holdRoot()
	if err != nil {
		return sys.RootStatus{}, err
	}
	defer release()
	return n.ceremonies.root.status(c.Threshold), nil
}

// RootInit begins to generate a root token that is handed out XORed with otp, or
// encrypted for the holder of a PGP key; with neither it makes an OTP, which the
// status then holds.
func (n *Node) RootInit(otp, pgpKey string) (sys.RootStatus, error) {
	_, c, release, err := n.holdRoot()
	if err != nil {
		return sys.RootStatus{}, err
	}
	defer release()
	g := &generation{nonce: newNonce(n.ceremonies.term)}
	made := ""
	switch {
	case n.ceremonies.root != nil:
		return sys.RootStatus{}, engine.Invalidf("root generation already in progress: go on with it (\"operator generate-root -status\" shows its nonce), or cancel it first (\"operator generate-root -cancel\")")
	case otp != "" && pgpKey != "":
		return sys.RootStatus{}, engine.Invalidf("give otp or pgp_key, not both")
	case pgpKey != "":
		key, err := seal.ParsePGPKey(pgpKey)
		if err != nil {
			return sys.RootStatus{}, engine.Invalidf("%v", err)
		}
		g.pgp = &key
	case otp == "":
		made = token.OTP()
		g.otp = secret.Bytes(made)
	case len(otp) != token.Length:
		return sys.RootStatus{}, engine.Invalidf("OTP string is %d characters long, but this server's tokens are %d: make one with \"operator generate-root -generate-otp\"", len(otp), token.Length)
	default:
		g.otp = secret.Bytes(otp)
	}
	n.ceremonies.root = g
	n.logger.Info("generation of a root token begun", "nonce", g.nonce)
	st := g.status(c.Threshold)
	st.OTP = made
	return st, nil
}

// RootCancel forgets the generation under way.
func (n *Node) RootCancel() error {
	_, _, release, err := n.holdRoot()
	if err != nil {
		return err
	}
	defer release()
	if g := n.ceremonies.root; g != nil {
		g.zero()
		n.ceremonies.root = nil
		n.logger.Info("generation of a root token cancelled", "nonce", g.nonce)
	}
	return nil
}

// RootUpdate takes one share, which it owns. With the last of them the status is
// complete and holds the token, encoded.
func (n *Node) RootUpdate(ctx context.Context, nonce string, share []byte) (sys.RootStatus, error) {
	m, c, release, err := n.holdRoot()
	if err != nil {
		return sys.RootStatus{}, err
	}
	defer release()
	g := n.ceremonies.root
	if err := n.ceremonies.checkNonce("root generation", nonce, g.status(0).Nonce, generateAgain); err != nil {
		return sys.RootStatus{}, err
	}
	held, err := take(&g.given, share, c.Threshold)
	if err != nil || held == nil {
		return g.status(c.Threshold), err
	}
	defer secret.Bytes(held).Zero()
	if _, _, err := n.prove(ctx, m, held); err != nil {
		return sys.RootStatus{}, err
	}
	root, err := active.IssueRoot(ctx, m.barrier, "")
	if err != nil {
		return sys.RootStatus{}, err
	}
	defer root.Zero()
	st := g.status(c.Threshold)
	st.Progress, st.Complete = c.Threshold, true
	if st.EncodedToken, err = g.encode(root); err != nil {
		return sys.RootStatus{}, err
	}
	st.EncodedRootToken = st.EncodedToken
	n.ceremonies.root = nil
	g.zero()
	n.logger.Info("a root token was generated", "nonce", g.nonce)
	return st, nil
}

// encode makes what only whoever has the OTP or the PGP key can read.
func (g *generation) encode(root secret.Bytes) (string, error) {
	if g.pgp != nil {
		box, err := g.pgp.Encrypt(root)
		return base64.StdEncoding.EncodeToString(box), err
	}
	out := make([]byte, len(root))
	for i := range root {
		out[i] = root[i] ^ g.otp[i]
	}
	return base64.RawStdEncoding.EncodeToString(out), nil
}
