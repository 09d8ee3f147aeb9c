package raftstore

import (
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// ordered makes what Pebble's marker files name durable before the marker.
// Pebble creates a file, then the marker that names it, and syncs the folder
// once; a file system that keeps the second name and loses the first, as POSIX
// allows, would leave a state that cannot be opened.
type ordered struct{ vfs.FS }

// Create implements vfs.FS.
func (o ordered) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if strings.HasPrefix(o.PathBase(name), "marker.") {
		if err := syncDir(o.FS, o.PathDir(name)); err != nil {
			return nil, err
		}
	}
	return o.FS.Create(name, category)
}

// Unwrap implements vfs.FS.
func (o ordered) Unwrap() vfs.FS { return o.FS }
