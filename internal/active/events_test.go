package active_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"strongroom/engine"
	"strongroom/internal/events"
	"strongroom/internal/gateway"
)

func (s *server) subscribe(token string) *gateway.Subscription {
	s.t.Helper()
	sub, err := s.s.Subscribe(s.t.Context(), &gateway.Request{ID: "id", Operation: engine.Read, Path: "sys/events/subscribe/kv*", Token: token,
		Remote: netip.MustParseAddrPort("10.0.0.1:1")})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(sub.Close)
	return sub
}

const mayFollow = `{"policy":"path \"sys/events/subscribe/kv*\" { capabilities = [\"read\"] }\npath \"secret/data/app/*\" { capabilities = [\"subscribe\"]\n subscribe_event_types = [\"*\"] }"}`

// TestSubscriptionEnds: a subscription ends within ten seconds after its caller may have it no more, though nothing
// happens meanwhile; and at once, if something does.
func TestSubscriptionEnds(t *testing.T) {
	write := func(s *server) { s.must(s.root, engine.Update, "secret/data/app/db", `{"data":{}}`) }
	for name, test := range map[string]struct {
		end   func(s *server, token string)
		after time.Duration // at most
	}{
		"the token expires":      {func(*server, string) { time.Sleep(time.Minute) }, 10 * time.Second},
		"the token is revoked":   {func(s *server, token string) { s.must(token, engine.Update, "auth/token/revoke-self", "") }, 10 * time.Second},
		"the policy is taken":    {func(s *server, _ string) { s.must(s.root, engine.Delete, "sys/policy/follower", "") }, 10 * time.Second},
		"the method is disabled": {func(s *server, _ string) { s.must(s.root, engine.Delete, "sys/auth/login", "") }, 10 * time.Second},
		"revoked, and a write":   {func(s *server, token string) { s.must(token, engine.Update, "auth/token/revoke-self", ""); write(s) }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := start(t)
				s.prepare()
				s.must(s.root, engine.Update, "sys/policies/acl/follower", mayFollow)
				token, _ := s.login(`{"policies":"follower","ttl":"60s"}`)
				sub := s.subscribe(token)
				write(s)
				if e, err := sub.Next(t.Context()); err != nil || e.Type != "kv-v2/data-write" || e.APIPath() != "secret/data/app/db" {
					t.Fatalf("%v, %v", e, err)
				}
				test.end(s, token)
				begun := time.Now()
				e, err := sub.Next(t.Context())
				if ended, ok := errors.AsType[*engine.Error](err); !ok || ended.Kind != engine.Denied || time.Since(begun) > test.after {
					t.Errorf("after %s: %v, %v", time.Since(begun), e, err)
				}
			})
		})
	}
}

// TestSubscriptionsEndWithTheSession: and none begins on a node that does not lead.
func TestSubscriptionsEndWithTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t)
		s.prepare()
		sub := s.subscribe(s.root)
		ended := make(chan error, 1)
		go func() {
			_, err := sub.Next(t.Context())
			ended <- err
		}()
		synctest.Wait()
		s.s.Close()
		if err := <-ended; !errors.Is(err, events.ErrClosed) {
			t.Errorf("ended by %v", err)
		}
		if _, err := s.s.Subscribe(t.Context(), &gateway.Request{Operation: engine.Read, Path: "sys/events/subscribe/*", Token: s.root}); err == nil {
			t.Error("a session that is over lets in a subscriber")
		}
		s.reopen()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if _, err := s.subscribe(s.root).Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a quiet hour ends by %v", err)
		}
	})
}

// TestDocumentedPolicy: the policy of docs/events.md lets an operator follow what it copies, and nothing else.
func TestDocumentedPolicy(t *testing.T) {
	guide, err := os.ReadFile("../../docs/events.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(guide), "```hcl\n")
	rules, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatal("the guide has no policy")
	}
	s := start(t)
	s.prepare()
	body, err := json.Marshal(map[string]string{"policy": rules})
	if err != nil {
		t.Fatal(err)
	}
	s.must(s.root, engine.Update, "sys/policies/acl/operator", string(body))
	token, _ := s.login(`{"policies":"operator","ttl":"60s"}`)
	sub, err := s.s.Subscribe(t.Context(), &gateway.Request{ID: "id", Operation: engine.Read, Path: "sys/events/subscribe/kv-v2/*", Token: token,
		Remote: netip.MustParseAddrPort("10.0.0.1:1")})
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	for _, c := range []struct {
		op         engine.Operation
		path, body string
		told       bool
	}{
		{engine.Update, "secret/data/other", `{"data":{}}`, false},
		{engine.Update, "secret/config", `{"max_versions":9}`, false},
		{engine.Update, "secret/metadata/app/db", `{"max_versions":9}`, false},
		{engine.Update, "secret/data/app/db", `{"data":{}}`, true},
		{engine.Delete, "secret/data/app/db", "", true},
		{engine.Update, "secret/undelete/app/db", `{"versions":[2]}`, true},
		{engine.Update, "secret/delete/app/db", `{"versions":[2]}`, true},
		{engine.Update, "secret/destroy/app/db", `{"versions":[2]}`, true},
		{engine.Delete, "secret/metadata/app/db", "", true},
	} {
		s.must(s.root, c.op, c.path, c.body)
		if !c.told {
			continue // the next event that is told is not this one
		}
		if e, err := sub.Next(t.Context()); err != nil || e.APIPath() != c.path {
			t.Fatalf("after %s %s: %v, %v", c.op, c.path, e, err)
		}
	}
	s.fails(engine.Denied, "permission denied", token, engine.List, "secret/metadata/app", "")
}

// TestEventsAreNoRequests: what a subscriber is told counts as no request of its own, or a rate limit would cut off whoever hears much.
func TestEventsAreNoRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t)
		s.prepare()
		s.must(s.root, engine.Update, "sys/policies/acl/follower", mayFollow)
		token, _ := s.login(`{"policies":"follower","ttl":"60s"}`)
		s.must(s.root, engine.Update, "sys/quotas/rate-limit/events", `{"path":"sys/events/subscribe/*","rate":2,"interval":"1h"}`)
		sub := s.subscribe(token)
		for i := range 10 {
			s.must(s.root, engine.Update, "secret/data/app/db", `{"data":{}}`)
			if _, err := sub.Next(t.Context()); err != nil {
				t.Fatalf("event %d: %v", i, err)
			}
		}
		req := &gateway.Request{ID: "id", Operation: engine.Read, Path: "sys/events/subscribe/kv*", Token: token, Remote: netip.MustParseAddrPort("10.0.0.1:1")}
		if again, err := s.s.Subscribe(t.Context(), req); err != nil {
			t.Errorf("the second subscription: %v", err)
		} else {
			again.Close()
		}
		if _, err := s.s.Subscribe(t.Context(), req); engine.KindOf(err) != engine.TooMany {
			t.Errorf("the third subscription: %v", err)
		}
	})
}
