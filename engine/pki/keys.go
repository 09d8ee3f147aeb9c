package pki

import (
	"context"
	"slices"

	"strongroom/engine"
	"strongroom/internal/storage"
)

// kindFields are the parameters of a key to be made.
func kindFields() []engine.Field {
	return []engine.Field{
		{Name: "key_type", Default: "rsa", Help: "rsa, ec or ed25519."},
		{Name: "key_bits", Type: engine.Int, Help: "RSA: 2048 (default), 3072, 4096 or 8192; EC: 224, 256 (default), 384 or 521."},
	}
}

// typeField is the path parameter that says where a key comes from.
func typeField(help string) engine.Field {
	return engine.Field{Name: "type", Required: true, Help: help}
}

// keyRoutes are the life of keys.
func (b *backend) keyRoutes() []engine.Route {
	keyName := engine.Field{Name: "key_name", Help: "Name of the key."}
	return []engine.Route{
		{Path: "keys", Help: "The keys of this mount.", Answers: engine.Answers{engine.List: engine.Named[keyListed]{}}, List: b.listKeys},
		{Path: "keys/generate/{type}", Help: "Make a key, for an issuer or a request of type existing.", Answers: engine.Answers{engine.Update: keyInfo{}}, Write: b.generateKey,
			Fields: append([]engine.Field{typeField("exported: the answer holds the private key; internal: it never leaves."), keyName, formatField(), privateFormatField()}, kindFields()...)},
		{Path: "keys/import", Help: "Import a private key.", Answers: engine.Answers{engine.Update: keyInfo{}}, Write: b.importKey,
			Fields: []engine.Field{{Name: "pem_bundle", Required: true, Help: "PEM of the private key."}, keyName}},
		{Path: "key/{key_ref}", Help: "A key: its name and type.", Fields: []engine.Field{ref("key_ref"), keyName},
			Answers: engine.Answers{engine.Read: keyInfo{}, engine.Update: keyInfo{}, engine.Delete: engine.Nothing{}},
			Read:    b.readKey, Write: b.renameKey, Delete: b.deleteKey},
	}
}

func (e *keyEntry) describe() map[string]any {
	return map[string]any{"key_id": e.ID, "key_name": e.Name, "key_type": e.Type}
}

func (b *backend) listKeys(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	c, err := b.settings(ctx, req.Storage)
	if err != nil {
		return nil, err
	}
	ids, info := []string{}, map[string]any{}
	for _, e := range c.Keys {
		ids = append(ids, e.ID)
		info[e.ID] = map[string]any{"key_name": e.Name, "is_default": e.ID == c.DefaultKey}
	}
	if len(ids) == 0 {
		return nil, engine.ErrNotFound
	}
	slices.Sort(ids)
	return &engine.Response{Data: map[string]any{"keys": ids, "key_info": info}}, nil
}

// newKey is the key that req asks for by its type: one that exists, or one that is
// made and added to c, which has yet to be saved.
func (b *backend) newKey(ctx context.Context, req *engine.Request, c *config) (*key, error) {
	switch source := req.Data.String("type"); source {
	case "existing":
		return b.key(ctx, req.Storage, req.Data.String("key_ref"))
	case "internal", "exported":
	case "kms":
		return nil, engine.Invalidf("managed keys (type kms) are not supported: use internal, exported or existing")
	default:
		return nil, engine.Invalidf("unknown type %q: use internal, exported or existing", source)
	}
	name := req.Data.String("key_name")
	if err := c.checkKeyName(name, ""); err != nil {
		return nil, err
	}
	kind, err := parseKind(req.Data.String("key_type"), req.Data.Int("key_bits"))
	if err != nil {
		return nil, err
	}
	signer, err := kind.generate(req)
	if err != nil {
		return nil, err
	}
	return c.addKey(req.Storage, signer, name)
}

func (b *backend) generateKey(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	if req.Data.String("type") == "existing" {
		return nil, engine.Invalidf("unknown type \"existing\": use internal or exported")
	}
	form, err := parseForm(req.Data)
	if err != nil {
		return nil, err
	}
	var k *key
	if _, err = configure(ctx, req.Storage, func(c *config) error { k, err = b.newKey(ctx, req, c); return err }); err != nil {
		return nil, err
	}
	data := k.describe()
	if req.Data.String("type") == "exported" {
		if err := form.putPrivate(data, k.Signer); err != nil {
			return nil, err
		}
	}
	return &engine.Response{Data: data}, nil
}

func (b *backend) importKey(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	bundle, err := parseBundle(req.Data.String("pem_bundle"))
	if err != nil {
		return nil, err
	}
	if len(bundle.keys) != 1 || len(bundle.certs) != 0 {
		return nil, engine.Invalidf("pem_bundle must hold one private key and nothing else")
	}
	name := req.Data.String("key_name")
	var data map[string]any
	_, err = configure(ctx, req.Storage, func(c *config) error {
		public, err := fingerprint(bundle.keys[0].Public())
		if err != nil {
			return err
		}
		if e := c.keyOf(public); e != nil {
			data = e.describe()
			if name == "" || name == e.Name {
				return nil
			}
			return c.renameKey(e, name, data)
		}
		if err := c.checkKeyName(name, ""); err != nil {
			return err
		}
		k, err := c.addKey(req.Storage, bundle.keys[0], name)
		if err != nil {
			return err
		}
		data = k.describe()
		c.adopt()
		return b.listAll(ctx, req, c)
	})
	if err != nil {
		return nil, err
	}
	return &engine.Response{Data: data}, nil
}

func (b *backend) readKey(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	c, err := b.settings(ctx, req.Storage)
	if err != nil {
		return nil, err
	}
	e := c.key(req.Data.String("key_ref"))
	if e == nil {
		return nil, noKey(req.Data.String("key_ref"))
	}
	return &engine.Response{Data: e.describe()}, nil
}

// renameKey gives the key of an entry of c another name, or none, and shows it in data.
func (c *config) renameKey(e *keyEntry, name string, data map[string]any) error {
	if err := c.checkKeyName(name, e.ID); err != nil {
		return err
	}
	e.Name, data["key_name"] = name, name
	return nil
}

func (b *backend) renameKey(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	var data map[string]any
	_, err := configure(ctx, req.Storage, func(c *config) error {
		e := c.key(req.Data.String("key_ref"))
		if e == nil {
			return noKey(req.Data.String("key_ref"))
		}
		data = e.describe()
		return c.renameKey(e, req.Data.String("key_name"), data)
	})
	if err != nil {
		return nil, err
	}
	return &engine.Response{Data: data}, nil
}

func (b *backend) deleteKey(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	var resp *engine.Response
	_, err := configure(ctx, req.Storage, func(c *config) error {
		e := c.key(req.Data.String("key_ref"))
		if e == nil {
			return noKey(req.Data.String("key_ref"))
		}
		id := e.ID
		for _, i := range c.Issuers {
			if i.Key == id {
				return engine.Invalidf("unable to delete key: it is used by issuer %s; delete that issuer first", i.ID)
			}
		}
		b.forgetKey(req.Storage, id)
		c.Keys = slices.DeleteFunc(c.Keys, func(e keyEntry) bool { return e.ID == id })
		if c.DefaultKey == id {
			c.DefaultKey = ""
			resp = &engine.Response{Warnings: []string{"Deleted key " + id + ", which was the default; the mount has no default key until config/keys names one."}}
		}
		return nil
	})
	return resp, err
}

// forgetKey deletes the private key of the entry id.
func (b *backend) forgetKey(v storage.View, id string) {
	v.Delete(keyPrefix + id)
	b.keys.Drop(keyPrefix + id)
}
