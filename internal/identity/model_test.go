package identity

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"strongroom/internal/storage"
)

// world is what a store of identities should say, kept as plainly as can be.
type world struct {
	policies map[string][]string        // of entities and groups, by ID
	members  map[string]map[string]bool // of a group: entities and groups
	names    map[string]string          // of who logs in, folded: entity
	into     map[string]string          // merged entities
	disabled map[string]bool
}

// effective are the entity's policies and those of all groups around it.
func (w *world) effective(entity string) []string {
	in := map[string]bool{entity: true}
	for grown := true; grown; {
		grown = false
		for g, members := range w.members {
			for m := range members {
				if in[m] && !in[g] {
					in[g], grown = true, true
				}
			}
		}
	}
	var out []string
	for id := range in {
		out = append(out, w.policies[id]...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// contains says whether group a is, or has within it, group b.
func (w *world) contains(a, b string) bool {
	if a == b {
		return true
	}
	for m := range w.members[a] {
		if w.contains(m, b) {
			return true
		}
	}
	return false
}

// bench is the store beside its model.
type bench struct {
	*testing.T
	r     *rand.Rand
	mem   storage.Store
	s     *Store
	w     *world
	users []string

	merged int
}

func (b *bench) tx(do func(ctx context.Context, tx *storage.Tx) error) error {
	b.Helper()
	tx := storage.Begin(b.mem)
	if err := do(b.Context(), tx); err != nil {
		return err
	}
	return tx.Commit(b.Context())
}

func pick[V any](b *bench, m map[string]V) string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return ""
	}
	slices.Sort(keys)
	return keys[b.r.IntN(len(keys))]
}

func (b *bench) entities() map[string]bool {
	out := map[string]bool{}
	for id := range b.w.policies {
		if b.w.members[id] == nil {
			out[id] = true
		}
	}
	return out
}

func (b *bench) step() error {
	w, s := b.w, b.s
	entity, group := pick(b, b.entities()), pick(b, w.members)
	switch op := b.r.IntN(10); {
	case op == 9: // somebody who cannot log in
		e := NewEntity("")
		w.policies[e.ID] = nil
		return b.tx(func(ctx context.Context, tx *storage.Tx) error { return s.PutEntity(ctx, tx, nil, e) })
	case op == 0 || entity == "": // somebody logs in
		user := b.users[b.r.IntN(len(b.users))]
		return b.tx(func(ctx context.Context, tx *storage.Tx) error {
			e, err := s.Bind(ctx, tx, Login{Accessor: "a", Name: user})
			had := w.names[Fold(user)]
			switch {
			case had != "" && w.disabled[had]:
				if err != ErrDisabled {
					return fmt.Errorf("a disabled entity logs in: %v", err)
				}
				return nil
			case err != nil:
				return err
			case had != "" && e.ID != had:
				return fmt.Errorf("%q is %s, want %s", user, e.ID, had)
			case had == "":
				w.names[Fold(user)], w.policies[e.ID] = e.ID, nil
			}
			return nil
		})
	case op == 1 || group == "":
		g := NewGroup("", false)
		g.Policies = []string{"g" + g.ID[:4]}
		w.policies[g.ID], w.members[g.ID] = g.Policies, map[string]bool{}
		return b.tx(func(ctx context.Context, tx *storage.Tx) error { return s.PutGroup(ctx, tx, nil, g) })
	case op == 2: // other members
		var want []string
		for range b.r.IntN(3) {
			want = append(want, pick(b, b.entities()))
		}
		for m := range w.members[group] {
			if w.members[m] == nil {
				delete(w.members[group], m)
			}
		}
		for _, id := range want {
			w.members[group][id] = true
		}
		return b.tx(func(ctx context.Context, tx *storage.Tx) error {
			g, err := s.Group(ctx, tx, group)
			if err != nil {
				return err
			}
			return s.SetMembers(ctx, tx, g, want)
		})
	case op == 3: // other groups within
		child := pick(b, w.members)
		circle := w.contains(child, group)
		err := b.tx(func(ctx context.Context, tx *storage.Tx) error {
			g, err := s.Group(ctx, tx, group)
			if err != nil {
				return err
			}
			next := g.Clone()
			next.Children = append(next.Children, child)
			return s.PutGroup(ctx, tx, g, next)
		})
		if (err != nil) != circle {
			return fmt.Errorf("putting a group within another: %v, want a refusal: %v", err, circle)
		}
		if !circle {
			w.members[group][child] = true
		}
		return nil
	case op == 4:
		delete(w.members, group)
		delete(w.policies, group)
		for _, members := range w.members {
			delete(members, group)
		}
		return b.tx(func(ctx context.Context, tx *storage.Tx) error {
			g, err := s.Group(ctx, tx, group)
			if err != nil {
				return err
			}
			return s.DeleteGroup(ctx, tx, g)
		})
	case op == 5:
		_, err := s.Sweep(b.Context(), b.mem)
		return err
	case op == 6:
		return b.merge(entity, pick(b, b.entities()))
	case op == 7:
		b.forget(entity)
		return b.tx(func(ctx context.Context, tx *storage.Tx) error {
			e, err := s.Entity(ctx, tx, entity)
			if err != nil {
				return err
			}
			s.DeleteEntity(tx, e)
			return nil
		})
	}
	policies, disabled := []string{fmt.Sprint("p", b.r.IntN(5))}, b.r.IntN(4) == 0
	w.policies[entity], w.disabled[entity] = policies, disabled
	return b.tx(func(ctx context.Context, tx *storage.Tx) error {
		e, err := s.Entity(ctx, tx, entity)
		if err != nil {
			return err
		}
		next := e.Clone()
		next.Policies, next.Disabled = policies, disabled
		return s.PutEntity(ctx, tx, e, next)
	})
}

// forget takes an entity out of the model.
func (b *bench) forget(entity string) {
	w := b.w
	delete(w.policies, entity)
	delete(w.disabled, entity)
	for user, id := range w.names {
		if id == entity {
			delete(w.names, user)
		}
	}
	for _, members := range w.members {
		delete(members, entity)
	}
	for from, to := range w.into {
		if to == entity {
			delete(w.into, from)
		}
	}
}

func (b *bench) merge(from, to string) error {
	w := b.w
	names := 0
	for _, id := range w.names {
		if id == from || id == to {
			names++
		}
	}
	refused := from == to || names > 1
	err := b.tx(func(ctx context.Context, tx *storage.Tx) error {
		e, err := b.s.Entity(ctx, tx, to)
		if err != nil {
			return err
		}
		return b.s.Merge(ctx, tx, e, []string{from}, nil)
	})
	if (err != nil) != refused {
		return fmt.Errorf("merging: %v, want a refusal: %v", err, refused)
	}
	if refused {
		return nil
	}
	b.merged++
	for user, id := range w.names {
		if id == from {
			w.names[user] = to
		}
	}
	for _, members := range w.members {
		if members[from] {
			members[to] = true
		}
	}
	for old, id := range w.into {
		if id == from {
			w.into[old] = to
		}
	}
	b.forget(from)
	w.into[from] = to
	return nil
}

// check compares every entity that there is, or was merged.
func (b *bench) check() error {
	tx := storage.Begin(b.mem)
	ask := map[string]string{}
	for id := range b.entities() {
		ask[id] = id
	}
	for from, to := range b.w.into {
		ask[from] = to
	}
	for id, is := range ask {
		c, err := b.s.Caller(b.Context(), tx, id)
		if b.w.disabled[is] {
			if err != ErrDisabled {
				return fmt.Errorf("a disabled entity: %v", err)
			}
			continue
		}
		if err != nil {
			return err
		}
		if want := b.w.effective(is); c.Entity.ID != is || !slices.Equal(c.Policies, want) {
			return fmt.Errorf("entity %s is %s with %q, want %s with %q", id, c.Entity.ID, c.Policies, is, want)
		}
	}
	return nil
}

// Whatever is done to entities and groups, everybody has the policies that a
// plain model says, and nothing is left when all are gone.
func TestAgainstModel(t *testing.T) {
	merged := 0
	for seed := range uint64(30) {
		b := &bench{T: t, r: rand.New(rand.NewPCG(seed, 7)), mem: storage.NewMem(), s: Open("root"), users: []string{"Ada", "ada", " bob", "bob", "eve"},
			w: &world{map[string][]string{}, map[string]map[string]bool{}, map[string]string{}, map[string]string{}, map[string]bool{}}}
		for step := range 150 {
			err := b.step()
			if err == nil {
				err = b.check()
			}
			if err != nil {
				t.Fatalf("seed %d, step %d: %v", seed, step, err)
			}
		}
		merged += b.merged
		b.clear()
		for key := range b.mem.Keys(t.Context(), "", "") {
			t.Errorf("seed %d: left over: %s", seed, key)
		}
	}
	if merged < 50 {
		t.Errorf("%d merges: the test asks too little", merged)
	}
}

func (b *bench) clear() {
	b.Helper()
	err := b.tx(func(ctx context.Context, tx *storage.Tx) error {
		for id := range b.w.members {
			g, err := b.s.Group(ctx, tx, id)
			if err != nil {
				return err
			}
			if err := b.s.DeleteGroup(ctx, tx, g); err != nil {
				return err
			}
		}
		for id := range b.entities() {
			e, err := b.s.Entity(ctx, tx, id)
			if err != nil {
				return err
			}
			b.s.DeleteEntity(tx, e)
		}
		return nil
	})
	if err == nil {
		_, err = b.s.Sweep(b.Context(), b.mem)
	}
	if err != nil {
		b.Fatal(err)
	}
}

func TestNames(t *testing.T) {
	for name, ok := range map[string]bool{
		"ada": true, "Ada Lovelace": true, "über": true, "a.b-c_d@e": true, "": false, "  ": false, "a/b": false, "a\nb": false, "..": false, " . ": false,
		"a\xff": false, strings.Repeat("x", 513): false,
	} {
		if err := CheckName(name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
	if Fold(" ADA ") != Fold("ada") || Fold("ada") == Fold("a da") {
		t.Error("Fold folds too little or too much")
	}
}

func FuzzPolicies(f *testing.F) {
	f.Add("root")
	f.Add(" RooT\u00a0")
	f.Add("a,b")
	f.Fuzz(func(t *testing.T, name string) {
		got, err := CheckPolicies([]string{name, "x"})
		if err != nil {
			return
		}
		for _, p := range got {
			if p == "" || p != strings.ToLower(p) || p != strings.TrimSpace(p) || p == "root" || p == "response-wrapping" {
				t.Errorf("%q became %q", name, got)
			}
		}
	})
}

func BenchmarkCaller(b *testing.B) {
	s, mem := Open("root"), storage.NewMem()
	tx := storage.Begin(mem)
	e, err := s.Bind(b.Context(), tx, Login{Accessor: "a", Name: "ada"})
	if err != nil {
		b.Fatal(err)
	}
	g := NewGroup("g", false)
	g.Policies = []string{"p"}
	if err := s.PutGroup(b.Context(), tx, nil, g); err != nil {
		b.Fatal(err)
	}
	if err := s.SetMembers(b.Context(), tx, g, []string{e.ID}); err != nil {
		b.Fatal(err)
	}
	if err := tx.Commit(b.Context()); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if c, err := s.Caller(b.Context(), storage.Begin(mem), e.ID); err != nil || len(c.Policies) != 1 {
			b.Fatal(c, err)
		}
	}
}
