// Package approle owns the auth method of machines: a role id says who logs in,
// a secret id proves it. Neither is stored, only keyed hashes of them, but for
// the role id in its own role, which may be read. What a role, a secret id or a
// login changes is one write; secret ids end by the due index, so a million of
// them costs no memory.
//
// https://developer.hashicorp.com/vault/api-docs/auth/approle
package approle

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"

	"strongroom/auth"
	"strongroom/engine"
	"strongroom/internal/storage"
)

// Method is one mounted AppRole auth method.
type Method struct {
	mount engine.Mount
	keys  *storage.Cache[[]byte]
	roles *storage.Cache[*role]
}

// Factory makes the method for a mount.
func Factory(env engine.Env) (engine.Engine, error) {
	return &Method{mount: env.Mount, keys: storage.NewCache[[]byte](1), roles: storage.NewCache[*role](1024)}, nil
}

// Routes implements engine.Engine.
func (m *Method) Routes() []engine.Route {
	routes := []engine.Route{
		{Path: "role", Help: "List the roles.", List: m.listRoles, Fields: auth.ListFields(), Answers: engine.Answers{engine.List: engine.Keys{}}},
		{
			Path: "role/{role_name}", Help: "Who may log in as this role, and what token they get.",
			Answers: engine.Answers{engine.Read: roleInfo{}, engine.Update: engine.Nothing{}, engine.Delete: engine.Nothing{}},
			Fields:  roleFields(), Exists: m.roleExists, Read: m.readRole, Write: m.writeRole, Delete: m.deleteRole,
		},
		{
			Path: "login", Help: "Log in with a role id and a secret id.", Public: true, Answers: engine.Answers{engine.Update: engine.Envelope{}},
			Fields: []engine.Field{
				{Name: "role_id", Help: "Says which role logs in."},
				{Name: "secret_id", Help: "Proves it, if the role's bind_secret_id is set."},
			},
			Write: m.login,
			Login: func(req *engine.Request) string { return req.Data.String("role_id") },
			Role:  m.loginRole,
		},
		{Path: "tidy/secret-id", Help: "Delete what ended secret ids left behind: nothing, as they end whole.", Answers: engine.Answers{engine.Update: engine.Accepted{}}, Write: m.tidy},
	}
	routes = append(routes, m.secretRoutes()...)
	return append(routes, m.propertyRoutes()...)
}

const keyKey = "key" // of the mount's hashes

// keySize is the length of that key, in bytes.
const keySize = sha256.Size

// key is the key of the mount's hashes; nil as long as there has been no role.
func (m *Method) key(ctx context.Context, req *engine.Request) ([]byte, error) {
	k, _, err := m.keys.Get(ctx, req.Storage, keyKey, keyKey, func(b []byte) ([]byte, error) { return b, nil })
	return k, err
}

// makeKey is key, made if there is none yet.
func (m *Method) makeKey(ctx context.Context, req *engine.Request) ([]byte, error) {
	k, err := m.key(ctx, req)
	if err != nil || len(k) == keySize {
		return k, err
	}
	k = make([]byte, keySize)
	rand.Read(k)
	req.Storage.Put(keyKey, k)
	return k, nil
}

// hash is what stands in storage for a role id or a secret id of the role uid:
// HMAC-SHA256, as some are chosen by people and could be guessed from a disk.
func hash(key []byte, uid, text string) string {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(uid))
	h.Write([]byte{0})
	h.Write([]byte(text))
	var sum [sha256.Size]byte
	return base64.RawURLEncoding.EncodeToString(h.Sum(sum[:0]))
}

func (m *Method) tidy(context.Context, *engine.Request) (*engine.Response, error) {
	return &engine.Response{Accepted: true, Warnings: []string{
		"Tidy operation successfully started. Any information from the operation will be printed to Vault's server logs.",
	}}, nil
}
