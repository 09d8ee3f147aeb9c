package userpass

import (
	"context"

	"strongroom/engine"
)

// nobody is the hash that a password is compared with if there is no user: of
// the cost of every other, and of a password that nobody knows.
const nobody = "$2a$10$rNtKujK2XOEPOn2OvlwU3O..............................."

// errInvalid is the answer to a wrong name and to a wrong password alike.
func errInvalid() error { return engine.BadLogin("invalid username or password") }

// login exchanges a name and a password for a token.
func (m *Method) login(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	name, password := req.Data.String("username"), req.Data.String("password")
	if password == "" {
		return nil, engine.Invalidf("missing password")
	}
	u, err := m.users.Load(ctx, req, name)
	if err != nil {
		return nil, err
	}
	hash := nobody
	if u != nil {
		hash = string(u.Hash)
	}
	right, err := m.check(ctx, hash, password)
	if err != nil {
		return nil, err
	}
	if u == nil || !right {
		return nil, errInvalid()
	}
	// Only who knows the password learns that it is the address which is wrong.
	if !u.Token.Admits(req.Remote.Addr()) {
		return nil, engine.ErrDenied
	}
	g := u.Token.Grant()
	g.Alias, g.DisplayName = name, name
	g.Metadata = map[string]string{"username": name}
	return &engine.Response{Grant: g}, nil
}

// Renew implements engine.Renewer: the user must be there with the policies that
// the login gave, and the user's times count.
func (m *Method) Renew(ctx context.Context, req *engine.Request, g *engine.Grant) (*engine.Grant, error) {
	u, err := m.users.Load(ctx, req, g.Metadata["username"])
	if err != nil {
		return nil, err
	}
	if u == nil {
		return nil, engine.Invalidf("the user is gone, not renewing")
	}
	return u.Token.Renewed(g)
}

// check compares a password with a hash, in its turn. It always does the whole
// work: a password that is too long costs as much as another.
func (m *Method) check(ctx context.Context, hash, password string) (bool, error) {
	if err := m.turn(ctx); err != nil {
		return false, err
	}
	defer m.done()
	fits := len(password) <= maxPassword
	password = password[:min(len(password), maxPassword)]
	return m.compare([]byte(hash), []byte(password)) == nil && fits, nil
}

// turn waits until a password may be compared; done gives the turn back.
func (m *Method) turn(ctx context.Context) error {
	select {
	case m.turns <- struct{}{}:
		return nil
	case <-ctx.Done():
		return engine.Errorf(engine.Unavailable, "too many logins wait; nothing was done: try again")
	}
}

func (m *Method) done() { <-m.turns }
