package transit

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"slices"
	"strconv"
	"time"

	"strongroom/engine"
)

// A backup is the base64 of Vault's own JSON, so that keys move between the two:
// the key with those versions that may decrypt, and the archive, a list of all
// versions from the oldest, which begins with a blank unless the key was trimmed.

type backup struct {
	Policy  policy  `json:"policy"`
	Archive archive `json:"archived_keys"`
}

// Format prints nothing of the key material.
func (*backup) Format(f fmt.State, _ rune) { io.WriteString(f, "[backup]") }

type archive struct {
	Keys []entry `json:"keys"`
}

type policy struct {
	Name              string           `json:"name"`
	Size              int              `json:"key_size,omitempty"`
	Keys              map[string]entry `json:"keys"`
	Derived           bool             `json:"derived"`
	KDF               int              `json:"kdf"` // hkdf
	Convergent        bool             `json:"convergent_encryption"`
	Exportable        bool             `json:"exportable"`
	MinDecryption     int              `json:"min_decryption_version"`
	MinEncryption     int              `json:"min_encryption_version"`
	Latest            int              `json:"latest_version"`
	ArchiveVersion    int              `json:"archive_version"`
	ArchiveMinVersion int              `json:"archive_min_version"`
	MinAvailable      int              `json:"min_available_version"`
	DeletionAllowed   bool             `json:"deletion_allowed"`
	SoftDeleted       bool             `json:"soft_deleted,omitempty"` // OpenBao's
	ConvergentVersion int              `json:"convergent_version"`     // -1: each version has its own
	Kind              int              `json:"type"`
	BackupInfo        struct {
		Time    time.Time `json:"time"`
		Version int       `json:"version"`
	} `json:"backup_info"`
	PlaintextBackup bool          `json:"allow_plaintext_backup"`
	AutoRotate      time.Duration `json:"auto_rotate_period"`
	Imported        bool          `json:"Imported"`
	AllowRotation   bool          `json:"AllowImportedKeyRotation"`
}

type entry struct {
	Key               []byte         `json:"key"` // symmetric, or an Ed25519 private key
	HMACKey           []byte         `json:"hmac_key"`
	Time              time.Time      `json:"time"`
	X                 *big.Int       `json:"ec_x"`
	Y                 *big.Int       `json:"ec_y"`
	D                 *big.Int       `json:"ec_d"`
	RSA               *rsaPrivate    `json:"rsa_key"`
	RSAPublic         *rsa.PublicKey `json:"rsa_public_key"`
	PublicKey         string         `json:"public_key"`
	ConvergentVersion int            `json:"convergent_version"`
	Created           int64          `json:"creation_time"`
	Chain             [][]byte       `json:"certificate_chain,omitempty"`
}

// rsaPrivate is an RSA key as numbers.
type rsaPrivate struct {
	N      *big.Int
	E      int
	D      *big.Int
	Primes []*big.Int
}

// hkdfNumber is the number of HKDF-SHA256 among Vault's ways to derive keys.
const hkdfNumber = 1

// refusal is what clients know these refusals by: 500, as Vault has it, though the
// request is at fault.
func refusal(format string, args ...any) error {
	return engine.Errorf(engine.Internal, format, args...)
}

func (b *backend) backup(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	k, err := b.load(ctx, req.Storage, req.Data.String("name"))
	switch {
	case err != nil:
		return nil, err
	case k == nil:
		return nil, refusal("invalid key %q", req.Data.String("name"))
	case !k.Exportable:
		return nil, refusal("exporting is disallowed on the policy")
	case !k.PlaintextBackup:
		return nil, refusal("plaintext backup is disallowed on the policy")
	}
	out := &backup{Policy: policy{
		Name: k.name, Size: k.Size, Keys: map[string]entry{}, Derived: k.Derived, Convergent: k.Convergent, Exportable: k.Exportable, PlaintextBackup: k.PlaintextBackup,
		MinDecryption: k.MinDecryption, MinEncryption: k.MinEncryption, Latest: k.Latest, ArchiveVersion: k.Latest, ArchiveMinVersion: k.MinAvailable,
		MinAvailable: k.MinAvailable, DeletionAllowed: k.DeletionAllowed, SoftDeleted: k.SoftDeleted, Kind: k.Kind.is().number, AutoRotate: k.AutoRotate, Imported: k.Imported, AllowRotation: k.AllowRotation,
	}}
	if k.Derived {
		out.Policy.KDF = hkdfNumber
	}
	if k.Convergent {
		out.Policy.ConvergentVersion = -1
	}
	out.Policy.BackupInfo.Time, out.Policy.BackupInfo.Version = time.Now(), k.Latest
	if k.MinAvailable == 0 {
		out.Archive.Keys = append(out.Archive.Keys, entry{})
	}
	for n := k.first(); n <= k.Latest; n++ {
		v, err := b.version(ctx, req.Storage, k, n)
		if err != nil {
			return nil, err
		}
		e, err := v.entry()
		if err != nil {
			return nil, err
		}
		out.Archive.Keys = append(out.Archive.Keys, e)
		if n >= k.MinDecryption {
			out.Policy.Keys[strconv.Itoa(n)] = e
		}
	}
	raw, err := json.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("transit: encode backup: %w", err)
	}
	defer clear(raw)
	return &engine.Response{Data: map[string]string{"backup": base64.StdEncoding.EncodeToString(raw)}}, nil
}

// entry is v as a backup has it.
func (v *version) entry() (e entry, err error) {
	e = entry{Key: v.secret, HMACKey: v.hmac, Time: v.created, Created: v.created.Unix(), ConvergentVersion: v.convergent, Chain: v.chain}
	switch public := v.public.(type) {
	case *rsa.PublicKey:
		e.RSAPublic = public
		if p, ok := v.private.(*rsa.PrivateKey); ok {
			e.RSA = &rsaPrivate{p.N, p.E, p.D, p.Primes}
		}
	case *ecdsa.PublicKey:
		if e.PublicKey, err = publicText(public); err != nil {
			return e, err
		}
		point, err := public.Bytes()
		if err != nil {
			return e, fmt.Errorf("transit: encode public key: %w", err)
		}
		size := fieldSize(public)
		e.X, e.Y = new(big.Int).SetBytes(point[1:1+size]), new(big.Int).SetBytes(point[1+size:])
		if p, ok := v.private.(*ecdsa.PrivateKey); ok {
			d, err := p.Bytes()
			if err != nil {
				return e, fmt.Errorf("transit: encode private key: %w", err)
			}
			e.D = new(big.Int).SetBytes(d)
			clear(d)
		}
	case ed25519.PublicKey:
		e.PublicKey, err = publicText(public)
		if p, ok := v.private.(ed25519.PrivateKey); ok {
			e.Key = p
		}
	}
	return e, err
}

// version is the version of a key of kind k that e holds. convergent is how it
// makes nonces if e does not say.
func (e *entry) version(k kind, convergent int) (*version, error) {
	v := &version{created: e.Time, hmac: e.HMACKey, chain: e.Chain, convergent: e.ConvergentVersion}
	if v.convergent == 0 {
		v.convergent = convergent
	}
	if v.created.IsZero() {
		v.created = time.Unix(e.Created, 0)
	}
	var err error
	switch t := k.is(); {
	case k.symmetric():
		v.secret = e.Key
	case t.bits > 0:
		err = v.setRSA(e)
	case t.curve != nil:
		err = v.setECDSA(e, t.curve)
	case len(e.Key) == ed25519.PrivateKeySize:
		v.private = ed25519.NewKeyFromSeed(e.Key[:ed25519.SeedSize])
	}
	if err == nil {
		err = v.prepare(k)
	}
	if err == nil && len(v.hmac) == 0 {
		v.hmac = random(hmacSize) // as of keys that are older than HMACs
	}
	return v, err
}

func (v *version) setRSA(e *entry) error {
	if e.RSA == nil {
		if e.RSAPublic == nil || e.RSAPublic.N == nil || e.RSAPublic.E < 3 {
			return errKind
		}
		v.public = e.RSAPublic
		return nil
	}
	p := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: e.RSA.N, E: e.RSA.E}, D: e.RSA.D, Primes: e.RSA.Primes}
	if p.N == nil || p.D == nil || len(p.Primes) != 2 || slices.Contains(p.Primes, nil) {
		return errKind
	}
	p.Precompute()
	v.private = p
	return p.Validate()
}

func (v *version) setECDSA(e *entry, curve elliptic.Curve) (err error) {
	size := (curve.Params().BitSize + 7) / 8
	fits := func(n *big.Int) bool { return n != nil && n.Sign() >= 0 && n.BitLen() <= 8*size }
	if e.D != nil {
		if !fits(e.D) {
			return errKind
		}
		v.private, err = ecdsa.ParseRawPrivateKey(curve, e.D.FillBytes(make([]byte, size)))
		return err
	}
	if !fits(e.X) || !fits(e.Y) {
		return errKind
	}
	point := make([]byte, 1+2*size)
	point[0] = 4 // uncompressed
	e.X.FillBytes(point[1 : 1+size])
	e.Y.FillBytes(point[1+size:])
	v.public, err = ecdsa.ParseUncompressedPublicKey(curve, point)
	return err
}

var errBackup = engine.Invalidf("the backup is malformed: it must be what backup has answered, whole")

func (b *backend) restore(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	d := req.Data
	k, versions, err := parseBackup(d.String("backup"))
	if err != nil {
		return nil, err
	}
	if s := d.String("name"); s != "" {
		k.name = s
	}
	if !validName(k.name) {
		return nil, errName
	}
	had, err := open(ctx, req.Storage, k.name)
	if err != nil {
		return nil, err
	}
	if had != nil {
		if !d.Bool("force") {
			return nil, refusal("key %q already exists", k.name)
		}
		had.erase(req)
	}
	first := k.Latest - len(versions) + 1
	for i, v := range versions {
		if err := k.put(req.Storage, first+i, v); err != nil {
			return nil, err
		}
	}
	return nil, k.save(req, 0)
}

// parseBackup reads a backup into a key without its versions, and those from the
// oldest to the latest.
func parseBackup(text string) (*key, []*version, error) {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, nil, errBackup
	}
	defer clear(raw)
	var in backup
	if err := json.Unmarshal(raw, &in); err != nil {
		return nil, nil, errBackup
	}
	p := &in.Policy
	k := &key{
		name: p.Name, Derived: p.Derived, Convergent: p.Convergent, Exportable: p.Exportable, PlaintextBackup: p.PlaintextBackup, DeletionAllowed: p.DeletionAllowed, SoftDeleted: p.SoftDeleted,
		Imported: p.Imported, AllowRotation: p.AllowRotation, AutoRotate: p.AutoRotate, MinDecryption: max(p.MinDecryption, 1), MinEncryption: p.MinEncryption,
		MinAvailable: p.MinAvailable, Latest: p.Latest,
	}
	var ok bool
	if k.Kind, ok = numbered(p.Kind); !ok {
		return nil, nil, engine.Invalidf("the backup holds a key of a type that this server does not have")
	}
	if p.Derived && p.KDF != hkdfNumber {
		return nil, nil, engine.Invalidf("the backup holds a key that is derived by a method of Vault before 0.6, which this server does not have: decrypt its data there")
	}
	first := max(p.MinAvailable, 1)
	count := k.Latest - first + 1
	switch t := k.Kind.is(); {
	case k.Latest < 1, count < 1, count > len(in.Archive.Keys)+len(p.Keys),
		k.MinDecryption > k.Latest, k.MinDecryption < first, k.MinEncryption < 0, k.MinEncryption > k.Latest, k.MinEncryption > 0 && k.MinEncryption < k.MinDecryption,
		k.Derived && !t.derives, k.Convergent && (!k.Derived || !t.encrypts), k.AutoRotate != 0 && (k.AutoRotate < minRotate || k.mayRotate() != nil):
		return nil, nil, errBackup
	}
	versions, err := in.versions(k, first)
	if err != nil {
		return nil, nil, errBackup
	}
	return k, versions, nil
}

// versions are those of k from first.
func (in *backup) versions(k *key, first int) ([]*version, error) {
	convergent := 0
	if k.Convergent {
		convergent = 1
		if c := in.Policy.ConvergentVersion; c > 0 {
			convergent = c
		}
	}
	var versions []*version
	for n := first; n <= k.Latest; n++ {
		e, ok := in.Policy.Keys[strconv.Itoa(n)]
		if i := n - in.Policy.MinAvailable; !ok && i < len(in.Archive.Keys) {
			e, ok = in.Archive.Keys[i], true
		}
		if !ok {
			return nil, errBackup
		}
		v, err := e.version(k.Kind, convergent)
		if err != nil {
			return nil, err
		}
		if !k.Convergent {
			v.convergent = 0
		}
		if v.convergent < 0 || v.convergent > currentConvergent {
			return nil, errBackup
		}
		versions = append(versions, v)
		k.Times = append(k.Times, v.created.Unix())
		k.Size = sizeOf(k.Kind, v)
	}
	return versions, nil
}
