package transit

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"hash"
	"strings"
	"time"

	"strongroom/engine"
	"strongroom/engine/transit/keywrap"
	"strongroom/internal/storage"
)

const (
	// wrappingKey is the RSA key that keys are wrapped for on their way in, PKCS #8.
	wrappingKey  = "wrapping"
	wrappingBits = 4096
)

// importRoutes are the ways of foreign keys into the engine (BYOK).
func (b *backend) importRoutes() []engine.Route {
	material := []engine.Field{name("Name of the key."),
		{Name: "ciphertext", Help: "Base64 of the key, wrapped for the wrapping_key: RSA-OAEP of an AES-256 key, then the key under that by AES-KWP."},
		{Name: "hash_function", Default: "SHA256", Help: "Hash of the RSA-OAEP: SHA1, SHA224, SHA256, SHA384 or SHA512."},
		{Name: "public_key", Help: "PEM of a public key, instead of the ciphertext: it encrypts and verifies only."}}
	return []engine.Route{
		{Path: "wrapping_key", Help: "The public key that imported keys are wrapped for.", Answers: engine.Answers{engine.Read: wrappingKeyInfo{}}, Read: b.readWrapping},
		{
			Path: "keys/{name}/import", Help: "Make a key of foreign key material.",
			Fields: append(material[:len(material):len(material)], engine.Field{Name: "type", Default: string(aes256), Help: "Type of the key."},
				engine.Field{Name: "allow_rotation", Type: engine.Bool, Help: "The key may be rotated here; then no more can be imported."},
				engine.Field{Name: "derived", Type: engine.Bool, Help: "A key of its own is derived for each context."},
				engine.Field{Name: "context", Help: "Base64 of a context; not needed."},
				engine.Field{Name: "convergent_encryption", Type: engine.Bool, Help: "Refused: the engine cannot know whether foreign keys have been used with other nonces."},
				engine.Field{Name: "exportable", Type: engine.Bool, Help: "The key may be exported; cannot be taken back."},
				engine.Field{Name: "allow_plaintext_backup", Type: engine.Bool, Help: "The key may be backed up in plaintext; cannot be taken back."},
				engine.Field{Name: "auto_rotate_period", Type: engine.Duration, Help: "Rotate the key this often by itself: an hour or more; 0: never."}),
			Answers: engine.Answers{engine.Update: engine.Nothing{}},
			Write:   b.importKey,
		},
		{
			Path: "keys/{name}/import_version", Help: "Add foreign key material to an imported key.",
			Fields:  append(material[:len(material):len(material)], engine.Field{Name: "version", Type: engine.Int, Help: "Version that has only its public key, to add the private key to."}),
			Answers: engine.Answers{engine.Update: engine.Nothing{}},
			Write:   b.importVersion,
		},
	}
}

// unwrapping returns the key that imports are wrapped for, made at its first use.
func (b *backend) unwrapping(ctx context.Context, v storage.View) (*rsa.PrivateKey, error) {
	k, _, err := b.wrapping.Get(ctx, v, wrappingKey, wrappingKey, func(der []byte) (*rsa.PrivateKey, error) {
		defer clear(der)
		s, err := parsePrivate(der)
		if err != nil {
			return nil, err
		}
		k, ok := s.(*rsa.PrivateKey)
		if !ok {
			return nil, errKind
		}
		return k, nil
	})
	if err != nil {
		return nil, fmt.Errorf("transit: read wrapping key: %w", err)
	}
	if k != nil {
		return k, nil
	}
	if k, err = rsa.GenerateKey(rand.Reader, wrappingBits); err != nil {
		return nil, fmt.Errorf("transit: generate wrapping key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		return nil, fmt.Errorf("transit: encode wrapping key: %w", err)
	}
	v.Put(wrappingKey, der)
	return k, nil
}

func (b *backend) readWrapping(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	k, err := b.unwrapping(ctx, req.Storage)
	if err != nil {
		return nil, err
	}
	s, err := publicText(&k.PublicKey)
	if err != nil {
		return nil, err
	}
	return &engine.Response{Data: map[string]string{"public_key": s}}, nil
}

// parseOAEPHash finds the hash of RSA-OAEP by its name, with or without a dash.
func parseOAEPHash(name string) (func() hash.Hash, error) {
	switch strings.ToUpper(strings.ReplaceAll(name, "-", "")) {
	case "SHA1":
		return sha1.New, nil
	case "SHA224":
		return sha256.New224, nil
	case "", "SHA256":
		return sha256.New, nil
	case "SHA384":
		return sha512.New384, nil
	case "SHA512":
		return sha512.New, nil
	}
	return nil, engine.Invalidf("unsupported hash function: it must be SHA1, SHA224, SHA256, SHA384 or SHA512")
}

func (b *backend) importKey(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	d := req.Data
	k := &key{
		name: d.String("name"), Derived: d.Bool("derived"), Exportable: d.Bool("exportable"), PlaintextBackup: d.Bool("allow_plaintext_backup"),
		Imported: true, AllowRotation: d.Bool("allow_rotation"), MinDecryption: 1,
	}
	var err error
	if k.Kind, err = parseKind(d.String("type")); err != nil {
		return nil, err
	}
	if k.AutoRotate, err = rotatePeriod(d); err != nil {
		return nil, err
	}
	if err = k.mayRotate(); err != nil {
		return nil, err
	}
	switch had, err := exists(ctx, req); {
	case err != nil:
		return nil, err
	case had:
		return nil, engine.Invalidf("the import path cannot be used with an existing key; use import-version to rotate an existing imported key")
	case !validName(k.name):
		return nil, errName
	case d.Bool("convergent_encryption"):
		return nil, engine.Invalidf("import cannot be used on keys with convergent encryption enabled")
	case k.Derived && !k.Kind.is().derives:
		return nil, engine.Invalidf("key derivation not supported for key type %v", k.Kind)
	}
	n, err := b.foreign(ctx, req, k.Kind)
	if err != nil {
		return nil, err
	}
	k.Size = sizeOf(k.Kind, n)
	if err := k.add(req.Storage, n); err != nil {
		return nil, err
	}
	return nil, k.save(req, 0)
}

// sizeOf is the size of an HMAC key, which its rotation keeps; 0 for others.
func sizeOf(k kind, v *version) int {
	if k == hmacOnly {
		return len(v.secret)
	}
	return 0
}

// foreign is the version that req brings, for a key of kind k.
func (b *backend) foreign(ctx context.Context, req *engine.Request, k kind) (*version, error) {
	v := &version{created: time.Now()}
	wrapped, public := req.Data.String("ciphertext"), req.Data.String("public_key")
	switch {
	case wrapped != "" && public != "":
		return nil, engine.Invalidf("only one of the following fields, ciphertext and public_key, can be set")
	case wrapped == "" && public == "":
		return nil, engine.Invalidf("either ciphertext or public_key must be set")
	case public != "":
		block, _ := pem.Decode([]byte(public))
		if block == nil {
			return nil, engine.Invalidf("public_key must be PEM")
		}
		var err error
		if v.public, err = x509.ParsePKIXPublicKey(block.Bytes); err != nil || k.symmetric() {
			return nil, engine.Invalidf("public_key must hold a public key (SubjectPublicKeyInfo) of type %v", k)
		}
	default:
		if err := b.unwrap(ctx, req, k, wrapped, v); err != nil {
			return nil, err
		}
	}
	if k != hmacOnly {
		v.hmac = random(hmacSize)
	}
	if err := v.prepare(k); err != nil {
		return nil, engine.Invalidf("the key material is not that of a key of type %v", k)
	}
	return v, nil
}

// unwrap puts into v what wrapped holds.
func (b *backend) unwrap(ctx context.Context, req *engine.Request, k kind, wrapped string, v *version) error {
	newHash, err := parseOAEPHash(req.Data.String("hash_function"))
	if err != nil {
		return err
	}
	box, err := base64.StdEncoding.DecodeString(wrapped)
	if err != nil {
		return engine.Invalidf("failed to base64-decode ciphertext: %v", err)
	}
	private, err := b.unwrapping(ctx, req.Storage)
	if err != nil {
		return err
	}
	material, err := keywrap.Open(private, newHash, box)
	if err != nil {
		return engine.Invalidf("the ciphertext could not be unwrapped: it must be made for the current wrapping_key, with hash_function for its RSA-OAEP")
	}
	if k.symmetric() {
		v.secret = material
		return nil
	}
	defer clear(material)
	if v.private, err = parsePrivate(material); err != nil {
		return engine.Invalidf("the key material must be a private key in PKCS #8, DER")
	}
	return nil
}

func (b *backend) importVersion(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	d := req.Data
	k, err := open(ctx, req.Storage, d.String("name"))
	if err != nil {
		return nil, err
	}
	if k == nil {
		return nil, engine.Invalidf("no key found with name %s; to import a new key, use the import/ endpoint", d.String("name"))
	}
	if !k.Imported {
		return nil, engine.Invalidf("the import_version endpoint can only be used with an imported key")
	}
	n, err := b.foreign(ctx, req, k.Kind)
	if err != nil {
		return nil, err
	}
	due := k.due()
	into := d.Int("version")
	if into == 0 && n.private != nil && k.current.private == nil {
		into = int64(k.Latest)
	}
	if into == 0 {
		err = k.add(req.Storage, n)
	} else {
		err = b.complete(ctx, req.Storage, k, into, n)
	}
	if err != nil {
		return nil, err
	}
	return nil, k.save(req, due)
}

// complete gives version into, which has only its public key, the private key of n.
func (b *backend) complete(ctx context.Context, v storage.View, k *key, into int64, n *version) error {
	if into < int64(k.first()) || into > int64(k.Latest) {
		return engine.Invalidf("key version does not exist")
	}
	had, err := b.version(ctx, v, k, int(into))
	switch {
	case err != nil:
		return err
	case had.public == nil || had.private != nil || n.private == nil:
		return engine.Invalidf("key version %d cannot be updated: only a private key can be added, to a version that has only its public key", into)
	case !samePublic(had.public, n.public):
		return engine.Invalidf("the private key does not belong to the public key of version %d", into)
	}
	whole := *had
	whole.private = n.private
	return k.put(v, int(into), &whole)
}

// samePublic compares two public keys.
func samePublic(a, b crypto.PublicKey) bool {
	switch a := a.(type) {
	case *rsa.PublicKey:
		return a.Equal(b)
	case *ecdsa.PublicKey:
		return a.Equal(b)
	case ed25519.PublicKey:
		return a.Equal(b)
	}
	return false
}
