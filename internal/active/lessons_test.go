package active_test

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"

	"strongroom/engine"
)

// torn is an auth method with a bug: its login grants a token and fails.
type torn struct{ err error }

func (m torn) Routes() []engine.Route {
	return []engine.Route{{Path: "login", Public: true, Fields: []engine.Field{{Name: "user"}}, Write: func(_ context.Context, req *engine.Request) (*engine.Response, error) {
		req.Storage.Put("written", []byte("x"))
		return &engine.Response{Grant: &engine.Grant{Alias: "ada", Policies: []string{"default"}}}, m.err
	}}}
}

// An error is the whole answer: no token is made of what a handler returns beside
// it, and nothing that it wrote is kept.
func TestLessonNoTokenWhenAHandlerErrs(t *testing.T) {
	for _, err := range []error{engine.ErrDenied, errors.New("torn"), engine.Invalidf("wrong")} {
		s := startMethod(t, torn{err})
		stored := func() map[string]bool {
			out := map[string]bool{}
			for k := range keysOf(t, s.store) {
				out[k] = true
			}
			return out
		}
		before := stored()
		if resp, got := s.do("", engine.Update, "auth/sso/login", `{}`); resp != nil || !errors.Is(got, err) {
			t.Errorf("%v: answered %+v, %v", err, resp, got)
		}
		if after := stored(); !maps.Equal(before, after) {
			t.Errorf("%v: %d keys were stored, then %d", err, len(before), len(after))
		}
	}
	// The same login without the error does make one, or this test could not fail.
	s := startMethod(t, torn{})
	s.must("", engine.Update, "auth/sso/login", `{}`)
	due := false
	for k := range keysOf(t, s.store) {
		due = due || strings.Contains(k, "due/")
	}
	if !due {
		t.Error("a login without an error made no token: nothing is due")
	}
}

// Whoever has a token can have rules checked, but not without end.
func TestLessonPolicyChecksAreBounded(t *testing.T) {
	s := start(t)
	tok := s.grant("some", `path "x" { capabilities = ["read"] }`)
	s.must(tok, engine.Update, "sys/capabilities-self", `{"paths":"`+strings.Repeat("x,", 1000)+`"}`)
	s.fails(engine.Invalid, "at most 1000 paths", tok, engine.Update, "sys/capabilities-self", `{"paths":"`+strings.Repeat("x,", 1001)+`"}`)
	s.fails(engine.Invalid, "at most 1000 paths", tok, engine.Update, "sys/capabilities-self", `{"path":"x","paths":"`+strings.Repeat("x,", 1000)+`"}`)
}
