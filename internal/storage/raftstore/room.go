package raftstore

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
	walfs "github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/types"
)

const (
	// stateReserve is the free space, in bytes, that a new table of the state
	// wants, and logReserve what the log leaves: the log stops first, so that the
	// state can be made durable and the log be cut behind it.
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

// logDisk is the log's files, which leave logReserve of the disk free. Where that
// leaves no room for a whole file it begins a thin one, without space of its own:
// entries go there only as long as there is room, but the log can be opened and
// cut, which may be what makes room.
type logDisk struct {
	*walfs.FS
	disk vfs.FS // says how full it is
}

// Create implements types.VFS.
func (d logDisk) Create(dir, name string, size uint64) (types.WritableFile, error) {
	path := filepath.Join(dir, name)
	if hasRoom(d.disk, path, size+logReserve) == nil {
		return d.FS.Create(dir, name, size)
	}
	f, err := d.FS.Create(dir, name, 0)
	if err != nil {
		return nil, err
	}
	return thinFile{f, d.disk, path}, nil
}

// OpenWriter implements types.VFS.
func (d logDisk) OpenWriter(dir, name string) (types.WritableFile, error) {
	path := filepath.Join(dir, name)
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	f, err := d.FS.OpenWriter(dir, name)
	if err != nil || st.Size() >= segmentSize {
		return f, err
	}
	return thinFile{f, d.disk, path}, nil
}

// thinFile grows only where there is room.
type thinFile struct {
	types.WritableFile
	disk vfs.FS
	path string
}

// WriteAt implements io.WriterAt.
func (f thinFile) WriteAt(b []byte, at int64) (int, error) {
	if st, err := os.Stat(f.path); err != nil || at+int64(len(b)) > st.Size() {
		if err := hasRoom(f.disk, f.path, uint64(len(b))+logReserve); err != nil {
			return 0, err
		}
	}
	return f.WritableFile.WriteAt(b, at)
}
