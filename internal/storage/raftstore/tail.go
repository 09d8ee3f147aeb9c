package raftstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"math"
	"time"

	"github.com/hashicorp/raft-wal/segment"
	"github.com/hashicorp/raft-wal/types"
)

// The layout of raft-wal's files (its README, "Segment Files"): a header of 32
// bytes, then frames of 8 bytes and a padded payload; a commit frame ends each
// batch with the CRC-32C of all since the commit before. An index frame in the
// last batch seals the file.
const (
	walHeader   = 32
	walFrame    = 8
	frameEntry  = 1
	frameIndex  = 2
	frameCommit = 3
)

// repairTail brings the log's last file, in the folder dir, to one of the two
// conditions that raft-wal goes on from; it must not be open. A crash can leave
// two others:
//   - What it cannot read at the end raft-wal takes for a write that was cut
//     short. That is right for the last batch only: one that has an intact batch
//     behind it had been synced, so it has rotted, and all from there on would be
//     lost in silence. This is an error. (A rotten last batch cannot be told from
//     one that was cut short: see mend.) What was cut short is wiped out, so that
//     no shorter batch is ever followed by its rest.
//   - A file that was sealed when the crash came before the next one was begun:
//     raft-wal 0.4 would never write again. The next one is begun.
func repairTail(dir string, meta types.MetaStore, files types.VFS) (err error) {
	index, err := meta.Load(dir)
	if err != nil {
		return fmt.Errorf("read the log's index: %w", err)
	}
	if len(index.Segments) == 0 {
		return nil
	}
	last := &index.Segments[len(index.Segments)-1]
	if !last.SealTime.IsZero() {
		return nil
	}
	name := segment.FileName(*last)
	f, err := files.OpenWriter(dir, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // not begun yet
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	b, err := io.ReadAll(io.NewSectionReader(f, 0, math.MaxInt64))
	if err != nil {
		return fmt.Errorf("read the log file %s: %w", name, err)
	}
	tail := scanTail(b)
	if tail.rotten(b) {
		return fmt.Errorf("the log file %s is damaged near byte %d: %w", name, tail.stop, errCorrupt)
	}
	if rest := bytes.TrimRight(b[tail.end:], "\x00"); len(rest) > 0 {
		if _, err := f.WriteAt(make([]byte, len(rest)), int64(tail.end)); err != nil {
			return fmt.Errorf("wipe a write that was cut short from %s: %w", name, err)
		}
		if err := f.Sync(); err != nil {
			return fmt.Errorf("wipe a write that was cut short from %s: %w", name, err)
		}
	}
	if tail.index == 0 {
		return nil
	}
	next := *last
	last.SealTime, last.MaxIndex, last.IndexStart = time.Now(), last.BaseIndex+tail.entries-1, tail.index
	next.ID, next.BaseIndex, next.MinIndex, next.CreateTime = index.NextSegmentID, last.MaxIndex+1, last.MaxIndex+1, last.SealTime
	index.NextSegmentID++
	index.Segments = append(index.Segments, next)
	if err := meta.CommitState(index); err != nil {
		return fmt.Errorf("begin the log file after %s: %w", name, err)
	}
	return nil
}

// tailScan is what the last file of the log holds.
type tailScan struct {
	end     int    // of the last batch before anything unreadable; 0 if there is none
	stop    int    // where reading ended
	entries uint64 // in those batches
	index   uint64 // where the payload of their index frame begins; 0: the file is not sealed
}

// scanTail walks the frames to the first one that is none, or to the commit
// frame of the first batch with a wrong checksum.
func scanTail(b []byte) (t tailScan) {
	now := tailScan{stop: walHeader}
	defer func() { t.stop = min(now.stop, len(b)) }()
	for now.stop+walFrame <= len(b) {
		value := binary.LittleEndian.Uint32(b[now.stop+4:])
		switch b[now.stop] {
		case frameEntry, frameIndex:
			next := uint64(now.stop) + walFrame + (uint64(value)+walFrame-1)/walFrame*walFrame
			if next > uint64(len(b)) {
				return t
			}
			if b[now.stop] == frameIndex {
				now.index = uint64(now.stop) + walFrame
			} else {
				now.entries++
			}
			now.stop = int(next)
		case frameCommit:
			if crc32.Checksum(b[t.end:now.stop], castagnoli) != value {
				return t
			}
			now.stop += walFrame
			now.end = now.stop
			t = now
		default:
			return t
		}
	}
	return t
}

// rotten is whether an intact batch follows what could not be read.
func (t tailScan) rotten(b []byte) bool {
	var commits []int // where a commit frame may be, the latest last
	for at := t.stop; at+walFrame <= len(b); at += walFrame {
		if binary.LittleEndian.Uint32(b[at:]) != frameCommit {
			continue
		}
		for _, from := range commits {
			if at > from+walFrame && crc32.Checksum(b[from+walFrame:at], castagnoli) == binary.LittleEndian.Uint32(b[at+4:]) {
				return true
			}
		}
		// A payload can look like a commit frame, so a few are remembered.
		commits = append(commits[max(0, len(commits)-7):], at)
	}
	return false
}
