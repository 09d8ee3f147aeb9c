package transit

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"strconv"

	"strongroom/engine"
	"strongroom/engine/transit/keywrap"
)

// The sorts of keys that export gives.
const (
	encryptionKey    = "encryption-key"
	signingKey       = "signing-key"
	hmacKey          = "hmac-key"
	publicKey        = "public-key"
	certificateChain = "certificate-chain"
)

// exportRoutes are export, byok-export, backup and restore.
func (b *backend) exportRoutes() []engine.Route {
	version := engine.Field{Name: "version", Help: "Number of a version, or latest; all if left out."}
	exported := []engine.Field{{Name: "type", Help: "encryption-key, signing-key, hmac-key, public-key or certificate-chain."}, name("Name of the key."), version}
	wrapped := []engine.Field{{Name: "destination", Help: "Name of the RSA key to wrap for."}, {Name: "source", Help: "Name of the key to wrap."}, version,
		{Name: "hash", Default: "SHA256", Help: "Hash of the RSA-OAEP: SHA1, SHA224, SHA256, SHA384 or SHA512."}}
	restored := []engine.Field{{Name: "name", Help: "Name of the restored key; that of the backup if left out."}, {Name: "backup", Required: true, Help: "What backup answered, here or on Vault."},
		{Name: "force", Type: engine.Bool, Help: "Replace a key of that name."}}
	material := engine.Answers{engine.Read: exportedKey{}}
	return []engine.Route{
		{Path: "export/{type}/{name}", Help: "The material of an exportable key.", Fields: exported, Answers: material, Read: b.export},
		{Path: "export/{type}/{name}/{version}", Help: "The material of one version of an exportable key.", Fields: exported, Answers: material, Read: b.export},
		{Path: "byok-export/{destination}/{source}", Help: "The material of an exportable key, wrapped for import elsewhere.", Fields: wrapped, Answers: material, Read: b.exportWrapped},
		{Path: "byok-export/{destination}/{source}/{version}", Help: "The material of one version, wrapped for import elsewhere.", Fields: wrapped, Answers: material, Read: b.exportWrapped},
		{Path: "backup/{name}", Help: "A whole key, in plaintext.", Fields: []engine.Field{name("Name of the key.")}, Answers: engine.Answers{engine.Read: backupInfo{}}, Read: b.backup},
		{Path: "restore", Help: "Make a key of a backup.", Fields: restored, Answers: engine.Answers{engine.Update: engine.Nothing{}}, Write: b.restore},
		{Path: "restore/{name}", Help: "Make a key of a backup.", Fields: restored, Answers: engine.Answers{engine.Update: engine.Nothing{}}, Write: b.restore},
	}
}

func (b *backend) export(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	sort := req.Data.String("type")
	switch sort {
	case encryptionKey, signingKey, hmacKey, publicKey, certificateChain:
	case "cmac-key":
		return nil, engine.Invalidf("CMAC is an Enterprise feature of Vault that this server does not have")
	default:
		return nil, engine.Invalidf("invalid export type: %s", strconv.Quote(sort))
	}
	k, err := b.load(ctx, req.Storage, req.Data.String("name"))
	if err != nil {
		return nil, err
	}
	if k == nil {
		return nil, engine.ErrNotFound
	}
	if err := k.refuseDeleted(); err != nil {
		return nil, err
	}
	if !k.Exportable && sort != publicKey && sort != certificateChain {
		return nil, engine.Invalidf("private key material is not exportable")
	}
	return b.exportVersions(ctx, req, k, func(v *version) (string, error) { return v.export(k, sort) })
}

// exportVersions answers what show makes of the versions of k that req asks for.
func (b *backend) exportVersions(ctx context.Context, req *engine.Request, k *key, show func(*version) (string, error)) (*engine.Response, error) {
	from, to := k.oldest(), k.Latest
	switch wanted := req.Data.String("version"); wanted {
	case "":
	case "latest":
		from = to
	default:
		n, err := strconv.Atoi(wanted)
		switch {
		case err != nil:
			return nil, engine.Invalidf("invalid key version: it must be a number or latest")
		case n < k.MinDecryption:
			return nil, engine.Invalidf("version for export is below minimum decryption version")
		case n < from || n > to:
			return nil, engine.Invalidf("version does not exist or cannot be found")
		}
		from, to = n, n
	}
	keys := make(map[string]string, to-from+1)
	for n := from; n <= to; n++ {
		v, err := b.version(ctx, req.Storage, k, n)
		if err != nil {
			return nil, err
		}
		if keys[strconv.Itoa(n)], err = show(v); err != nil {
			return nil, err
		}
	}
	return &engine.Response{Data: map[string]any{"name": k.name, "type": k.Kind, "keys": keys}}, nil
}

// export is the key of the given sort that v has, as text.
func (v *version) export(k *key, sort string) (string, error) {
	t := k.Kind.is()
	switch sort {
	case hmacKey:
		return base64.StdEncoding.EncodeToString(v.hmac), nil
	case encryptionKey:
		if !t.encrypts {
			return "", engine.Invalidf("encryption not supported for the key: %v", k.Kind)
		}
		if t.size > 0 {
			return base64.StdEncoding.EncodeToString(v.secret), nil
		}
		return v.privateText()
	case signingKey:
		if !t.signs {
			return "", engine.Invalidf("signing not supported for the key: %v", k.Kind)
		}
		return v.privateText()
	}
	if v.public == nil {
		return "", engine.Invalidf("unknown key type %v for export type %s: it has no public key", k.Kind, sort)
	}
	if sort == certificateChain {
		if len(v.chain) == 0 {
			return "", engine.Invalidf("selected key version does not have a certificate chain: set one with keys/%s/set-certificate", k.name)
		}
		return chainPEM(v.chain), nil
	}
	return publicText(v.public)
}

// privateText is a private key as it is exported: PEM (PKCS #1 or SEC 1), but of
// Ed25519 the base64 of its 64 bytes.
func (v *version) privateText() (string, error) {
	private, err := v.usable()
	if err != nil {
		return "", err
	}
	switch private := private.(type) {
	case *rsa.PrivateKey:
		der := x509.MarshalPKCS1PrivateKey(private)
		defer clear(der)
		return pemText("RSA PRIVATE KEY", der), nil
	case *ecdsa.PrivateKey:
		der, err := x509.MarshalECPrivateKey(private)
		if err != nil {
			return "", fmt.Errorf("transit: encode private key: %w", err)
		}
		defer clear(der)
		return pemText("EC PRIVATE KEY", der), nil
	case ed25519.PrivateKey:
		return base64.StdEncoding.EncodeToString(private), nil
	}
	return "", errKind
}

// material is what import takes of v: the secret, or the private key in PKCS #8.
// The caller wipes it.
func (v *version) material() ([]byte, error) {
	if v.public == nil {
		return append([]byte(nil), v.secret...), nil
	}
	private, err := v.usable()
	if err != nil {
		return nil, err
	}
	return x509.MarshalPKCS8PrivateKey(private)
}

func (b *backend) exportWrapped(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	d := req.Data
	newHash, err := parseOAEPHash(d.String("hash"))
	if err != nil {
		return nil, err
	}
	to, err := b.load(ctx, req.Storage, d.String("destination"))
	if err != nil {
		return nil, err
	}
	from, err := b.load(ctx, req.Storage, d.String("source"))
	if err != nil {
		return nil, err
	}
	switch {
	case to == nil:
		return nil, engine.Invalidf("no such destination key to export to")
	case from == nil:
		return nil, engine.Invalidf("no such source key for export")
	case !from.Exportable:
		return nil, engine.Invalidf("key is not exportable")
	case to.Kind.is().bits == 0:
		return nil, engine.Invalidf("the destination key must be of type rsa-2048, rsa-3072 or rsa-4096, not %v", to.Kind)
	}
	for _, k := range []*key{to, from} {
		if err := k.refuseDeleted(); err != nil {
			return nil, err
		}
	}
	public := to.current.public.(*rsa.PublicKey)
	return b.exportVersions(ctx, req, from, func(v *version) (string, error) {
		m, err := v.material()
		if err != nil {
			return "", err
		}
		defer clear(m)
		box, err := keywrap.Seal(public, newHash, m)
		if err != nil {
			return "", fmt.Errorf("transit: wrap key: %w", err)
		}
		return base64.StdEncoding.EncodeToString(box), nil
	})
}
