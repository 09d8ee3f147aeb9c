package raftstore

import (
	"fmt"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/go-hclog"
)

const (
	troublePause = time.Second
	troubleEvery = time.Minute // between two lines in the log
)

const (
	// stateReserve is the free space, in bytes, that a new table of the state
	// wants, and logReserve what a new file of the log leaves: the log stops
	// first, so that the state can be made durable and the log be cut behind it.
	stateReserve = 2*memtableSize + 4<<20
	logReserve   = 2 * stateReserve
)

// hasRoom is an error if there are fewer than want bytes free where path is; it
// is nil where nobody knows.
func hasRoom(fs vfs.FS, path string, want uint64) error {
	usage, err := fs.GetDiskUsage(fs.PathDir(path))
	if err == nil && usage.AvailBytes < want {
		return fmt.Errorf("%d MiB are free for %s, which wants %d: %w", usage.AvailBytes>>20, fs.PathBase(path), want>>20, syscall.ENOSPC)
	}
	return nil
}

// trouble is what background work on a state has run into, such as a full disk.
type trouble struct {
	logger hclog.Logger

	mu     sync.Mutex
	fresh  bool // since the last pause
	logged time.Time
}

// report notes err, and logs it now and then.
func (t *trouble) report(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.fresh = true
	if time.Since(t.logged) >= troubleEvery {
		t.logged = time.Now()
		t.logger.Error("state: background work failed and is tried again; the log keeps everything until that works", "error", err)
	}
}

// pause waits if there was trouble since the last time.
func (t *trouble) pause() {
	t.mu.Lock()
	fresh := t.fresh
	t.fresh = false
	t.mu.Unlock()
	if fresh {
		time.Sleep(troublePause)
	}
}

// ordered makes what Pebble's marker files name durable before the marker.
// Pebble creates a file, then the marker that names it, and syncs the folder
// once; a file system that keeps the second name and loses the first, as POSIX
// allows, would leave a state that cannot be opened.
//
// It also paces Pebble, which tries a flush that failed again at once: after a
// failure the next table begins a second later. And a table is only begun where
// there is room for it: Pebble ends the process when its index finds none.
type ordered struct {
	vfs.FS
	trouble *trouble
}

// Create implements vfs.FS.
func (o ordered) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if strings.HasSuffix(name, ".sst") {
		o.trouble.pause()
		if err := hasRoom(o.FS, name, stateReserve); err != nil {
			return nil, err
		}
	}
	if strings.HasPrefix(o.PathBase(name), "marker.") {
		if err := syncDir(o.FS, o.PathDir(name)); err != nil {
			return nil, err
		}
	}
	return o.FS.Create(name, category)
}

// Unwrap implements vfs.FS.
func (o ordered) Unwrap() vfs.FS { return o.FS }
