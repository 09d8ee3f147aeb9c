package server

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// noCore keeps the process's memory, which holds keys, from being written to a
// file when it crashes.
func noCore() error {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("turn core dumps off: %w", err)
	}
	return nil
}
