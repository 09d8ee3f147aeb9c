package raftstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/go-hclog"
	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/types"
)

// testSegment makes a log begin a new file every few entries.
const testSegment = 4 << 10

// logOn is openLog on any file system, so that log and state lie on one disk
// and crash at one moment. The index, for which production has a database of
// its own, is a file that is replaced.
func logOn(ctx context.Context, fsys vfs.FS, logger hclog.Logger) (logStore, io.Closer, error) {
	const dir = "/node/" + logName
	if err := makeDir(fsys, dir); err != nil {
		return nil, nil, err
	}
	meta := &metaFile{fs: fsys}
	l, err := newSteadyLog(ctx, func() (*wal.WAL, error) {
		return openWAL(dir, testSegment, shared{meta}, walFiles{fsys}, func() error { return syncDir(fsys, dir) }, logger)
	}, func() (int64, error) { return sizeOf(fsys, dir) }, meta, logger)
	return l, l, err
}

func openDisk(fsys vfs.FS, trailing uint64, logger hclog.Logger) (*Store, error) {
	return open(Config{Dir: "/node", NodeID: "n1", Heartbeat: 20 * time.Millisecond, TrailingLogs: trailing, Logger: logger}, fsys,
		func(ctx context.Context, logger hclog.Logger) (logStore, io.Closer, error) {
			return logOn(ctx, fsys, logger)
		})
}

func openOn(t *testing.T, fsys vfs.FS, trailing uint64) *Store {
	t.Helper()
	s, err := openDisk(fsys, trailing, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// walFiles are raft-wal's files on a file system of Pebble's.
type walFiles struct{ fs vfs.FS }

// ListDir implements types.VFS.
func (w walFiles) ListDir(dir string) ([]string, error) {
	names, err := w.fs.List(dir)
	slices.Sort(names)
	return names, err
}

// Create implements types.VFS.
func (w walFiles) Create(dir, name string, size uint64) (types.WritableFile, error) {
	path := w.fs.PathJoin(dir, name)
	if _, err := w.fs.Stat(path); err == nil {
		return nil, fmt.Errorf("%s: %w", path, fs.ErrExist)
	}
	f, err := w.fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, err
	}
	if _, err := f.WriteAt(make([]byte, size), 0); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &walFile{File: f, named: func() error { return syncDir(w.fs, dir) }}, nil
}

// Delete implements types.VFS.
func (w walFiles) Delete(dir, name string) error {
	if err := w.fs.Remove(w.fs.PathJoin(dir, name)); err != nil {
		return err
	}
	return syncDir(w.fs, dir)
}

// OpenReader implements types.VFS.
func (w walFiles) OpenReader(dir, name string) (types.ReadableFile, error) {
	return w.fs.Open(w.fs.PathJoin(dir, name))
}

// OpenWriter implements types.VFS.
func (w walFiles) OpenWriter(dir, name string) (types.WritableFile, error) {
	return w.fs.OpenReadWrite(w.fs.PathJoin(dir, name), vfs.WriteCategoryUnspecified)
}

// walFile makes a new file's name durable with its first sync, as raft-wal's own does.
type walFile struct {
	vfs.File
	named  func() error
	synced atomic.Bool
}

// Sync implements types.WritableFile.
func (f *walFile) Sync() error {
	if err := f.File.Sync(); err != nil || f.synced.Swap(true) {
		return err
	}
	return f.named()
}

// metaFile is the log's index.
type metaFile struct {
	fs vfs.FS
	mu sync.Mutex
	is struct {
		Log    types.PersistentState
		Stable map[string][]byte
	}
}

const metaPath = "/node/" + logName + "/index"

// Load implements types.MetaStore.
func (m *metaFile) Load(string) (types.PersistentState, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.is.Log, m.is.Stable = types.PersistentState{}, map[string][]byte{}
	f, err := m.fs.Open(metaPath)
	if errors.Is(err, fs.ErrNotExist) {
		return m.is.Log, nil
	}
	if err != nil {
		return m.is.Log, err
	}
	err = errors.Join(json.NewDecoder(f).Decode(&m.is), f.Close())
	return m.is.Log, err
}

// CommitState implements types.MetaStore.
func (m *metaFile) CommitState(s types.PersistentState) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := m.is.Log
	m.is.Log = s
	err := m.save()
	if err != nil {
		m.is.Log = before
	}
	return err
}

// GetStable implements types.MetaStore.
func (m *metaFile) GetStable(key []byte) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.is.Stable[string(key)], nil
}

// SetStable implements types.MetaStore.
func (m *metaFile) SetStable(key, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := m.is.Stable[string(key)]
	m.is.Stable[string(key)] = value
	err := m.save()
	if err != nil {
		m.is.Stable[string(key)] = before
	}
	return err
}

// Close implements types.MetaStore.
func (m *metaFile) Close() error { return nil }

func (m *metaFile) save() error {
	text, err := json.Marshal(m.is)
	if err != nil {
		return err
	}
	h := home{fs: m.fs}
	if err := h.writeFile(metaPath+".tmp", string(text)); err != nil {
		return err
	}
	if err := m.fs.Rename(metaPath+".tmp", metaPath); err != nil {
		return err
	}
	return syncDir(m.fs, m.fs.PathDir(metaPath))
}
