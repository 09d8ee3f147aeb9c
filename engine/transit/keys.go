package transit

import (
	"context"
	"fmt"
	"time"

	"strongroom/engine"
)

const (
	// minRotate is the shortest period in which a key rotates by itself.
	minRotate = time.Hour
	// minHMAC and maxHMAC bound the size of an HMAC key, in bytes.
	minHMAC, maxHMAC = 32, 512
)

// keyRoutes are the life of a key.
func (b *backend) keyRoutes() []engine.Route {
	named := name("Name of the key.")
	exportable := engine.Field{Name: "exportable", Type: engine.Bool, Help: "The key may be exported; cannot be taken back."}
	backup := engine.Field{Name: "allow_plaintext_backup", Type: engine.Bool, Help: "The key may be backed up in plaintext; cannot be taken back."}
	rotate := engine.Field{Name: "auto_rotate_period", Type: engine.Duration, Help: "Rotate the key this often by itself: an hour or more; 0: never."}
	managed := []engine.Field{{Name: "managed_key_name", Help: "Not supported."}, {Name: "managed_key_id", Help: "Not supported."}}
	changed := engine.Answers{engine.Update: keyInfo{}}
	return []engine.Route{
		{
			Path: "keys", Help: "The names of all keys.",
			Fields:  []engine.Field{{Name: "after", Help: "Begin after this name."}, {Name: "limit", Type: engine.Int, Help: "Answer at most so many names."}},
			Answers: engine.Answers{engine.List: engine.Keys{}},
			List:    list,
		},
		{
			Path: "keys/{name}", Help: "A named key: make it, see its settings and versions, delete it.",
			Fields: append([]engine.Field{named, {Name: "type", Default: string(aes256), Help: "aes128-gcm96, aes256-gcm96, chacha20-poly1305, ed25519, ecdsa-p256, ecdsa-p384, ecdsa-p521, rsa-2048, rsa-3072, rsa-4096 or hmac."},
				{Name: "derived", Type: engine.Bool, Help: "A key of its own is derived for each context."},
				{Name: "convergent_encryption", Type: engine.Bool, Help: "Equal plaintexts become equal ciphertexts; needs derived."},
				exportable, backup, rotate,
				{Name: "key_size", Type: engine.Int, Help: "Size of an HMAC key in bytes, from 32 to 512."},
				{Name: "context", Help: "Base64 of a context: a read then shows the public key derived for it."},
				{Name: "parameter_set", Help: "Not supported."}}, managed...),
			Answers: engine.Answers{engine.Read: keyInfo{}, engine.Update: keyInfo{}, engine.Delete: engine.Nothing{}},
			Exists:  exists, Read: b.read, Write: b.create, Delete: remove,
		},
		{
			Path: "keys/{name}/config", Help: "Change the settings of a key.",
			Fields: []engine.Field{named,
				{Name: "min_decryption_version", Type: engine.Int, Help: "Oldest version that may decrypt and verify."},
				{Name: "min_encryption_version", Type: engine.Int, Help: "Oldest version that may encrypt, sign and make HMACs; 0: the latest by default, any on request."},
				{Name: "deletion_allowed", Type: engine.Bool, Help: "The key may be deleted."}, exportable, backup, rotate},
			Answers: changed,
			Write:   b.configure,
		},
		{
			Path: "keys/{name}/rotate", Help: "Make a new version of a key.", Fields: append([]engine.Field{named}, managed...), Answers: changed,
			Write: func(ctx context.Context, req *engine.Request) (*engine.Response, error) {
				return b.change(ctx, req, "key not found", func(k *key) error { return k.rotate(req.Storage, time.Now()) })
			},
		},
		{
			Path: "keys/{name}/soft-delete", Help: "Put a key out of use, until it is restored.", Fields: []engine.Field{named},
			Answers: engine.Answers{engine.Delete: keyInfo{}}, Delete: b.softDelete(true),
		},
		{
			Path: "keys/{name}/soft-delete-restore", Help: "Put a key that was softly deleted to use again.", Fields: []engine.Field{named},
			Answers: changed, Write: b.softDelete(false),
		},
		{
			Path: "keys/{name}/trim", Help: "Delete old versions of a key for good.",
			Fields:  []engine.Field{named, {Name: "min_available_version", Type: engine.Int, Required: true, Help: "Oldest version to keep; at most min_decryption_version and min_encryption_version."}},
			Answers: changed,
			Write:   b.trim,
		},
	}
}

// validName says whether a key may be called name: letters, digits and
// underscores, with dashes and dots inside, as in Vault.
func validName(name string) bool {
	for i := range len(name) {
		c := name[i]
		word := c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		inside := i > 0 && i < len(name)-1 && (c == '-' || c == '.')
		if !word && !inside {
			return false
		}
	}
	return name != ""
}

var errName = engine.Invalidf("the name of a key is letters, digits and underscores, with dashes and dots inside")

// create checks the settings of a new key, makes its first version and saves it.
func (k *key) create(req *engine.Request, now time.Time) error {
	t := k.Kind.is()
	switch {
	case !validName(k.name):
		return errName
	case k.Derived && !t.derives:
		return engine.Invalidf("key derivation not supported for key type %v", k.Kind)
	case k.Convergent && !k.Derived:
		return engine.Invalidf("convergent encryption requires derivation to be enabled")
	case k.Convergent && !t.encrypts:
		return engine.Invalidf("convergent encryption not supported for keys of type %v", k.Kind)
	case k.Kind == hmacOnly && (k.Size < minHMAC || k.Size > maxHMAC):
		return engine.Invalidf("invalid key size for HMAC key, must be between %d and %d bytes", minHMAC, maxHMAC)
	case k.Kind != hmacOnly && k.Size != 0:
		return engine.Invalidf("key_size is only for keys of type hmac")
	}
	n, err := generate(k.Kind, k.Size, now)
	if err != nil {
		return err
	}
	k.MinDecryption = 1
	if err := k.add(req.Storage, n); err != nil {
		return err
	}
	return k.save(req, 0)
}

func (b *backend) create(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	d := req.Data
	kind, err := parseKind(d.String("type"))
	if err != nil {
		return nil, err
	}
	rotate, err := rotatePeriod(d)
	if err != nil {
		return nil, err
	}
	had, err := b.load(ctx, req.Storage, d.String("name"))
	if err != nil {
		return nil, err
	}
	if had != nil {
		resp, err := b.describe(ctx, req, had)
		if err == nil {
			resp.Warnings = append(resp.Warnings, fmt.Sprintf("key %s already existed", had.name))
		}
		return resp, err
	}
	k := &key{
		name: d.String("name"), Kind: kind, Derived: d.Bool("derived"), Convergent: d.Bool("convergent_encryption"),
		Exportable: d.Bool("exportable"), PlaintextBackup: d.Bool("allow_plaintext_backup"), AutoRotate: rotate, Size: int(min(max(d.Int("key_size"), -1), maxHMAC+1)),
	}
	if k.Kind == hmacOnly && k.Size == 0 {
		k.Size = minHMAC
	}
	if err := k.create(req, time.Now()); err != nil {
		return nil, err
	}
	return b.describe(ctx, req, k)
}

func rotatePeriod(d engine.Data) (time.Duration, error) {
	p := d.Duration("auto_rotate_period")
	if p != 0 && p < minRotate {
		return 0, engine.Invalidf("auto rotate period must be 0 to disable or at least an hour")
	}
	return p, nil
}

func list(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	names, err := req.Storage.List(ctx, keyPrefix, req.Data.String("after"), int(min(max(req.Data.Int("limit"), 0), 1<<30)))
	if err != nil {
		return nil, fmt.Errorf("transit: list keys: %w", err)
	}
	if len(names) == 0 {
		return nil, engine.ErrNotFound
	}
	return &engine.Response{Data: map[string][]string{"keys": names}}, nil
}

func (b *backend) read(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	k, err := b.load(ctx, req.Storage, req.Data.String("name"))
	if err != nil {
		return nil, err
	}
	if k == nil {
		return nil, engine.ErrNotFound
	}
	return b.describe(ctx, req, k)
}

func remove(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	wanted := req.Data.String("name")
	k, err := open(ctx, req.Storage, wanted)
	if err != nil {
		return nil, err
	}
	if k == nil {
		return nil, engine.Invalidf("error deleting policy %s: could not delete key; not found", wanted)
	}
	if !k.DeletionAllowed {
		return nil, engine.Invalidf("error deleting policy %s: deletion is not allowed for this key", wanted)
	}
	k.erase(req)
	return nil, nil
}

// softDelete takes a key out of use, or back, with all it has
// (https://openbao.org/api-docs/secret/transit/#soft-delete-key). Meanwhile it does not rotate by itself either.
func (b *backend) softDelete(deleted bool) engine.Handler {
	return func(ctx context.Context, req *engine.Request) (*engine.Response, error) {
		return b.change(ctx, req, fmt.Sprintf("no existing key named %s could be found", req.Data.String("name")), func(k *key) error {
			k.SoftDeleted = deleted
			return nil
		})
	}
}

// erase deletes the key and all its versions.
func (k *key) erase(req *engine.Request) {
	for n := k.first(); n < k.Latest; n++ {
		req.Storage.Delete(k.place(n))
	}
	if due := k.due(); due != 0 {
		req.Due.Remove(due, k.name)
	}
	req.Storage.Delete(keyPrefix + k.name)
}

func (b *backend) configure(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	d := req.Data
	rotate, err := rotatePeriod(d)
	if err != nil {
		return nil, err
	}
	var warnings []string
	resp, err := b.change(ctx, req, fmt.Sprintf("no existing key named %s could be found", d.String("name")), func(k *key) error {
		if warnings, err = k.setMinima(d); err != nil {
			return err
		}
		if d.Has("deletion_allowed") {
			k.DeletionAllowed = d.Bool("deletion_allowed")
		}
		k.Exportable = k.Exportable || d.Bool("exportable")
		k.PlaintextBackup = k.PlaintextBackup || d.Bool("allow_plaintext_backup")
		if d.Has("auto_rotate_period") {
			k.AutoRotate = rotate
		}
		return k.mayRotate()
	})
	if resp != nil {
		resp.Warnings = warnings
	}
	return resp, err
}

// mayRotate refuses a period for a key that cannot be rotated here.
func (k *key) mayRotate() error {
	if k.AutoRotate != 0 && k.Imported && !k.AllowRotation {
		return engine.Invalidf("imported key %s does not allow rotation within Vault: it cannot have an auto_rotate_period", k.name)
	}
	return nil
}

// setMinima takes min_decryption_version and min_encryption_version over from d.
func (k *key) setMinima(d engine.Data) (warnings []string, err error) {
	decrypt, encrypt := int64(k.MinDecryption), int64(k.MinEncryption)
	if d.Has("min_decryption_version") {
		if decrypt = d.Int("min_decryption_version"); decrypt == 0 {
			decrypt = 1
			warnings = append(warnings, "since Vault 0.3, transit key numbering starts at 1; forcing minimum to 1")
		}
	}
	if d.Has("min_encryption_version") {
		encrypt = d.Int("min_encryption_version")
	}
	latest := int64(k.Latest)
	switch {
	case decrypt < 0:
		return nil, engine.Invalidf("min decryption version cannot be negative")
	case encrypt < 0:
		return nil, engine.Invalidf("min encryption version cannot be negative")
	case decrypt > latest:
		return nil, engine.Invalidf("cannot set min decryption version of %d, latest key version is %d", decrypt, latest)
	case encrypt > latest:
		return nil, engine.Invalidf("cannot set min encryption version of %d, latest key version is %d", encrypt, latest)
	case encrypt > 0 && encrypt < decrypt:
		return nil, engine.Invalidf("cannot set min encryption/decryption values; min encryption version of %d must be greater than or equal to min decryption version of %d", encrypt, decrypt)
	case decrypt < int64(k.first()):
		return nil, engine.Invalidf("min decryption version should not be less than min available version: version %d and older have been trimmed", k.first()-1)
	}
	k.MinDecryption, k.MinEncryption = int(decrypt), int(encrypt)
	return warnings, nil
}

func (b *backend) trim(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	return b.change(ctx, req, "invalid key name", func(k *key) error {
		least := req.Data.Int("min_available_version")
		switch {
		case least <= 0:
			return engine.Invalidf("min_available_version must be greater than zero")
		case least < int64(k.MinAvailable):
			return engine.Invalidf("minimum available version cannot be decremented")
		case k.MinEncryption == 0:
			return engine.Invalidf("minimum available version cannot be set when minimum encryption version is not set")
		case least > int64(k.MinDecryption), least > int64(k.MinEncryption):
			return engine.Invalidf("minimum available version cannot be greater than the minimum decryption or encryption version")
		}
		for n := k.first(); n < int(least); n++ {
			req.Storage.Delete(k.place(n))
		}
		k.Times = k.Times[max(int(least)-k.first(), 0):]
		k.MinAvailable = int(least)
		return nil
	})
}
