package node

import (
	"testing"
	"time"
)

func TestLeaseHolds(t *testing.T) {
	var l lease
	now := time.Now()
	const length = 300 * time.Millisecond
	holds := func(after time.Duration, want bool) {
		t.Helper()
		if got := l.holds(now.Add(after), length); got != want {
			t.Errorf("%s after the confirmation began: holds is %t, want %t", after, got, want)
		}
	}
	holds(0, false)
	l.begun.Store(&now)
	holds(0, true)
	holds(length-1, true)
	holds(length, false)
	holds(-time.Second, false) // a clock that was set back proves nothing
	restore := l.void()
	holds(0, false)
	restore()
	holds(0, false)
}
