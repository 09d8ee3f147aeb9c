package active_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"strongroom/engine"
	"strongroom/internal/storage"
	"strongroom/internal/storage/storagetest"
)

// Every write of a session fails once, before and after it persists. What was
// acknowledged is there, what surely failed is not, what is unknown is whole or
// absent, and no login ever leaves half a token.
func TestEveryWriteFails(t *testing.T) {
	const steps = 12
	for _, fault := range []storagetest.Fault{storagetest.NotPersisted, storagetest.PersistedAnyway} {
		for n := 1; n <= steps; n++ {
			t.Run(fmt.Sprint(fault, "/", n), func(t *testing.T) {
				s := start(t)
				s.prepare()
				sound := s.store
				faults := storagetest.NewFaults(sound, nil)
				faults.FailNth(n, fault)
				s.store = faults
				s.reopen()
				errs := map[int]error{}
				tokens := map[int]string{}
				for i := range steps {
					if i%2 == 0 {
						_, errs[i] = s.do(s.root, engine.Update, fmt.Sprintf("secret/data/app/k%d", i), `{"data":{"i":1}}`)
						continue
					}
					resp, err := s.do("", engine.Update, "auth/login/login", `{"policies":"reader","ttl":"1h"}`)
					if errs[i] = err; err == nil {
						tokens[i] = resp.Auth.ClientToken
					}
				}
				s.store = sound
				s.reopen()
				failed := 0
				for i := range steps {
					if errs[i] != nil {
						failed++
						if !errors.Is(errs[i], storagetest.ErrInjected) && !errors.Is(errs[i], storage.ErrUnknownOutcome) {
							t.Errorf("step %d: %v", i, errs[i])
						}
					}
					if i%2 == 0 {
						_, err := s.do(s.root, engine.Read, fmt.Sprintf("secret/data/app/k%d", i), "")
						if there, want := err == nil, errs[i] == nil || fault == storagetest.PersistedAnyway; there != want {
							t.Errorf("step %d (%v): the secret is there: %v", i, errs[i], there)
						}
					} else if errs[i] == nil {
						s.must(tokens[i], engine.Read, "auth/token/lookup-self", "")
					}
				}
				if failed != 1 {
					t.Errorf("%d steps failed", failed)
				}
				wholeTokens(t, s.store)
			})
		}
	}
}

// wholeTokens checks that every token has its record, its accessor and its
// place in the due index, and nothing else has.
func wholeTokens(t *testing.T, store storage.Store) {
	t.Helper()
	count := func(prefix string) (n int) {
		for k, err := range store.Keys(t.Context(), prefix, "") {
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasSuffix(k, "/") {
				n++
			}
		}
		return n
	}
	records, accessors, due := count("ns/root/token/id/"), count("ns/root/token/accessor/"), count("lease/due/")
	if records != accessors || records != due+1 { // the root token never expires
		t.Errorf("%d records, %d accessors, %d in the due index", records, accessors, due)
	}
}
