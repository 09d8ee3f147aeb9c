package raftstore

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A last batch that has rotted looks to the log like one that was cut short. The
// state knows better once it holds it: then it is an error, not silence.
func TestRottenLastBatchThatWasApplied(t *testing.T) {
	s := rotten(t)
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	good := image(t, s.home.dir)
	if got := verdict(t, image(t, good), "untouched"); got != "whole" {
		t.Fatal(got)
	}
	b, err := os.ReadFile(one(t, filepath.Join(good, logName, "*.wal")))
	if err != nil {
		t.Fatal(err)
	}
	end := len(strings.TrimRight(string(b), "\x00"))
	for _, back := range []int{2, 60, 120, 200} { // within the last batch
		dir := image(t, good)
		flip(t, one(t, filepath.Join(dir, logName, "*.wal")), end-back)
		if got := verdict(t, dir, "the last batch"); !strings.Contains(got, "corrupt") {
			t.Errorf("%d bytes before the end: %s", back, got)
		}
	}
}
