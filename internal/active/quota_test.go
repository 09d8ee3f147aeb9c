package active_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"strongroom/engine"
	"strongroom/internal/gateway"
)

// holding is the path of the rule that counts a lease of that id, found by
// looking at all of them; false: none.
func holding(rules map[string]int, id string) (string, bool) {
	request := id[:strings.LastIndexByte(id, '/')]
	best, found, rank := "", false, -1
	for path := range rules {
		literal, glob := strings.CutSuffix(path, "*")
		r := -1
		switch {
		case path == "":
			r = 0
		case glob && strings.HasPrefix(request, literal):
			r = 1000 + len(path)
		case strings.HasSuffix(path, "/") && strings.HasPrefix(request, path):
			r = 1
		case path == request:
			r = 1_000_000
		}
		if r > rank {
			best, found, rank = path, true, r
		}
	}
	return best, found
}

// counted is how many stored leases and tokens each rule counts.
func (s *server) counted(rules map[string]int) map[string]int {
	counts := map[string]int{}
	for path := range rules {
		counts[path] = 0
	}
	for k := range keysOf(s.t, s.store) {
		if id, ok := strings.CutPrefix(k, "ns/root/lease/id/"); ok {
			if path, ok := holding(rules, id); ok {
				counts[path]++
			}
		}
	}
	return counts
}

// ruleName is the name of the rule of a path.
func ruleName(path string) string {
	return "q" + strings.NewReplacer("/", "-", "*", "x").Replace(path)
}

// Whatever is lent, issued, ended, left to expire or failed over, under whatever
// rules: a rule counts exactly the leases and tokens that it holds for, and
// refuses exactly those for which it has no room.
func TestLeaseCountsAreExact(t *testing.T) {
	paths := []string{"", "db/", "db/creds/app", "db/creds/*", "db/creds/w*", "auth/token/"}
	for seed := range uint64(6) {
		lend(t, func(t *testing.T, s *server, _ *world) {
			r := rand.New(rand.NewPCG(seed, 21))
			rules, tokens, leases := map[string]int{}, []string{}, []string{}
			check := func(step int) {
				t.Helper()
				synctest.Wait()
				got := map[string]int{}
				for path := range rules {
					got[path] = int(data(t, s.must(s.root, engine.Read, "sys/quotas/lease-count/"+ruleName(path), ""))["counter"].(float64))
				}
				if want := s.counted(rules); !maps.Equal(got, want) {
					t.Fatalf("seed %d, step %d: counted %v, there are %v", seed, step, got, want)
				}
			}
			room := func(id string) bool {
				path, ok := holding(rules, id)
				return !ok || s.counted(rules)[path] < rules[path]
			}
			for step := range 150 {
				switch op := r.IntN(12); {
				case op < 4: // lend
					path, token := "db/creds/"+[]string{"app", "web", "x"}[r.IntN(3)], s.root
					if len(tokens) > 0 {
						token = tokens[r.IntN(len(tokens))]
					}
					free := room(path + "/new")
					resp, err := s.do(token, engine.Update, path, fmt.Sprintf(`{"ttl":"%dm"}`, 1+r.IntN(60)))
					switch {
					case err == nil && free:
						leases = append(leases, resp.LeaseID)
					case engine.KindOf(err) == engine.TooMany && !free:
					case engine.KindOf(err) == engine.Denied: // the token is over
						tokens = slices.DeleteFunc(tokens, func(have string) bool { return have == token })
					default:
						t.Fatalf("seed %d, step %d: lent with room %v: %v", seed, step, free, err)
					}
				case op < 6: // issue
					free := room("auth/token/create/new")
					resp, err := s.do(s.root, engine.Update, "auth/token/create", fmt.Sprintf(`{"policies":"borrower","ttl":"%dm"}`, 1+r.IntN(60)))
					if (err == nil) != free {
						t.Fatalf("seed %d, step %d: issued with room %v: %v", seed, step, free, err)
					}
					if err == nil {
						tokens = append(tokens, resp.Auth.ClientToken)
					}
				case op == 6 && len(leases) > 0:
					s.must(s.root, engine.Update, "sys/leases/revoke", `{"lease_id":"`+leases[r.IntN(len(leases))]+`","sync":true}`)
				case op == 7 && len(tokens) > 0:
					s.must(s.root, engine.Update, "auth/token/revoke", `{"token":"`+tokens[r.IntN(len(tokens))]+`"}`)
				case op == 8:
					time.Sleep(time.Duration(r.IntN(20)) * time.Minute)
				case op == 9:
					s.s.Close()
					s.reopen()
				case op == 10: // another limit: what was there before it counts too
					settle()
					path := paths[r.IntN(len(paths))]
					rules[path] = 1 + r.IntN(12)
					s.must(s.root, engine.Update, "sys/quotas/lease-count/"+ruleName(path), fmt.Sprintf(`{"path":%q,"max_leases":%d}`, path, rules[path]))
					settle()
				case op == 11 && len(rules) > 0:
					settle()
					path := slices.Sorted(maps.Keys(rules))[r.IntN(len(rules))]
					delete(rules, path)
					s.must(s.root, engine.Delete, "sys/quotas/lease-count/"+ruleName(path), "")
					settle()
				}
				check(step)
			}
		})
	}
}

// A full quota leaves root tokens as a way out, and refuses batch tokens too,
// though it does not count them.
func TestLeaseCountAndTokens(t *testing.T) {
	lend(t, func(t *testing.T, s *server, _ *world) {
		s.must(s.root, engine.Update, "sys/quotas/lease-count/q", `{"path":"auth/token/","max_leases":1}`)
		batch := `{"policies":"borrower","type":"batch"}`
		s.must(s.root, engine.Update, "auth/token/create", batch)
		s.must(s.root, engine.Update, "auth/token/create", batch)
		s.must(s.root, engine.Update, "auth/token/create", `{"policies":"borrower"}`)
		for _, body := range []string{`{"policies":"borrower"}`, batch} {
			s.fails(engine.TooMany, "lease count quota exceeded", s.root, engine.Update, "auth/token/create", body)
		}
		s.must(s.root, engine.Update, "auth/token/create", `{"policies":"root","ttl":"1h"}`)
		if got := data(t, s.must(s.root, engine.Read, "sys/quotas/lease-count/q", ""))["counter"]; got != 1.0 {
			t.Errorf("%v are counted", got)
		}
	})
}

// Whose requests count together, by group_by, of two entities with two addresses
// each and of callers without one (…/vault/docs/configuration/identity-based-rate-limit).
func TestRateLimitGroups(t *testing.T) {
	s := startOn(t, newLazy())
	s.prepare()
	callers := map[string]string{"root": s.root, "bad": "hvs.none"}
	s.must(s.root, engine.Update, "auth/token/roles/r", `{"allowed_entity_aliases":"*"}`)
	for _, name := range []string{"anna", "bert"} {
		resp := s.must(s.root, engine.Update, "auth/token/create/r", `{"policies":"reader","entity_alias":"`+name+`"}`)
		callers[name] = resp.Auth.ClientToken
		if resp.Auth.EntityID == "" {
			t.Fatal("a login without an entity")
		}
	}
	for group, want := range map[string]string{ // how often of 4 each is served, in turn
		"ip":               "anna@1:4 anna@2:4 bert@1:0 root@1:0 bad@3:4 root@3:0",
		"none":             "anna@1:4 anna@2:0 bert@1:0 root@1:0 bad@3:0 root@3:0",
		"entity_then_ip":   "anna@1:4 anna@2:0 bert@1:4 root@1:2 bad@3:2 root@3:0",
		"entity_then_none": "anna@1:4 anna@2:0 bert@1:4 root@1:2 bad@3:0 root@3:0",
	} {
		body := `{"path":"auth/token/","rate":"4","interval":"1h","group_by":"` + group + `"}`
		if strings.HasPrefix(group, "entity") {
			body = strings.Replace(body, "{", `{"secondary_rate":"2",`, 1)
		} else {
			s.must(s.root, engine.Delete, "sys/quotas/rate-limit/r", "")
		}
		s.must(s.root, engine.Update, "sys/quotas/rate-limit/r", body)
		var got []string
		for who := range strings.FieldsSeq(want) {
			who, _, _ = strings.Cut(who, ":")
			name, host, _ := strings.Cut(who, "@")
			served := 0
			for range 4 {
				_, err := s.serve(t.Context(), &gateway.Request{ID: "test", Operation: engine.Read, Path: "auth/token/lookup-self", Token: callers[name],
					Remote: netip.MustParseAddrPort("10.0.0." + host + ":1")})
				if engine.KindOf(err) != engine.TooMany {
					served++
				}
			}
			got = append(got, fmt.Sprintf("%s:%d", who, served))
		}
		if text := strings.Join(got, " "); text != want {
			t.Errorf("%s: %s, want %s", group, text, want)
		}
		s.must(s.root, engine.Delete, "sys/quotas/rate-limit/r", "")
	}
}
