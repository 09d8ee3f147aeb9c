package active_test

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"strongroom/engine"
	"strongroom/internal/lease"
	"strongroom/internal/mount"
	"strongroom/internal/storage"
	"strongroom/internal/token"
)

// A login, a token and a lease are one entry of the log each; a batch token is none.
func TestOneEntryEach(t *testing.T) {
	s, _ := startLending(t)
	s.s.Close()
	counted := &counting{Store: s.store}
	s.store = counted
	s.reopen()
	s.must(s.root, engine.Update, "auth/token/roles/r", `{"allowed_policies":"reader"}`)
	borrower, _ := s.create(s.root, "create", `{"policies":"borrower"}`)
	for _, c := range []struct {
		token, path, body string
		want              int
	}{
		{"", "auth/login/login", `{"policies":"reader"}`, 1},
		{"", "auth/login/login", `{"policies":"reader","type":"batch"}`, 0},
		{s.root, "auth/token/create", `{"policies":"reader"}`, 1},
		{s.root, "auth/token/create-orphan", `{"policies":"reader"}`, 1},
		{s.root, "auth/token/create/r", `{}`, 1},
		{s.root, "auth/token/create", `{"policies":"reader","type":"batch"}`, 0},
		{borrower, "db/creds/app", `{}`, 1}, // the first, which marks the token
		{borrower, "db/creds/app", `{}`, 1},
	} {
		counted.mu.Lock()
		before := counted.applied
		counted.mu.Unlock()
		s.must(c.token, engine.Update, c.path, c.body)
		counted.mu.Lock()
		if n := counted.applied - before; n != c.want {
			t.Errorf("%s %s makes %d entries, want %d", c.path, c.body, n, c.want)
		}
		counted.mu.Unlock()
	}
}

// Leases that are not due cost an opened session nothing: it reads as much with
// a hundred thousand of them as with a hundred, and so does its background work.
func TestLeasesCostNoStart(t *testing.T) {
	const batch = 100
	read := func(t *testing.T, leases int) (gets, keys int) {
		synctest.Test(t, func(t *testing.T) {
			s := startOn(t, newLazy())
			s.s.Close()
			book, now := lease.Open("root"), time.Now().Unix()
			for range leases / batch {
				tx := storage.Begin(s.store)
				for range batch {
					if err := book.Add(tx, "db/creds/app", &lease.Lease{Mount: "m", Owner: "o", Issued: now, Expires: now + 3600, TTL: 3600, Max: 3600, Revoke: []byte("x")}); err != nil {
						t.Fatal(err)
					}
				}
				if err := tx.Commit(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			counted := &counting{Store: s.store}
			s.store = counted
			s.reopen()
			time.Sleep(3500 * time.Millisecond)
			s.s.Close()
			gets, keys = counted.gets, counted.keys
		})
		return gets, keys
	}
	fewGets, fewKeys := read(t, batch)
	manyGets, manyKeys := read(t, 100_000)
	if fewGets != manyGets || fewKeys != manyKeys {
		t.Errorf("a start reads %d values and %d keys with 100 leases, %d and %d with 100,000", fewGets, fewKeys, manyGets, manyKeys)
	}
}

// A service token costs a session under 500 bytes of memory while it is in use,
// and 100,000 of them that end leave storage as it was.
func TestTokensCostLittle(t *testing.T) {
	const many, batch = 100_000, 500
	s := startOn(t, newLazy())
	s.prepare()
	s.s.Close()
	stored := slices.Collect(keysOf(t, s.store))
	table, err := mount.Load(t.Context(), storage.Begin(s.store), "root")
	if err != nil {
		t.Fatal(err)
	}
	issuer, _ := table.Find("auth/token/")
	tokens, err := token.Open(t.Context(), s.store, "root")
	if err != nil {
		t.Fatal(err)
	}
	raw := func(i int) string { return fmt.Sprintf("token-%d", i) }
	for i := 0; i < many; {
		tx := storage.Begin(s.store)
		for end := i + batch; i < end; i++ {
			_, _, _, err := tokens.Issue(t.Context(), tx, token.Spec{Raw: raw(i), Path: "auth/token/create", Mount: engine.Mount{UUID: issuer.UUID, MaxTTL: time.Hour, DefaultTTL: time.Hour},
				Grant: engine.Grant{Policies: []string{"reader"}, DisplayName: "token", Metadata: map[string]string{"team": "x"}}})
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	tokens = nil
	s.reopen() // a session that has seen none of them
	before := heap()
	for i := range many {
		s.must(raw(i), engine.Read, "auth/token/lookup-self", "")
	}
	each := (heap() - before) / many
	t.Logf("a token in use holds %d bytes", each)
	if each >= 500 {
		t.Errorf("a token in use holds %d bytes of memory, want less than 500", each)
	}
	s.must(s.root, engine.Update, "sys/leases/revoke-prefix/auth/token/create", `{"sync":true}`)
	if left := slices.Collect(keysOf(t, s.store)); !slices.Equal(left, stored) {
		t.Errorf("%d keys are stored after their end, %d before", len(left), len(stored))
	}
	s.fails(engine.Denied, "invalid token", raw(0), engine.Read, "auth/token/lookup-self", "")
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
