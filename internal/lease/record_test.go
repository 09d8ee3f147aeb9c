package lease

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"strongroom/internal/storage"
)

func change(t *testing.T, store storage.Store, do func(tx *storage.Tx) error) {
	t.Helper()
	tx := storage.Begin(store)
	err := do(tx)
	if err == nil {
		err = tx.Commit(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// The stored form is that of docs/format/lease.md.
func TestLeaseForm(t *testing.T) {
	store, b := storage.NewMem(), Open("root")
	put(t, store, "x")
	change(t, store, func(tx *storage.Tx) error {
		tx.Put("ns/root/lease/id/db/creds/app/X", []byte(`{"mount":"m","owner":"o","issued":1,"renewed":2,"expires":61,"due":61,"ttl":60,"max":3600,"renewable":true,"revoke":"dXNlcg==","tries":1,"error":"e"}`))
		tx.Put("ns/root/lease/id/auth/login/hT", nil)
		return nil
	})
	l, tok, err := b.Get(t.Context(), storage.Begin(store), "db/creds/app/X")
	if err != nil || tok != "" || l.ID != "db/creds/app/X" || l.Mount != "m" || l.Owner != "o" || l.Issued != 1 || l.Renewed != 2 || l.Expires != 61 || l.Due != 61 ||
		l.TTL != 60 || l.Max != 3600 || !l.Renewable || string(l.Revoke) != "user" || l.Tries != 1 || l.Error != "e" {
		t.Errorf("read as %+v, %v", l, err)
	}
	if l, tok, err := b.Get(t.Context(), storage.Begin(store), "auth/login/hT"); l != nil || tok != "T" || err != nil {
		t.Errorf("a token is %v, %q, %v", l, tok, err)
	}
	change(t, store, func(tx *storage.Tx) error { b.Remove(tx, l); tx.Delete("ns/root/lease/id/auth/login/hT"); return nil })
	for k := range store.Keys(t.Context(), "", "") {
		if k != "x" {
			t.Errorf("left behind: %s", k)
		}
	}
}

// After whatever happens to leases, each has one place in its mount's queue, at
// its time, and what is removed leaves nothing. The model is a map.
func TestBookModel(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			store, b, model := storage.NewMem(), Open("root"), map[string]*Lease{}
			pick := func() *Lease {
				for _, l := range model { // in no order, which is what is wanted
					return l
				}
				return nil
			}
			for range 200 {
				time.Sleep(time.Duration(rnd.IntN(5)) * time.Second)
				now := time.Now().Unix()
				l, op := pick(), rnd.IntN(5)
				if l == nil {
					op = 0
				}
				change(t, store, func(tx *storage.Tx) error {
					switch op {
					case 0:
						l := &Lease{Mount: fmt.Sprint("m", rnd.IntN(3)), Owner: []string{"", "t"}[rnd.IntN(2)], Issued: now, Expires: now + 60, TTL: 60, Max: 600}
						err := b.Add(tx, "db/creds", l)
						model[l.ID] = l
						return err
					case 1:
						return b.Extend(tx, l, now+100)
					case 2:
						return b.End(tx, l)
					case 3:
						return b.Failed(tx, l, errors.New(strings.Repeat("é", 200)))
					}
					b.Remove(tx, l)
					delete(model, l.ID)
					return nil
				})
				check(t, store, b, model)
			}
		})
	}
}

func check(t *testing.T, store storage.Store, b *Book, model map[string]*Lease) {
	t.Helper()
	var want, got []string
	stuck, mounts := 0, map[string]bool{}
	for id, l := range model {
		want = append(want, fmt.Sprintf("%s %d %s", l.Mount, l.Due, id))
		mounts[l.Mount] = true
		if l.Irrevocable() {
			stuck++
		}
		if len(l.Error) > maxError {
			t.Errorf("an error of %d bytes is kept", len(l.Error))
		}
		have, _, err := b.Get(t.Context(), storage.Begin(store), id)
		if err != nil || have.Due != l.Due || have.Expires != l.Expires || have.Tries != l.Tries {
			t.Errorf("stored is %+v, want %+v, %v", have, l, err)
		}
	}
	queues, err := Queues(t.Context(), store)
	if err != nil || len(queues) != len(mounts) {
		t.Errorf("%d queues, want %d, %v", len(queues), len(mounts), err)
	}
	for _, q := range queues {
		for it := range b.Queue(t.Context(), store, q[0]) {
			got = append(got, fmt.Sprintf("%s %d %s", q[0], it.At, it.ID))
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Fatalf("the queues hold\n%v\nwant\n%v", got, want)
	}
	n := 0
	for range b.Irrevocables(t.Context(), storage.Begin(store)) {
		n++
	}
	if n != stuck {
		t.Errorf("%d are listed as irrevocable, want %d", n, stuck)
	}
}
