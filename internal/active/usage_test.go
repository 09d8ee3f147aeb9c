package active_test

import (
	"context"
	"fmt"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"strongroom/engine"
	"strongroom/internal/metrics"
)

// leasesByMount is what the metrics tell, as of now or of a count of at most ten minutes ago: leases by namespace and mount.
func (s *server) leasesByMount() map[string]float64 {
	found := map[string]float64{}
	s.s.Usage(s.t.Context(), func(name string, value float64, labels ...metrics.Label) {
		if name == "expire.leases.by_mount" {
			found[labels[0].Value+" "+labels[1].Value] = value
		}
	})
	return found
}

// TestLeasesByMount: leases and tokens count for the mount that gave them, in each namespace, until they end; scrapes cause no count
// of their own.
func TestLeasesByMount(t *testing.T) {
	lend(t, func(t *testing.T, s *server, _ *world) {
		token, _ := s.login(`{"policies":"borrower","ttl":"10h"}`)
		for range 3 {
			s.borrow(token, `{"ttl":"1h"}`)
		}
		s.must(s.root, engine.Update, "auth/token/create", `{"policies":"default","ttl":"10h"}`)
		s.must(s.root, engine.Update, "sys/namespaces/team", "")
		s.must(s.root, engine.Update, "team/auth/token/create", `{"policies":"default","ttl":"1h","no_parent":true}`)
		want := func(what string, want map[string]float64) {
			t.Helper()
			if got := s.leasesByMount(); !maps.Equal(got, want) {
				t.Errorf("%s: %v, want %v", what, got, want)
			}
		}
		// The root token never ends: it is no lease.
		first := map[string]float64{"root db/": 3, "root auth/login/": 1, "root auth/token/": 1, "team auth/token/": 1}
		want("at first", first)
		s.borrow(token, `{"ttl":"10h"}`)
		want("a scrape that comes soon counts nothing", first)
		time.Sleep(10 * time.Minute)
		s.leasesByMount() // begins to count, behind its answer
		synctest.Wait()
		want("ten minutes later", map[string]float64{"root db/": 4, "root auth/login/": 1, "root auth/token/": 1, "team auth/token/": 1})
		time.Sleep(time.Hour)
		settle()
		s.leasesByMount()
		synctest.Wait()
		want("after what ended", map[string]float64{"root db/": 1, "root auth/login/": 1, "root auth/token/": 1})
	})
}

// BenchmarkUsage counts 10,000 tokens, as it happens at most once in ten minutes, behind the answer to a scrape.
func BenchmarkUsage(b *testing.B) {
	s := start(b)
	s.prepare()
	const tokens = 10_000
	for range tokens {
		s.login(`{"ttl":"10h"}`)
	}
	for b.Loop() {
		s.reopen() // it has not counted yet
		found := 0.0
		s.s.Usage(context.Background(), func(name string, value float64, labels ...metrics.Label) {
			if name == "expire.leases.by_mount" && labels[1].Value == "auth/login/" {
				found = value
			}
		})
		if found != tokens {
			b.Fatal(fmt.Sprint(found))
		}
		s.s.Close()
	}
}
