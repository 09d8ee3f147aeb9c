package lockout

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func ada() Name { return Name{"root", "auth_userpass_1", "ada"} }

func fail(g *Guard, n Name, c Config, times int) (locked bool) {
	for range times {
		locked = g.Failed(n, c)
	}
	return locked
}

func TestLocksAndUnlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, c := New(10), Config{}
		if fail(g, ada(), c, 4) || g.Locked(ada(), c) {
			t.Fatal("locked after four failures")
		}
		if !g.Failed(ada(), c) || !g.Locked(ada(), c) {
			t.Fatal("not locked after five failures")
		}
		if got := g.List(); !reflect.DeepEqual(got, []Name{ada()}) {
			t.Errorf("list: %v", got)
		}
		if g.Passed(ada(), c) || !g.Locked(ada(), c) {
			t.Error("a right guess gets by the lock")
		}
		if g.Locked(Name{"root", "auth_userpass_2", "ada"}, c) || g.Locked(Name{"other", "auth_userpass_1", "ada"}, c) {
			t.Error("the same name elsewhere is locked too")
		}
		// Failures meanwhile do not lengthen the lock.
		time.Sleep(14 * time.Minute)
		fail(g, ada(), c, 20)
		time.Sleep(time.Minute)
		if g.Locked(ada(), c) || len(g.List()) != 0 {
			t.Fatal("still locked after 15 minutes")
		}
		if fail(g, ada(), c, 4) || !g.Failed(ada(), c) {
			t.Error("the count does not begin anew after a lock")
		}
		g.Clear(ada())
		if g.Locked(ada(), c) {
			t.Error("still locked after Clear")
		}
	})
}

func TestCountIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, c := New(10), Config{}
		fail(g, ada(), c, 4)
		time.Sleep(15 * time.Minute)
		if g.Failed(ada(), c) {
			t.Error("failures count after 15 minutes without one")
		}
		fail(g, ada(), c, 3)
		if !g.Passed(ada(), c) || g.Failed(ada(), c) {
			t.Error("failures count after a login")
		}
	})
}

func TestConfig(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(10)
		if c := (Config{Disabled: true}); fail(g, ada(), c, 100) || g.Locked(ada(), c) {
			t.Error("locked though disabled")
		}
		c := Config{Threshold: 2, Duration: time.Second, Reset: time.Hour}
		if !fail(g, ada(), c, 2) {
			t.Error("the threshold is not 2")
		}
		time.Sleep(time.Second)
		if g.Locked(ada(), c) {
			t.Error("locked for longer than a second")
		}
	})
}

// Lesson: whoever tries many names may neither fill the memory nor be locked out
// under an endless one.
func TestLessonLockoutIsBounded(t *testing.T) {
	g, c := New(100), Config{}
	for i := range 1000 {
		g.Failed(Name{"root", "a", fmt.Sprint(i)}, c)
	}
	if len(g.names) != 100 || g.order.Len() != 100 {
		t.Errorf("%d and %d names are kept", len(g.names), g.order.Len())
	}
	if fail(g, Name{"root", "a", strings.Repeat("x", MaxAlias+1)}, c, 9) || fail(g, Name{"root", "a", ""}, c, 9) {
		t.Error("a name that nobody can have was counted")
	}
}
