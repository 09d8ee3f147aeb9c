package raftstore

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestLogStaysWhileAStateIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s sending
		want := func(needs bool, when string) {
			t.Helper()
			if s.needsLog() != needs {
				t.Errorf("%s: the log must stay: %v, want %v", when, !needs, needs)
			}
		}
		want(false, "at first")
		lost, slow := s.begin(), s.begin()
		time.Sleep(time.Minute)
		want(true, "on the way")
		lost(false)
		want(true, "one was lost")
		slow(true)
		want(true, "it has arrived")
		time.Sleep(59 * time.Second)
		want(true, "the follower catches up")
		time.Sleep(time.Second)
		want(false, "it has had its time")
		s.begin()(false)
		want(false, "nothing arrived")
		s.begin()(true)
		time.Sleep(minCatchUp - 1)
		want(true, "a small state has arrived")
		time.Sleep(time.Nanosecond)
		want(false, "and been caught up from")
	})
}
