package main

import (
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestSignals(t *testing.T) {
	tests := []struct {
		name  string
		first os.Signal
		after time.Duration
		then  os.Signal
		exits bool
	}{
		{"preStop, then the kubelet", syscall.SIGTERM, time.Second, syscall.SIGTERM, false},
		{"somebody who insists", syscall.SIGTERM, termGap, syscall.SIGTERM, true},
		{"Ctrl-C twice", os.Interrupt, time.Millisecond, os.Interrupt, true},
		{"Ctrl-C after SIGTERM", syscall.SIGTERM, 0, os.Interrupt, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				signals := make(chan os.Signal)
				ended, code := false, -1
				go heed(signals, func() { ended = true }, func(c int) { code = c })
				synctest.Wait()
				if ended {
					t.Fatal("ended without a signal")
				}
				signals <- test.first
				synctest.Wait()
				if !ended || code != -1 {
					t.Fatalf("after the first signal: ended %v, exit code %d", ended, code)
				}
				time.Sleep(test.after)
				signals <- test.then
				synctest.Wait()
				if (code == 1) != test.exits {
					t.Errorf("after the second signal: exit code %d", code)
				}
				if !test.exits {
					close(signals)
				}
			})
		})
	}
}
