package server

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestLessonNoCoreDumps(t *testing.T) {
	if err := noCore(); err != nil {
		t.Fatal(err)
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &limit); err != nil || limit.Cur != 0 || limit.Max != 0 {
		t.Errorf("core dumps of %d bytes, %d at the most, %v", limit.Cur, limit.Max, err)
	}
}
