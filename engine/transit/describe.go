package transit

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"strconv"
	"time"

	"strongroom/engine"
)

// describe answers what may be known of k, as a read of it does.
func (b *backend) describe(ctx context.Context, req *engine.Request, k *key) (*engine.Response, error) {
	t := k.Kind.is()
	versions, err := b.versionsOf(ctx, req, k)
	if err != nil {
		return nil, err
	}
	d := map[string]any{
		"name": k.name, "type": k.Kind, "derived": k.Derived, "exportable": k.Exportable, "allow_plaintext_backup": k.PlaintextBackup,
		"deletion_allowed": k.DeletionAllowed, "auto_rotate_period": int64(k.AutoRotate / time.Second), "keys": versions,
		"latest_version": k.Latest, "min_decryption_version": k.MinDecryption, "min_encryption_version": k.MinEncryption, "min_available_version": k.MinAvailable,
		"supports_encryption": t.encrypts, "supports_decryption": t.encrypts, "supports_signing": t.signs, "supports_derivation": t.derives,
		"imported_key": k.Imported,
	}
	if k.Imported {
		d["imported_key_allow_rotation"] = k.AllowRotation
	}
	if k.SoftDeleted { // Vault has no such thing, and no such member
		d["soft_deleted"] = true
	}
	if k.Kind == hmacOnly {
		d["key_size"] = k.Size
	}
	if k.Derived {
		d["kdf"] = "hkdf_sha256"
		d["convergent_encryption"] = k.Convergent
		if k.Convergent {
			d["convergent_encryption_version"] = k.current.convergent
		}
	}
	return &engine.Response{Data: d}, nil
}

// pair is what is shown of a version of an asymmetric key.
type pair struct {
	Name         string    `json:"name"`
	PublicKey    string    `json:"public_key"`
	Certificates string    `json:"certificate_chain"`
	Created      time.Time `json:"creation_time"`
}

// versionsOf describes the versions of k that may be used, by number: a pair, or
// the second in which it was made.
func (b *backend) versionsOf(ctx context.Context, req *engine.Request, k *key) (map[string]any, error) {
	out := make(map[string]any, k.Latest-k.oldest()+1)
	context, err := unbase64(req.Data.String("context"), "context")
	if err != nil {
		return nil, err
	}
	for n := k.oldest(); n <= k.Latest; n++ {
		if k.Kind.symmetric() {
			out[strconv.Itoa(n)] = k.Times[n-k.first()]
			continue
		}
		v, err := b.version(ctx, req.Storage, k, n)
		if err != nil {
			return nil, err
		}
		p := pair{Name: string(k.Kind), Created: v.created.UTC(), Certificates: chainPEM(v.chain)}
		if public, ok := v.public.(*ecdsa.PublicKey); ok {
			p.Name = public.Curve.Params().Name
		}
		switch {
		case !k.Derived:
			p.PublicKey, err = publicText(v.public)
		case len(context) > 0:
			var private ed25519.PrivateKey
			if private, err = v.derivedPair(context); err == nil {
				p.PublicKey, err = publicText(private.Public())
			}
		}
		if err != nil {
			return nil, err
		}
		out[strconv.Itoa(n)] = p
	}
	return out, nil
}

// publicText is a public key as it is shown: PEM, but of Ed25519 the base64 of its 32 bytes.
func publicText(public any) (string, error) {
	if e, ok := public.(ed25519.PublicKey); ok {
		return base64.StdEncoding.EncodeToString(e), nil
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return "", fmt.Errorf("transit: encode public key: %w", err)
	}
	return pemText("PUBLIC KEY", der), nil
}

func pemText(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// chainPEM is a chain of certificates as PEM, the first first.
func chainPEM(chain [][]byte) string {
	s := ""
	for _, der := range chain {
		s += pemText("CERTIFICATE", der)
	}
	return s
}

// derivedPair is the Ed25519 pair that belongs to context.
func (v *version) derivedPair(context []byte) (ed25519.PrivateKey, error) {
	private, err := v.usable()
	if err != nil {
		return nil, err
	}
	// What Vault derives from is the private key as Go keeps it: seed and public key.
	seed, err := derive(private.(ed25519.PrivateKey), context, ed25519.SeedSize)
	if err != nil {
		return nil, err
	}
	defer clear(seed)
	return ed25519.NewKeyFromSeed(seed), nil
}
