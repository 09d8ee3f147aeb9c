// Package pki is the engine that is a certificate authority: it keeps issuers and
// their keys, issues certificates within what roles allow, and says which it has
// revoked. It owns what docs/format/pki.md describes, and never keeps the private
// key of a certificate that it issues.
//
// An issued certificate is one record, written in the one entry of its request
// (ADR 26). A list of revoked certificates is no record at all: what is stored is a
// small key for each of them, from which the list is signed when it is asked for.
//
// https://developer.hashicorp.com/vault/api-docs/secret/pki
package pki

import (
	"context"
	"crypto"
	"fmt"
	"slices"

	"github.com/hashicorp/go-hclog"

	"strongroom/engine"
	"strongroom/internal/storage"
)

// backend is one mounted engine.
type backend struct {
	logger  hclog.Logger
	configs *storage.Cache[*config]
	issuers *storage.Cache[*issuerRecord]
	keys    *storage.Cache[crypto.Signer]
	roles   *storage.Cache[*role]
	lists   lists
}

// Factory makes the engine of a pki mount.
func Factory(env engine.Env) (engine.Engine, error) {
	return &backend{
		logger:  env.Logger,
		configs: storage.NewCache[*config](1),
		issuers: storage.NewCache[*issuerRecord](64),
		keys:    storage.NewCache[crypto.Signer](64),
		roles:   storage.NewCache[*role](256),
	}, nil
}

// Routes serves Vault's PKI API.
func (b *backend) Routes() []engine.Route {
	return slices.Concat(b.configRoutes(), b.keyRoutes(), b.issuerRoutes(), b.importRoutes(), b.authorityRoutes(), b.roleRoutes(), b.issueRoutes(),
		b.revokeRoutes(), b.crlRoutes(), b.readRoutes(), b.tidyRoutes())
}

// ref is the path parameter that names an issuer or a key.
func ref(name string) engine.Field {
	return engine.Field{Name: name, Required: true, Help: `Name or ID; "default" is the one that is configured.`}
}

// cachedAt is what stands at place, decoded once a change and shared; zero if nothing does.
func cachedAt[T any](ctx context.Context, c *storage.Cache[T], v storage.View, place string, decode func([]byte) (T, error)) (T, error) {
	got, _, err := c.Get(ctx, v, place, place, decode)
	if err != nil {
		return got, fmt.Errorf("pki: read %s: %w", place, err)
	}
	return got, nil
}

// given are the values of d by fields in the forms of the API: durations in seconds,
// lists never null. With all, those that the caller left out have their defaults.
func given(fields []engine.Field, d engine.Data, all bool) map[string]any {
	out := map[string]any{}
	for _, f := range fields {
		if !all && !d.Has(f.Name) {
			continue
		}
		switch f.Type {
		case engine.Bool:
			out[f.Name] = d.Bool(f.Name)
		case engine.Int:
			out[f.Name] = d.Int(f.Name)
		case engine.Duration:
			out[f.Name] = int64(d.Duration(f.Name).Seconds())
		case engine.StringList:
			out[f.Name] = append([]string{}, d.Strings(f.Name)...)
		default:
			out[f.Name] = d.String(f.Name)
		}
	}
	return out
}
