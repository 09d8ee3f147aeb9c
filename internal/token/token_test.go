package token

import (
	"bytes"
	"encoding/base64"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"strongroom/engine"
	"strongroom/internal/storage"
)

type everything struct{}

func (everything) Has(string) bool { return true }

// open is a store of tokens whose key is 32 bytes of 0x07.
func open(t testing.TB) (*Store, storage.Store) {
	t.Helper()
	store := storage.NewMem()
	tx := storage.Begin(store)
	tx.Put(prefixOf("root")+"key", bytes.Repeat([]byte{7}, 32))
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), store, "root")
	if err != nil {
		t.Fatal(err)
	}
	return s, store
}

func (s *Store) issue(t testing.TB, store storage.Store, spec Spec) (*Token, string) {
	t.Helper()
	spec.Mount = engine.Mount{UUID: "m", DefaultTTL: time.Hour, MaxTTL: 24 * time.Hour}
	tx := storage.Begin(store)
	tok, raw, _, err := s.Issue(t.Context(), tx, spec)
	if err == nil {
		err = tx.Commit(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return tok, raw
}

// vector is a batch token of docs/format/token.md, sealed with the nonce 0x01…
const vector = "hvb.AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBL1VG5ORt9JLlyTJQcxSwIyiupxFI5B0ERX8r03q8eyBAesakV0AKc6SNbPrhseXqQdEh5z8A7-5iBKyiRbxwdfmiBlYGrGcCTWc30rZFoZWqx6Zybw"

func TestBatchVector(t *testing.T) {
	s, _ := open(t)
	got, err := s.openBatch(vector, strings.TrimPrefix(vector, BatchPrefix))
	if err != nil {
		t.Fatal(err)
	}
	if got.Created != 1 || got.Expires != 61 || got.TTL != 60 || !slices.Equal(got.Policies, []string{"default"}) || got.Path != "auth/token/create" || got.Mount != "m" {
		t.Errorf("read as %+v", got)
	}
}

// No change to a batch token leaves it valid, and none is another namespace's.
func FuzzBatchToken(f *testing.F) {
	s, store := open(f)
	nonce := bytes.Repeat([]byte{1}, 24)
	sealed := s.box.Seal(nonce, nonce, []byte(`{"l":["a"],"a":"p","m":"m","c":1,"t":1,"e":99999999999}`), []byte(s.prefix)) // the same in every worker
	f.Add(sealed)
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{1}, 24))
	f.Fuzz(func(t *testing.T, forged []byte) {
		other := BatchPrefix + base64.RawURLEncoding.EncodeToString(forged)
		got, err := s.Lookup(t.Context(), storage.Begin(store), other, everything{})
		if valid := err == nil; valid != bytes.Equal(forged, sealed) {
			t.Errorf("%q is %+v, %v", other, got, err)
		}
	})
}

func TestBatchOfAnotherNamespace(t *testing.T) {
	s, store := open(t)
	_, raw := s.issue(t, store, Spec{Path: "p", Grant: engine.Grant{Type: Batch, Policies: []string{"a"}}})
	other := *s
	other.prefix = prefixOf("other") // the same key, even
	if _, err := other.Lookup(t.Context(), storage.Begin(store), raw, everything{}); err != ErrInvalid {
		t.Errorf("another namespace takes it: %v", err)
	}
}

func TestKindFor(t *testing.T) {
	for _, c := range []struct{ tuned, asked, want string }{
		{"", "", Service}, {"", "batch", Batch}, {"default-service", "default", Service}, {"default-batch", "", Batch}, {"default-batch", "service", Service},
		{"service", "batch", Service}, {"batch", "service", Batch},
	} {
		if got, err := KindFor(c.tuned, c.asked); got != c.want || err != nil {
			t.Errorf("%q, %q: %q, %v", c.tuned, c.asked, got, err)
		}
	}
	if _, err := KindFor("", "default-batch"); err == nil {
		t.Error("a caller asks for default-batch")
	}
}

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"a", "a", true}, {"a", "b", false}, {"*", "", true}, {"a*", "a", true}, {"a*", "ba", false}, {"*a", "ba", true}, {"*a", "ab", false},
		{"a*c", "abc", true}, {"a*c", "ac", true}, {"aa*aa", "aaa", false}, {"a*b*c", "a-b-b-c", true}, {"a*b*c", "a-c-b", false}, {"**", "x", true}, {"*ab*ab", "ab", false},
	} {
		if got := glob(c.pattern, c.text); got != c.want {
			t.Errorf("%q matches %q: %v", c.pattern, c.text, got)
		}
	}
}

// Tidy deletes what stands for no token, and nothing else.
func TestTidy(t *testing.T) {
	s, store := open(t)
	parent, _ := s.issue(t, store, Spec{Path: "auth/p", Grant: engine.Grant{Policies: []string{"a"}}})
	s.issue(t, store, Spec{Path: "auth/p", Parent: parent, Grant: engine.Grant{Policies: []string{"a"}}})
	all := func() (keys []string) {
		for k := range store.Keys(t.Context(), "", "") {
			keys = append(keys, k)
		}
		return keys
	}
	sound := all()
	tx := storage.Begin(store)
	tx.Put(s.accessorKey("stray"), []byte("gone"))
	tx.Put(s.childKey("gone", "gone"), nil)
	tx.Put(s.leases.TokenKey("auth/p", "gone"), nil)
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Tidy(t.Context(), store); n != 0 || err != nil {
		t.Errorf("unasked it tidied %d, %v", n, err)
	}
	tx = storage.Begin(store)
	s.AskTidy(tx)
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Tidy(t.Context(), store); n != 3 || err != nil {
		t.Errorf("tidied %d, %v", n, err)
	}
	if got := all(); !slices.Equal(got, sound) {
		t.Errorf("left are\n%v\nwant\n%v", got, sound)
	}
}

// A renewal moves the token in the due index and leaves nothing behind.
func TestRenewKeepsOneDueKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, store := open(t)
		tok, _ := s.issue(t, store, Spec{Path: "auth/p", Grant: engine.Grant{Policies: []string{"a"}}})
		for range 5 {
			time.Sleep(time.Minute)
			tx := storage.Begin(store)
			next, _, err := s.Renew(tx, tok, 0)
			if err == nil {
				err = tx.Commit(t.Context())
			}
			if err != nil {
				t.Fatal(err)
			}
			tok = next
		}
		tx, n := storage.Begin(store), 0
		for range store.Keys(t.Context(), "lease/due/", "") {
			n++
		}
		s.Revoke(tx, tok)
		if err := tx.Commit(t.Context()); err != nil || n != 1 {
			t.Errorf("%d keys in the due index, %v", n, err)
		}
		for k := range store.Keys(t.Context(), "", "") {
			if k != prefixOf("root")+"key" {
				t.Errorf("left behind: %s", k)
			}
		}
	})
}

// Tokens that end give back the memory of their use.
func TestEndedTokensHoldNoMemory(t *testing.T) {
	s, store := open(t)
	const many = 3000
	for range many {
		tok, raw := s.issue(t, store, Spec{Grant: engine.Grant{Policies: []string{"reader"}, Metadata: map[string]string{"team": "x"}}, Path: "auth/token/create"})
		tx := storage.Begin(store)
		if _, err := s.Lookup(t.Context(), tx, raw, everything{}); err != nil {
			t.Fatal(err)
		}
		tx = storage.Begin(store)
		s.Revoke(tx, tok)
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	held := heap()
	s.cache = nil
	if held -= heap(); held > many*50 {
		t.Errorf("%d tokens that ended hold %d bytes", many, held)
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
