package active_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"strongroom/engine"
	"strongroom/internal/declare"
	"strongroom/internal/storage"
)

// awaiting is a plan of these requests, which the server s awaits.
func (s *server) awaiting(requests ...declare.Request) *declare.Plan {
	s.t.Helper()
	tx := storage.Begin(s.store)
	if err := declare.Await(tx); err != nil {
		s.t.Fatal(err)
	}
	if err := tx.Commit(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	plan := new(declare.Plan)
	for i, r := range requests {
		r.Stanza, r.Name, r.Operation = "base", fmt.Sprintf("r%d", i), "update"
		if err := plan.Add(r); err != nil {
			s.t.Fatal(err)
		}
	}
	return plan
}

func isFailure(err error) bool {
	_, ok := errors.AsType[*declare.Failure](err)
	return ok
}

// A declared rate limit counts the declared requests after it: they wait for it, and no
// permission to fail has one left out.
func TestDeclaredWithinDeclaredRateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t)
		s.must(s.root, engine.Update, "sys/mounts/secret", `{"type":"kv"}`)
		requests := []declare.Request{{Path: "sys/quotas/rate-limit/all", Data: map[string]any{"rate": "1", "interval": "1s"}}}
		for i := range 5 {
			requests = append(requests, declare.Request{Path: fmt.Sprintf("secret/%d", i), Data: map[string]any{"k": "v"}, AllowFailure: i%2 == 0})
		}
		plan := s.awaiting(requests...)
		for tries := 0; ; tries++ {
			err := plan.Run(t.Context(), s.store, s.s, hclog.NewNullLogger())
			if err == nil {
				break
			}
			if isFailure(err) || tries > 20 {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		s.must(s.root, engine.Delete, "sys/quotas/rate-limit/all", "")
		for i := range 5 {
			time.Sleep(time.Second)
			s.must(s.root, engine.Read, fmt.Sprintf("secret/%d", i), "")
		}
	})
}

// No audit device records for a while: nothing of the declaration is served
// meanwhile, and nothing of it is given up.
func TestDeclaredWaitsForAudit(t *testing.T) {
	s, c, _ := audited(t)
	plan := s.awaiting(declare.Request{Path: "secret/data/a", Data: map[string]any{"data": map[string]any{"k": "v"}}, AllowFailure: true},
		declare.Request{Path: "secret/data/b", Data: map[string]any{"data": map[string]any{"k": "v"}}})
	c.refuse(func(string) bool { return true })
	for range 2 {
		if err := plan.Run(t.Context(), s.store, s.s, hclog.NewNullLogger()); err == nil || isFailure(err) {
			t.Fatalf("without an audit device: %v", err)
		}
	}
	c.refuse(nil)
	if err := plan.Run(t.Context(), s.store, s.s, hclog.NewNullLogger()); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"a", "b"} {
		d := data(t, s.must(s.root, engine.Read, "secret/data/"+key, ""))
		if v := d["metadata"].(map[string]any)["version"]; v != 1.0 {
			t.Errorf("%s has version %v", key, v)
		}
	}
}
