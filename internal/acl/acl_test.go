package acl

import (
	"fmt"
	"strings"
	"testing"

	"strongroom/engine"
	"strongroom/internal/identity"
	"strongroom/internal/storage"
)

func filled(t testing.TB, entities int) (*Store, storage.Store, []string) {
	t.Helper()
	store, identities := storage.NewMem(), identity.Open("root")
	s := Open("root", identities)
	tx := storage.Begin(store)
	Initialize(tx, "root")
	var text strings.Builder
	for i := range 200 {
		fmt.Fprintf(&text, "path \"secret/data/team-%d/*\" { capabilities = [\"read\"] }\n", i)
	}
	if err := s.Put(tx, "team", text.String()); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for i := range entities {
		e := identity.NewEntity(fmt.Sprintf("e%d", i))
		if err := identities.PutEntity(t.Context(), tx, nil, e); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, e.ID)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s, store, ids
}

// What a policy's templates stand for is each entity's own, and follows a change of
// the policy; the rest of it is compiled once for all.
func TestEffectiveSharesWhatIsNotTemplated(t *testing.T) {
	s, store, ids := filled(t, 3)
	own := func(i, of int) bool {
		a, _, err := s.Effective(t.Context(), storage.Begin(store), []string{"default", "team"}, ids[i])
		if err != nil {
			t.Fatal(err)
		}
		if !a.Decide(engine.Read, "secret/data/team-7/x", nil).Allowed {
			t.Error("a rule without a template is lost")
		}
		return a.Decide(engine.Read, "identity/entity/id/"+ids[of], nil).Allowed
	}
	for range 2 {
		for i := range ids {
			for of := range ids {
				if own(i, of) != (i == of) {
					t.Errorf("entity %d at %d: %v", i, of, own(i, of))
				}
			}
		}
	}
	tx := storage.Begin(store)
	if err := s.Put(tx, "default", `path "identity/entity/id/{{identity.entity.id}}" { capabilities = ["deny"] }`); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if own(1, 1) {
		t.Error("a changed policy still grants what it did")
	}
}

// The callers of a request are of more entities than are remembered.
func BenchmarkEffective(b *testing.B) {
	for _, n := range []int{1, 1000, 20_000} {
		s, store, ids := filled(b, n)
		b.Run(fmt.Sprintf("%d-entities", n), func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				a, _, err := s.Effective(b.Context(), storage.Begin(store), []string{"default", "team"}, ids[i%n])
				if err != nil || !a.Decide(engine.Read, "secret/data/team-7/x", nil).Allowed {
					b.Fatal(err)
				}
				i++
			}
		})
	}
}
