package transit

import (
	"context"
	"encoding/base64"
	"time"

	"strongroom/engine"
	"strongroom/internal/storage"
)

// cipherRoutes are encrypt, decrypt, rewrap and datakey.
func (b *backend) cipherRoutes() []engine.Route {
	context := engine.Field{Name: "context", Help: "Base64 of the context that a derived key needs."}
	nonce := engine.Field{Name: "nonce", Help: "Base64 of a 12-byte nonce; only for convergent keys of Vault 0.6.1."}
	keyVersion := engine.Field{Name: "key_version", Type: engine.Int, Help: "Version of the key to use; the latest if 0."}
	data := engine.Field{Name: "associated_data", Help: "Base64 of data to authenticate with an AEAD cipher."}
	reference := engine.Field{Name: "reference", Help: "Text that comes back beside the result; in a batch's items only."}
	input := engine.Field{Name: "batch_input", Type: engine.Any, Help: "List of objects to work on in one request, each with the parameters of one."}
	partial := engine.Field{Name: "partial_failure_response_code", Type: engine.Int, Help: "HTTP status if some, not all, of a batch fail; 400 otherwise."}
	padding := func(name string) engine.Field {
		return engine.Field{Name: name, Default: paddingOAEP, Help: "Padding of an RSA key: oaep or pkcs1v15."}
	}
	ciphertext := engine.Field{Name: "ciphertext", Help: "Text that encrypt answered."}
	return []engine.Route{
		{
			Path: "encrypt/{name}", Help: "Encrypt with a key, which is made if the caller may create it.",
			Fields: []engine.Field{name("Name of the key."), {Name: "plaintext", Help: "Base64 of what to encrypt."}, context, nonce, data, keyVersion, padding("padding_scheme"), reference, input, partial,
				{Name: "type", Default: string(aes256), Help: "Type of the key, if it is made."},
				{Name: "convergent_encryption", Type: engine.Bool, Help: "Whether a key that is made encrypts equal plaintexts equally."}},
			Answers: engine.Answers{engine.Update: engine.Either{result{}, batchResults{}}},
			Exists:  exists, Write: b.encrypt,
		},
		{
			Path: "decrypt/{name}", Help: "Decrypt what a key has encrypted.",
			Fields:  []engine.Field{name("Name of the key."), ciphertext, context, nonce, data, padding("padding_scheme"), reference, input, partial},
			Answers: engine.Answers{engine.Update: engine.Either{result{}, batchResults{}}},
			Write:   b.decrypt,
		},
		{
			Path: "rewrap/{name}", Help: "Encrypt again with the latest version of a key, without showing the plaintext.",
			Fields:  []engine.Field{name("Name of the key."), ciphertext, context, nonce, data, keyVersion, padding("decrypt_padding_scheme"), padding("encrypt_padding_scheme"), reference, input, partial},
			Answers: engine.Answers{engine.Update: engine.Either{result{}, batchResults{}}},
			Write:   b.rewrap,
		},
		{
			Path: "datakey/{plaintext}/{name}", Help: "Make a random key and encrypt it; wrapped does not show it, plaintext does.",
			Fields: []engine.Field{{Name: "plaintext", Required: true, Help: "plaintext or wrapped."}, name("Name of the key that encrypts."), context, nonce, data, keyVersion, padding("padding_scheme"),
				{Name: "bits", Type: engine.Int, Default: int64(256), Help: "Size of the new key in bits: 128, 256 or 512."}},
			Answers: engine.Answers{engine.Update: result{}},
			Write:   b.datakey,
		},
		{
			Path: "datakeys/{plaintext}/{name}", Help: "Make several random keys and encrypt them; wrapped does not show them, plaintext does.",
			Fields: []engine.Field{{Name: "plaintext", Required: true, Help: "plaintext or wrapped."}, name("Name of the key that encrypts."), context, nonce, data, keyVersion, padding("padding_scheme"),
				{Name: "count", Type: engine.Int, Required: true, Help: "How many keys to make."},
				{Name: "bits", Type: engine.Int, Default: int64(256), Help: "Size of the new keys in bits: 128, 256 or 512."}},
			Answers: engine.Answers{engine.Update: datakeys{}},
			Write:   b.datakeys,
		},
	}
}

// exists serves Route.Exists for what may make a key.
func exists(ctx context.Context, req *engine.Request) (bool, error) {
	v, err := req.Storage.Version(ctx, keyPrefix+req.Data.String("name"))
	return v != 0, err
}

const noKey = "encryption key not found"

func (b *backend) encrypt(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	t, err := parseTask(req)
	if err != nil {
		return nil, err
	}
	k, err := b.encryptionKey(ctx, req, t.items)
	if err != nil {
		return nil, err
	}
	return t.respondStrictly(ctx, req.Data, func(it *item) (result, error) {
		plaintext, err := it.plaintext()
		if err != nil {
			return result{}, err
		}
		return b.seal(ctx, req.Storage, k, it, plaintext, req.Data.String("padding_scheme"))
	})
}

// encryptionKey returns the key that encrypts items, made if it is not there.
func (b *backend) encryptionKey(ctx context.Context, req *engine.Request, items []item) (*key, error) {
	contexts := 0
	for i := range items {
		if items[i].Context != "" {
			contexts++
		}
	}
	if contexts != 0 && contexts != len(items) {
		return nil, engine.Invalidf("context should be set either in all the request blocks or in none")
	}
	k, err := b.load(ctx, req.Storage, req.Data.String("name"))
	if err != nil {
		return nil, err
	}
	if k != nil {
		return k, k.refuseDeleted()
	}
	settings, err := loadSettings(ctx, req.Storage)
	if err != nil {
		return nil, err
	}
	if req.Operation != engine.Create || settings.DisableUpsert {
		return nil, engine.Invalidf(noKey)
	}
	kind, err := parseKind(req.Data.String("type"))
	if err != nil {
		return nil, err
	}
	if !kind.is().encrypts {
		return nil, engine.Invalidf("key type %v not supported for this operation", kind)
	}
	k = &key{name: req.Data.String("name"), Kind: kind, Derived: contexts > 0, Convergent: req.Data.Bool("convergent_encryption")}
	return k, k.create(req, time.Now())
}

// seal encrypts plaintext, and wipes it, with the version that its item asks for.
func (b *backend) seal(ctx context.Context, v storage.View, k *key, it *item, plaintext []byte, padding string) (result, error) {
	defer clear(plaintext)
	p, err := it.params(k, padding)
	if err != nil {
		return result{}, err
	}
	ver, n, err := b.pick(ctx, v, k, int64(it.KeyVersion), "encryption")
	if err != nil {
		return result{}, err
	}
	c, err := k.seal(ver, n, plaintext, p)
	return result{Ciphertext: c, KeyVersion: n}, err
}

// open decrypts the ciphertext of an item; the caller wipes what it gets.
func (b *backend) open(ctx context.Context, v storage.View, k *key, it *item, padding string) ([]byte, error) {
	if it.Ciphertext == nil || *it.Ciphertext == "" {
		return nil, engine.Invalidf("missing ciphertext to decrypt")
	}
	n, rest, err := parseText(*it.Ciphertext, "ciphertext")
	if err != nil {
		return nil, err
	}
	ver, err := b.made(ctx, v, k, n, "ciphertext")
	if err != nil {
		return nil, err
	}
	p, err := it.params(k, padding)
	if err != nil {
		return nil, err
	}
	raw, err := base64.StdEncoding.DecodeString(rest)
	if err != nil {
		return nil, engine.Invalidf("invalid ciphertext: could not decode base64")
	}
	return k.open(ver, raw, p)
}

func (b *backend) decrypt(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	t, err := parseTask(req)
	if err != nil {
		return nil, err
	}
	k, err := b.need(ctx, req, noKey)
	if err != nil {
		return nil, err
	}
	return t.respondStrictly(ctx, req.Data, func(it *item) (result, error) {
		plaintext, err := b.open(ctx, req.Storage, k, it, req.Data.String("padding_scheme"))
		if err != nil {
			return result{}, err
		}
		defer clear(plaintext)
		shown := base64.StdEncoding.EncodeToString(plaintext)
		return result{Plaintext: &shown}, nil
	})
}

func (b *backend) rewrap(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	t, err := parseTask(req)
	if err != nil {
		return nil, err
	}
	k, err := b.need(ctx, req, noKey)
	if err != nil {
		return nil, err
	}
	return t.respondStrictly(ctx, req.Data, func(it *item) (result, error) {
		plaintext, err := b.open(ctx, req.Storage, k, it, req.Data.String("decrypt_padding_scheme"))
		if err != nil {
			return result{}, err
		}
		if v, _, err := b.pick(ctx, req.Storage, k, int64(it.KeyVersion), "encryption"); err == nil && v.convergent != 1 {
			it.Nonce = "" // it was for the decryption
		}
		return b.seal(ctx, req.Storage, k, it, plaintext, req.Data.String("encrypt_padding_scheme"))
	})
}

func (b *backend) datakey(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	made, err := b.makeDatakeys(ctx, req, 1)
	if err != nil {
		return nil, err
	}
	return &engine.Response{Data: &made[0]}, nil
}

func (b *backend) datakeys(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	count := req.Data.Int("count")
	if count < 1 || count > maxItems {
		return nil, engine.Invalidf("count must be between 1 and %d", maxItems)
	}
	made, err := b.makeDatakeys(ctx, req, int(count))
	if err != nil {
		return nil, err
	}
	n := made[0].KeyVersion
	for i := range made {
		made[i].KeyVersion = 0 // said once
	}
	return &engine.Response{Data: datakeys{made, n}}, nil
}

// makeDatakeys makes count random keys and encrypts them as req says.
func (b *backend) makeDatakeys(ctx context.Context, req *engine.Request, count int) ([]result, error) {
	form := req.Data.String("plaintext")
	if form != "plaintext" && form != "wrapped" {
		return nil, engine.Invalidf("Invalid path, must be 'plaintext' or 'wrapped'")
	}
	bits := req.Data.Int("bits")
	if bits != 128 && bits != 256 && bits != 512 {
		return nil, engine.Invalidf("invalid bit length: it must be 128, 256 or 512")
	}
	t, err := parseTask(req)
	if err != nil {
		return nil, err
	}
	k, err := b.need(ctx, req, noKey)
	if err != nil {
		return nil, err
	}
	made := make([]result, count)
	for i := range made {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		fresh := random(int(bits / 8))
		shown := base64.StdEncoding.EncodeToString(fresh)
		if made[i], err = b.seal(ctx, req.Storage, k, &t.items[0], fresh, req.Data.String("padding_scheme")); err != nil {
			return nil, err
		}
		if form == "plaintext" {
			made[i].Plaintext = &shown
		}
	}
	return made, nil
}
