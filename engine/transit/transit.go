// Package transit is the engine that encrypts, signs and hashes for others, with
// named keys that do not leave it: cryptography as a service. It owns keys and
// their versions (docs/format/transit.md) and keeps nothing of what is sent to
// it. Texts that it makes are those of Vault: "vault:v<version>:<base64>".
//
// What an encryption costs decided the format: a key is ONE record with its
// settings and its current version, parsed once a change and found again by its
// version in the store, with its cipher ready. Earlier versions lie apart, a key
// each, so that a key which is rotated every hour for years stays cheap.
//
// https://developer.hashicorp.com/vault/api-docs/secret/transit
package transit

import (
	"crypto/rsa"
	"slices"

	"github.com/hashicorp/go-hclog"

	"strongroom/engine"
	"strongroom/internal/storage"
)

// backend is one mounted engine.
type backend struct {
	logger   hclog.Logger
	keys     *storage.Cache[*key]
	versions *storage.Cache[*version] // those that are not current
	wrapping *storage.Cache[*rsa.PrivateKey]
}

// Factory makes the engine of a transit mount.
func Factory(env engine.Env) (engine.Engine, error) {
	return &backend{
		logger:   env.Logger,
		keys:     storage.NewCache[*key](1024),
		versions: storage.NewCache[*version](4096),
		wrapping: storage.NewCache[*rsa.PrivateKey](1),
	}, nil
}

// Routes serves Vault's transit API.
func (b *backend) Routes() []engine.Route {
	return slices.Concat(b.keyRoutes(), b.importRoutes(), b.certificateRoutes(), b.exportRoutes(), b.cipherRoutes(), b.hashRoutes(), b.signRoutes(), configRoutes())
}

// name is the path parameter of everything that is done with a key.
func name(help string) engine.Field {
	return engine.Field{Name: "name", Required: true, Help: help}
}
