// Package cert owns the auth method of TLS client certificates: who shows, in
// the handshake of the connection itself, a certificate that a role knows or
// whose authority it trusts. Certificates are compared whole, and a token is
// renewed for the certificate alone that it was given for. It reads nothing from
// the network: revocation is known from CRLs that are written to it.
//
// https://developer.hashicorp.com/vault/api-docs/auth/cert
package cert

import (
	"context"
	"encoding/json"
	"fmt"

	"strongroom/auth"
	"strongroom/engine"
	"strongroom/internal/storage"
)

const configKey = "config"

// Method is one mounted TLS certificate auth method.
type Method struct {
	mount   engine.Mount
	configs *storage.Cache[*config]
	roles   *auth.Stored[role]
	crls    *storage.Cache[*crl]
}

// Factory makes the method for a mount.
func Factory(env engine.Env) (engine.Engine, error) {
	return &Method{
		mount: env.Mount, configs: storage.NewCache[*config](1), roles: auth.NewStored(roleFolder, "name", decodeRole), crls: storage.NewCache[*crl](16),
	}, nil
}

// Routes implements engine.Engine.
func (m *Method) Routes() []engine.Route {
	return []engine.Route{
		{Path: "config", Help: "How the method works.", Fields: configFields(), Answers: engine.Answers{engine.Read: configInfo{}, engine.Update: engine.Nothing{}}, Read: m.readConfig, Write: m.writeConfig},
		{Path: "certs", Help: "List the roles.", List: m.roles.List, Fields: auth.ListFields(), Answers: engine.Answers{engine.List: engine.Keys{}}},
		{
			Path: "certs/{name}", Help: "Whose certificates may log in, and what token they get.",
			Answers: engine.Answers{engine.Read: roleInfo{}, engine.Update: engine.Nothing{}, engine.Delete: engine.Nothing{}},
			Fields:  roleFields(), Exists: m.roles.Exists, Read: m.readRole, Write: m.writeRole, Delete: m.roles.Delete,
		},
		{Path: "crls", Help: "List the CRLs.", List: m.listCRLs, Fields: auth.ListFields(), Answers: engine.Answers{engine.List: engine.Keys{}}},
		{
			Path: "crls/{name}", Help: "Certificates, by serial number, that may not log in any more.",
			Answers: engine.Answers{engine.Read: crlInfo{}, engine.Update: engine.Nothing{}, engine.Delete: engine.Nothing{}},
			Fields: []engine.Field{
				{Name: "name", Type: engine.Name, Help: "Name of the CRL."},
				{Name: "crl", Help: "The CRL, PEM."},
				{Name: "url", Help: "Where the CRL is published; not supported: write the CRL itself, as often as it changes."},
			},
			Read: m.readCRL, Write: m.writeCRL, Delete: m.deleteCRL,
		},
		{
			Path: "login", Help: "Log in with the certificate of the connection.", Public: true, Answers: engine.Answers{engine.Update: engine.Envelope{}},
			Fields: []engine.Field{{Name: "name", Type: engine.Name, Help: "The only role to try; none: all."}},
			Write:  m.login,
		},
	}
}

// config is the method's configuration as it is stored.
type config struct {
	DisableBinding bool `json:"disable_binding"`
	AliasMetadata  bool `json:"enable_identity_alias_metadata"`
}

func configFields() []engine.Field {
	return []engine.Field{
		{Name: "disable_binding", Type: engine.Bool, Help: "Renew a token for whoever has it, whatever certificate they show."},
		{Name: "enable_identity_alias_metadata", Type: engine.Bool, Help: "Keep the certificate's metadata with the caller's alias."},
		{Name: "ocsp_cache_size", Type: engine.Int, Help: "Kept for compatibility; there is no OCSP."},
		{Name: "role_cache_size", Type: engine.Int, Help: "Kept for compatibility."},
	}
}

// loadConfig returns a configuration that must not be changed.
func (m *Method) loadConfig(ctx context.Context, req *engine.Request) (*config, error) {
	c, _, err := m.configs.Get(ctx, req.Storage, configKey, configKey, func(b []byte) (*config, error) {
		c := &config{}
		if err := json.Unmarshal(b, c); err != nil {
			return nil, fmt.Errorf("cert: decode config: %w", err)
		}
		return c, nil
	})
	if err == nil && c == nil {
		c = &config{}
	}
	return c, err
}

func (m *Method) readConfig(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	c, err := m.loadConfig(ctx, req)
	if err != nil {
		return nil, err
	}
	return &engine.Response{Data: map[string]any{"disable_binding": c.DisableBinding, "enable_identity_alias_metadata": c.AliasMetadata}}, nil
}

func (m *Method) writeConfig(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	old, err := m.loadConfig(ctx, req)
	if err != nil {
		return nil, err
	}
	c := *old
	if req.Data.Has("disable_binding") {
		c.DisableBinding = req.Data.Bool("disable_binding")
	}
	if req.Data.Has("enable_identity_alias_metadata") {
		c.AliasMetadata = req.Data.Bool("enable_identity_alias_metadata")
	}
	return nil, storage.PutJSON(req.Storage, configKey, c)
}
