package userpass

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"golang.org/x/crypto/bcrypt"

	"strongroom/auth"
	"strongroom/engine"
)

const (
	userFolder = "user/" // + name
	maxName    = 512     // bytes
	// maxPassword is what bcrypt looks at, in bytes: of a longer password it would
	// not see the rest.
	maxPassword = 72
	// maxCost bounds what one login may cost: 14 is about a second of a processor.
	maxCost = 14
)

// secret is text that refuses to print, whatever the verb. It is stored, so it
// encodes to JSON as it is.
type secret string

// Format implements fmt.Formatter.
func (secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[secret]") }

// user is a user as it is stored.
type user struct {
	Hash  secret     `json:"hash"` // bcrypt, of the password
	Token auth.Token `json:"token"`
}

func nameField() engine.Field {
	return engine.Field{Name: "username", Type: engine.Name, Help: "Name of the user."}
}

func passwordFields() []engine.Field {
	return []engine.Field{
		{Name: "password", Help: "The password, of at most 72 bytes."},
		{Name: "password_hash", Help: "The bcrypt hash of the password, instead of the password; of cost 10, as this server's own."},
	}
}

func userFields() []engine.Field {
	fields := append([]engine.Field{nameField()}, passwordFields()...)
	return append(fields, auth.TokenFields("policies", "ttl", "max_ttl", "bound_cidrs")...)
}

func (m *Method) readUser(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	u, err := m.users.Named(ctx, req)
	if err != nil {
		return nil, err
	}
	data := map[string]any{}
	u.Token.Show(data)
	return &engine.Response{Data: data}, nil
}

// writeUser makes a user, or changes what the caller gives of one.
func (m *Method) writeUser(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	name := req.Data.String("username")
	if len(name) > maxName || strings.TrimSpace(name) != name {
		return nil, engine.Invalidf("a username has at most %d bytes, and no space at its ends", maxName)
	}
	u := &user{}
	old, err := m.users.Load(ctx, req, name)
	if err != nil {
		return nil, err
	}
	if old != nil {
		*u = *old
	}
	if !givesPassword(req.Data) && old == nil {
		return nil, engine.Invalidf("missing password: give password or password_hash")
	}
	if err := u.Token.Update(req.Data); err != nil {
		return nil, err
	}
	warnings := u.Token.Warnings(m.mount)
	if givesPassword(req.Data) {
		more, err := m.setPassword(ctx, u, req.Data)
		if err != nil {
			return nil, err
		}
		warnings = append(warnings, more...)
	}
	return m.save(req, u, warnings)
}

func (m *Method) save(req *engine.Request, u *user, warnings []string) (*engine.Response, error) {
	if err := m.users.Put(req, req.Data.String("username"), u); err != nil {
		return nil, err
	}
	if warnings == nil {
		return nil, nil
	}
	return &engine.Response{Warnings: warnings}, nil
}

// change saves what edit makes of the user in the path.
func (m *Method) change(ctx context.Context, req *engine.Request, edit func(*user) ([]string, error)) (*engine.Response, error) {
	old, err := m.users.Load(ctx, req, req.Data.String("username"))
	if err != nil {
		return nil, err
	}
	if old == nil {
		return nil, engine.Invalidf("username does not exist")
	}
	u := *old
	warnings, err := edit(&u)
	if err != nil {
		return nil, err
	}
	return m.save(req, &u, warnings)
}

func (m *Method) writePassword(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	if !givesPassword(req.Data) {
		return nil, engine.Invalidf("missing password: give password or password_hash")
	}
	return m.change(ctx, req, func(u *user) ([]string, error) { return m.setPassword(ctx, u, req.Data) })
}

func (m *Method) writePolicies(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	if !slices.ContainsFunc([]string{"token_policies", "policies"}, req.Data.Has) {
		return nil, engine.Invalidf("missing token_policies")
	}
	return m.change(ctx, req, func(u *user) ([]string, error) { return nil, u.Token.Update(req.Data) })
}

func givesPassword(d engine.Data) bool {
	return d.String("password") != "" || d.String("password_hash") != ""
}

// setPassword takes the password, or its hash, that the caller gave.
func (m *Method) setPassword(ctx context.Context, u *user, d engine.Data) (warnings []string, err error) {
	password, given := d.String("password"), d.String("password_hash")
	switch {
	case password != "" && given != "":
		return nil, engine.Invalidf("%q and %q cannot be supplied together: give one", "password", "password_hash")
	case given != "":
		u.Hash = secret(given)
		return checkHash(given)
	case len(password) > maxPassword:
		return nil, engine.Invalidf("the password is longer than %d bytes, which bcrypt would not see", maxPassword)
	}
	if err := m.turn(ctx); err != nil {
		return nil, err
	}
	defer m.done()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.DefaultCost)
	if err != nil {
		return nil, fmt.Errorf("userpass: hash a password: %w", err)
	}
	u.Hash = secret(hash)
	return nil, nil
}

const bcryptAlphabet = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// checkHash refuses what is no bcrypt hash, and what would cost too much to compare with.
func checkHash(hash string) (warnings []string, err error) {
	cost, err := bcrypt.Cost([]byte(hash))
	// bcrypt would refuse a malformed end only at the login, and faster than a wrong password.
	if err != nil || len(hash) != 60 || strings.Trim(hash[7:], bcryptAlphabet) != "" {
		return nil, engine.Invalidf("password_hash is not a bcrypt hash, such as \"$2b$10$…\" with 60 characters")
	}
	if cost > maxCost {
		return nil, engine.Invalidf("password_hash has cost %d; at most %d is taken, as each login spends it", cost, maxCost)
	}
	if cost != bcrypt.DefaultCost {
		return []string{fmt.Sprintf("password_hash has cost %d, not %d: the time that a login takes tells that the user exists. "+
			"Set the password itself to get a hash of this server's own.", cost, bcrypt.DefaultCost)}, nil
	}
	return nil, nil
}
