package approle

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"strongroom/engine"
)

// modelSecret is what a dumb model knows of a secret id.
type modelSecret struct {
	uses    int64 // left; 0: no limit
	expires time.Time
}

// model is a map of roles to their secret ids by text.
type model map[string]map[string]*modelSecret

func (m model) live(role, secret string) *modelSecret {
	s := m[role][secret]
	if s == nil || (!s.expires.IsZero() && !time.Now().Before(s.expires)) {
		return nil
	}
	return s
}

// Random roles, secret ids, logins, destructions and expirations end as a dumb
// model says, whenever the sweeper comes by.
func TestModel(t *testing.T) {
	for seed := range uint64(30) {
		synctest.Test(t, func(t *testing.T) { runModel(t, rand.New(rand.NewPCG(seed, 5))) })
	}
}

func runModel(t *testing.T, r *rand.Rand) {
	f, m := mount(t), model{}
	for step := range 400 {
		role, secret := fmt.Sprint("r", r.IntN(3)), fmt.Sprint("s", r.IntN(4))
		_, exists := m[role]
		live := m.live(role, secret)
		switch op := r.IntN(8); {
		case op == 0 && r.IntN(6) == 0:
			f.must(engine.Delete, "role/"+role, nil)
			delete(m, role)
		case op == 0:
			f.must(engine.Create, "role/"+role, object{"role_id": "id-of-" + role})
			if !exists {
				m[role] = map[string]*modelSecret{}
			}
		case op <= 2:
			uses, ttl := int64(r.IntN(3)), time.Duration(r.IntN(3))*10*time.Second
			_, err := f.Do(engine.Update, "role/"+role+"/custom-secret-id", object{"secret_id": secret, "num_uses": uses, "ttl": ttl.String()})
			if (err == nil) != (exists && live == nil) {
				t.Fatalf("step %d: register %s for %s: %v", step, secret, role, err)
			} else if err == nil {
				s := &modelSecret{uses: uses}
				if ttl > 0 {
					s.expires = time.Now().Add(ttl)
				}
				m[role][secret] = s
			}
		case op <= 5:
			_, err := f.login("id-of-"+role, secret)
			if (err == nil) != (live != nil) {
				t.Fatalf("step %d: login of %s with %s: %v", step, role, secret, err)
			}
			if live != nil && live.uses > 0 {
				if live.uses--; live.uses == 0 {
					delete(m[role], secret)
				}
			}
		case op == 6:
			if _, err := f.Do(engine.Update, "role/"+role+"/secret-id/destroy", object{"secret_id": secret}); (err == nil) != exists {
				t.Fatalf("step %d: destroy: %v", step, err)
			}
			if live != nil {
				delete(m[role], secret)
			}
		default:
			time.Sleep(time.Duration(r.IntN(4)) * time.Second)
			if r.IntN(2) == 0 {
				f.Expire(time.Now())
				for role := range m {
					maps.DeleteFunc(m[role], func(s string, _ *modelSecret) bool { return m.live(role, s) == nil })
				}
			}
		}
		m.check(t, f, step)
	}
}

// check compares the listings, and what stands in the due index.
func (m model) check(t *testing.T, f *fixture, step int) {
	t.Helper()
	want := slices.Sorted(maps.Keys(m))
	resp, err := f.Do(engine.List, "role", nil)
	if len(want) == 0 {
		return
	}
	if err != nil || !slices.Equal(resp.Data.(object)["keys"].([]string), want) {
		t.Fatalf("step %d: roles %v, %v, want %v", step, resp, err, want)
	}
	for role, secrets := range m {
		resp, err := f.Do(engine.List, "role/"+role+"/secret-id", nil)
		n := 0
		if err == nil {
			n = len(resp.Data.(object)["keys"].([]string))
		}
		if n != len(secrets) {
			t.Fatalf("step %d: %s has %d accessors, want %d", step, role, n, len(secrets))
		}
	}
}
