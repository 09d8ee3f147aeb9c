// Package jwt owns the auth methods "jwt" and "oidc": logins with a token that
// somebody else has signed. Its signature is checked with keys that are written
// into the configuration, or fetched from the one provider that is named there,
// and its claims are compared with a role. With OIDC the provider is asked for
// the token, after the user has been there with a browser. No token and no claim
// is ever logged.
//
// https://developer.hashicorp.com/vault/api-docs/auth/jwt
package jwt

import (
	"github.com/hashicorp/go-hclog"

	"strongroom/auth"
	"strongroom/engine"
	"strongroom/internal/storage"
)

// Method is one mounted JWT or OIDC auth method.
type Method struct {
	mount   engine.Mount
	logger  hclog.Logger
	configs *storage.Cache[*config]
	roles   *auth.Stored[role]
	remote  *remote // what providers have answered
	flows   *flows  // OIDC logins under way
}

// Factory makes the method for a mount.
func Factory(env engine.Env) (engine.Engine, error) {
	return &Method{
		mount: env.Mount, logger: env.Logger, configs: storage.NewCache[*config](1), roles: auth.NewStored(roleFolder, "name", auth.FromJSON[role]("jwt role")), remote: newRemote(), flows: newFlows(),
	}, nil
}

// Routes implements engine.Engine.
func (m *Method) Routes() []engine.Route {
	callback := []engine.Field{
		{Name: "state", Help: "As the provider was given it."},
		{Name: "code", Help: "What the provider gives a token for."},
		{Name: "nonce", Help: "Kept for compatibility; the token holds it."},
		{Name: "id_token", Help: "Not supported: the token is fetched with the code."},
		{Name: "client_nonce", Help: "As given to oidc/auth_url."},
		{Name: "error", Help: "The provider's refusal."},
		{Name: "error_description", Help: "The provider's reason."},
	}
	return []engine.Route{
		{Path: "config", Help: "Who signs tokens, and where their keys are.", Fields: configFields(), Answers: engine.Answers{engine.Read: configInfo{}, engine.Update: engine.Nothing{}}, Read: m.readConfig, Write: m.writeConfig},
		{Path: "role", Help: "List the roles.", List: m.roles.List, Fields: auth.ListFields(), Answers: engine.Answers{engine.List: engine.Keys{}}},
		{
			Path: "role/{name}", Help: "Whose tokens may log in, and what token they get.",
			Answers: engine.Answers{engine.Read: roleInfo{}, engine.Update: engine.Nothing{}, engine.Delete: engine.Nothing{}},
			Fields:  roleFields(), Exists: m.roles.Exists, Read: m.readRole, Write: m.writeRole, Delete: m.roles.Delete,
		},
		{
			Path: "login", Help: "Log in with a signed JWT.", Public: true, Answers: engine.Answers{engine.Update: engine.Envelope{}},
			Fields: []engine.Field{
				{Name: "role", Type: engine.Name, Help: "Name of the role to log in as; by default the configuration's default_role."},
				{Name: "jwt", Help: "The signed token."},
			},
			Write: m.login,
		},
		{
			Path: "oidc/auth_url", Help: "Begin a login by browser: where to send it.", Public: true, External: true, Answers: engine.Answers{engine.Update: authURL{}},
			Fields: []engine.Field{
				{Name: "role", Type: engine.Name, Help: "Name of the role to log in as; by default the configuration's default_role."},
				{Name: "redirect_uri", Help: "Where the provider sends the browser back; one of the role's allowed_redirect_uris."},
				{Name: "client_nonce", Help: "A secret of the client's, which it shows again at the callback."},
			},
			Write: m.authURL,
		},
		{Path: "oidc/callback", Help: "End a login by browser.", Public: true, External: true, Fields: callback, Answers: engine.Answers{engine.Read: nil}, Read: m.callback},
		{
			Path: "oidc/poll", Help: "Ask whether a login in direct mode has ended.", Public: true, External: true,
			Answers: engine.Answers{engine.Read: engine.Envelope{}, engine.Update: engine.Envelope{}},
			Fields:  []engine.Field{{Name: "state", Help: "As oidc/auth_url answered it."}, {Name: "client_nonce", Help: "As given to oidc/auth_url."}},
			Read:    m.poll, Write: m.poll,
		},
	}
}
