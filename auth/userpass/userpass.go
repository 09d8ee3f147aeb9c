// Package userpass owns the auth method of people: a name and a password. Only
// bcrypt hashes of passwords are stored. A name is lower-cased before anything
// else is done with it, and whoever asks with a name that nobody has waits as
// long, and is told the same, as for a wrong password.
//
// https://developer.hashicorp.com/vault/api-docs/auth/userpass
package userpass

import (
	"runtime"

	"golang.org/x/crypto/bcrypt"

	"strongroom/auth"
	"strongroom/engine"
)

// Method is one mounted userpass auth method.
type Method struct {
	mount engine.Mount
	users *auth.Stored[user]
	// compare tells whether a hash is of a password; tests count its calls.
	compare func(hash, password []byte) error
	// turns bounds how many passwords are compared at once: each takes 50 ms of a
	// processor and anybody may ask, but the rest of the server wants some too.
	turns chan struct{}
}

// Factory makes the method for a mount.
func Factory(env engine.Env) (engine.Engine, error) { return New(env), nil }

// New makes the method for a mount.
func New(env engine.Env) *Method {
	return &Method{
		mount: env.Mount, users: auth.NewStored(userFolder, "username", auth.FromJSON[user]("userpass user")), compare: bcrypt.CompareHashAndPassword,
		turns: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),
	}
}

// Routes implements engine.Engine.
func (m *Method) Routes() []engine.Route {
	return []engine.Route{
		{Path: "users", Help: "List the users.", List: m.users.List, Fields: auth.ListFields(), Answers: engine.Answers{engine.List: engine.Keys{}}},
		{
			Path: "users/{username}", Help: "Who may log in, and what token they get.",
			Answers: engine.Answers{engine.Read: auth.Shows{}, engine.Update: engine.Nothing{}, engine.Delete: engine.Nothing{}},
			Fields:  userFields(), Exists: m.users.Exists, Read: m.readUser, Write: m.writeUser, Delete: m.users.Delete,
		},
		{Path: "users/{username}/password", Help: "Change a user's password.", Fields: append([]engine.Field{nameField()}, passwordFields()...), Answers: engine.Answers{engine.Update: engine.Nothing{}}, Write: m.writePassword},
		{
			Path: "users/{username}/policies", Help: "Change a user's policies.", Answers: engine.Answers{engine.Update: engine.Nothing{}},
			Fields: []engine.Field{
				nameField(),
				{Name: "token_policies", Type: engine.StringList, Help: "Policies of the user's tokens."},
				{Name: "policies", Type: engine.StringList, Help: "Old name of token_policies."},
			},
			Write: m.writePolicies,
		},
		{
			Path: "login/{username}", Help: "Log in with a password.", Public: true, Answers: engine.Answers{engine.Update: engine.Envelope{}},
			Fields: []engine.Field{nameField(), {Name: "password", Help: "The user's password."}},
			Write:  m.login,
			Login:  func(req *engine.Request) string { return req.Data.String("username") },
		},
	}
}
