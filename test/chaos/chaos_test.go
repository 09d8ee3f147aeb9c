// Package chaos breaks a cluster in every way it can while clients are at work, and checks that no client was told a lie: whatever was
// acknowledged is there, on every node, in an order that all clients could have seen; a revoked token works nowhere. The servers are real
// processes, each in a network namespace and on a disk of its own.
//
//	CHAOS_SEED     repeats a run's choices: whom it strikes, in which order, which packets are lost
//	CHAOS_MINUTES  lets TestChaos go on for so long; else every fault strikes once
//	CHAOS_ONLY     strikes only with faults whose names contain it
//	CHAOS_LOGS     gets the servers' logs when the test fails
//	CHAOS_KILLS    and CHAOS_LEASES are the measure of TestFailover: how often, with how many leases stored
package chaos

import (
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestChaos lets every fault strike once, in an order of the seed's, and then, if there is time, two at once.
func TestChaos(t *testing.T) {
	seed := uint64(number(t, "CHAOS_SEED", int(time.Now().UnixNano()%1e9)))
	t.Logf("CHAOS_SEED=%d", seed)
	deadline := time.Now().Add(time.Duration(number(t, "CHAOS_MINUTES", 0)) * time.Minute)
	w := newWorld(t, seed)
	for round := 0; round == 0 || time.Now().Before(deadline); round++ {
		all := faults()
		w.rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		for _, f := range all {
			if !strings.Contains(f.name, os.Getenv("CHAOS_ONLY")) || round > 0 && time.Now().After(deadline) {
				continue
			}
			if round%2 == 1 {
				f = onBadWire(f, w.rng)
			}
			w.suffer(f)
		}
	}
	w.end()
}

// onBadWire is f while packets are lost and late.
func onBadWire(f fault, rng *rand.Rand) fault {
	strike, l := f.strike, link{loss: 0.05 * rng.Float64(), delay: time.Millisecond, jitter: time.Duration(rng.IntN(30)) * time.Millisecond}
	f.name += ", bad wire"
	f.strike = func(w *world) (string, func()) {
		w.allLinks(l)
		victim, heal := strike(w)
		return victim, func() { w.wire.heal(); heal() }
	}
	return f
}

// number reads a variable of the environment.
func number(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		t.Fatalf("%s=%q: it must be a number, 0 or more", name, text)
	}
	return n
}
