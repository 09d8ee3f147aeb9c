package server

import (
	"runtime"
	"runtime/debug"
	"testing"
)

func TestPercent(t *testing.T) {
	for live, want := range map[uint64]int{0: 1600, 1 << 20: 1600, 8 << 20: 400, 32 << 20: 100, 1 << 30: 100} {
		if got := percent(live, 32<<20); got != want {
			t.Errorf("with %d bytes that live: %d, want %d", live, got, want)
		}
	}
}

var kept []byte

// Little that lives is not collected after as little was allocated; much is
// collected no later than Go would by itself; and stop puts things back.
func TestAllowance(t *testing.T) {
	before := debug.SetGCPercent(100)
	defer debug.SetGCPercent(before)
	ballast := make([]byte, 64<<20)
	runtime.GC()
	stop := allow(1 << 30)
	collections := func(bytes int) uint32 {
		var from, to runtime.MemStats
		runtime.ReadMemStats(&from)
		for range bytes >> 16 {
			kept = make([]byte, 1<<16)
		}
		runtime.ReadMemStats(&to)
		return to.NumGC - from.NumGC
	}
	if n := collections(512 << 20); n > 1 {
		t.Errorf("%d collections of 512 MiB", n)
	}
	stop()
	if got := debug.SetGCPercent(100); got != 100 {
		t.Errorf("the percentage is left at %d", got)
	}
	if n := collections(512 << 20); n < 3 {
		t.Errorf("%d collections of 512 MiB afterwards: the test shows nothing", n)
	}
	runtime.KeepAlive(ballast)
}
