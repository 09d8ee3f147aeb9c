package chaos

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"testing"
	"time"
)

// The wire must do to packets what it is told, in the direction it is told.
func TestWire(t *testing.T) {
	w := newWire(t, 2, 1)
	ping := func(from, to int) error {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		// The first connection is refused by whoever is reached: nobody listens.
		cmd := exec.CommandContext(ctx, "bash", "-c", fmt.Sprintf("exec 3<>/dev/tcp/%s/9", host(to)))
		if from < 2 {
			args := append(w.enter(from), cmd.Args...)
			cmd = exec.CommandContext(ctx, args[0], args[1:]...)
		}
		_ = cmd.Run()
		return ctx.Err()
	}
	for _, step := range []struct {
		name  string
		links map[[2]int]link
		ok    bool
	}{
		{"good", nil, true},
		{"cut forth", map[[2]int]link{{0, 1}: {cut: true}}, false},
		{"cut back", map[[2]int]link{{1, 0}: {cut: true}}, false},
		{"another link is cut", map[[2]int]link{{0, 2}: {cut: true}, {2, 1}: {cut: true}}, true},
		{"all lost", map[[2]int]link{{0, 1}: {loss: 1}}, false},
		{"a little late", map[[2]int]link{{0, 1}: {delay: 50 * time.Millisecond}}, true},
		{"too late", map[[2]int]link{{0, 1}: {delay: time.Second}}, false},
		{"twice", map[[2]int]link{{0, 1}: {twice: 1}}, true},
		{"healed", nil, true},
	} {
		w.heal()
		for ends, l := range step.links {
			w.set(ends[0], ends[1], l)
		}
		if err := ping(0, 1); (err == nil) != step.ok || err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v, want it to be reached: %t", step.name, err, step.ok)
		}
	}
	if err := ping(2, 0); err != nil {
		t.Errorf("from the tests' own namespace: %v", err)
	}
}
