package raftstore

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
)

// The layout of raft-wal's files (its README, "Segment Files"): a header of 32
// bytes, then frames of 8 bytes and a padded payload; a commit frame ends each
// batch with the CRC-32C of all since the commit before.
const (
	walHeader   = 32
	walFrame    = 8
	frameEntry  = 1
	frameIndex  = 2
	frameCommit = 3
)

// inspectLog makes sure that opening the log will lose nothing that was
// acknowledged. After a crash raft-wal takes whatever it cannot read at the end
// for a write that was cut short, and drops it. That is right for the last
// batch only: one that has an intact batch behind it had been synced, so it has
// rotted, and everything from there on would be lost in silence. A rotten last
// batch cannot be told from one that was cut short.
func inspectLog(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.wal"))
	if err != nil || len(files) == 0 {
		return err
	}
	last := slices.Max(files) // names begin with the first index, in fixed width
	b, err := os.ReadFile(last)
	if err != nil {
		return fmt.Errorf("raftstore: read the log: %w", err)
	}
	if at, rotten := inspectTail(b); rotten {
		return fmt.Errorf("raftstore: the log file %s is damaged near byte %d: %w", last, at, errCorrupt)
	}
	return nil
}

// inspectTail finds the end of the readable batches of one log file, and says
// whether an intact batch follows it.
func inspectTail(b []byte) (end int, rotten bool) {
	end = readableEnd(b)
	var commits []int // where a commit frame may be, the latest last
	for at := end; at+walFrame <= len(b); at += walFrame {
		if binary.LittleEndian.Uint32(b[at:]) != frameCommit {
			continue
		}
		for _, from := range commits {
			if at > from+walFrame && crc32.Checksum(b[from+walFrame:at], castagnoli) == binary.LittleEndian.Uint32(b[at+4:]) {
				return end, true
			}
		}
		// A payload can look like a commit frame, so a few are remembered.
		commits = append(commits[max(0, len(commits)-7):], at)
	}
	return end, false
}

// readableEnd walks the frames to the first one that is none, or to the commit
// frame of the first batch with a wrong checksum.
func readableEnd(b []byte) int {
	batch, at := 0, walHeader
	for at+walFrame <= len(b) {
		value := binary.LittleEndian.Uint32(b[at+4:])
		switch b[at] {
		case frameEntry, frameIndex:
			next := uint64(at) + walFrame + (uint64(value)+walFrame-1)/walFrame*walFrame
			if next > uint64(len(b)) {
				return at
			}
			at = int(next)
		case frameCommit:
			if crc32.Checksum(b[batch:at], castagnoli) != value {
				return at
			}
			at += walFrame
			batch = at
		default:
			return at
		}
	}
	return min(at, len(b))
}
