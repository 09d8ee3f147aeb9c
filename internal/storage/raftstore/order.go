package raftstore

import (
	"strings"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/go-hclog"
)

const (
	troublePause = time.Second
	troubleEvery = time.Minute // between two lines in the log
)

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
