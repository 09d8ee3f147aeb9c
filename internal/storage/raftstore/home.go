package raftstore

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	"strongroom/internal/storage"
)

const (
	manifestName = "manifest"
	lockName     = "lock"
	logName      = "raft"
	statePrefix  = "state-"
)

// errCorrupt: what was read is not what was written.
var errCorrupt = errors.New("raftstore: corrupt data; move this node's storage folder away and let the node join again")

// manifest is the one file that says which state directory counts and where
// Raft's log begins. It is replaced as a whole, so a received state and the
// log position that belongs to it come into force together.
type manifest struct {
	Format int    `json:"format"` // 1
	State  string `json:"state"`  // the directory's name
	Seq    uint64 `json:"seq"`    // highest number given to a state directory
	// Received is the applied index of the state when it came from the leader:
	// up to there the log may be shorter than the state.
	Received uint64             `json:"received,omitempty"`
	Snapshot *raft.SnapshotMeta `json:"snapshot,omitempty"`
}

// home owns the folder: the lock, the manifest and the state directories.
type home struct {
	fs      vfs.FS
	dir     string
	logger  hclog.Logger
	lock    io.Closer
	current atomic.Pointer[state] // nil once closed
	closing atomic.Bool           // ends the streams under way
	sending sending

	mu       sync.Mutex // guards what follows and changes of current
	manifest manifest
	staged   *staged // received, waiting for Restore
	closed   bool
}

func openHome(fsys vfs.FS, dir string, logger hclog.Logger) (_ *home, err error) {
	if err := makeDir(fsys, dir); err != nil {
		return nil, fmt.Errorf("raftstore: make the storage folder: %w", err)
	}
	h := &home{fs: fsys, dir: dir, logger: logger}
	if h.lock, err = fsys.Lock(h.path(lockName)); err != nil {
		return nil, fmt.Errorf("raftstore: the storage folder %s is in use by another process: %w", dir, err)
	}
	if err := h.load(); err != nil {
		return nil, errors.Join(err, h.lock.Close())
	}
	return h, nil
}

// load opens the state the manifest names and removes the ones a crash left.
func (h *home) load() error {
	m, err := h.readManifest()
	fresh := errors.Is(err, fs.ErrNotExist)
	if err != nil && !fresh {
		return err
	}
	if fresh {
		if _, err := h.fs.Stat(h.path(logName)); err == nil {
			return fmt.Errorf("raftstore: %s has a log but no manifest: %w", h.dir, errCorrupt)
		}
		m = manifest{Format: 1, State: stateName(1), Seq: 1}
	}
	names, err := h.fs.List(h.dir)
	if err != nil {
		return fmt.Errorf("raftstore: list %s: %w", h.dir, err)
	}
	for _, name := range names {
		if strings.HasPrefix(name, statePrefix) && (fresh || name != m.State) {
			if err := h.fs.RemoveAll(h.path(name)); err != nil {
				return fmt.Errorf("raftstore: remove a left-over state: %w", err)
			}
		}
	}
	st, err := openState(h.fs, h.dir, m.State, !fresh, h.logger)
	if err != nil {
		return err
	}
	if fresh {
		if err := h.writeManifest(m); err != nil {
			st.release()
			return err
		}
	}
	h.manifest = m
	h.current.Store(st)
	return nil
}

func (h *home) path(name string) string { return h.fs.PathJoin(h.dir, name) }

func stateName(seq uint64) string { return fmt.Sprintf("%s%06d", statePrefix, seq) }

// acquire returns the current state for reading; release it.
func (h *home) acquire() (*state, error) {
	for {
		s := h.current.Load()
		if s == nil {
			return nil, storage.ErrClosed
		}
		if s.acquire() {
			return s, nil
		}
	}
}

// stage makes a new, empty state that nothing refers to yet.
func (h *home) stage() (*state, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, storage.ErrClosed
	}
	h.manifest.Seq++ // in memory: a crash forgets it together with the directory
	name := stateName(h.manifest.Seq)
	if err := h.fs.RemoveAll(h.path(name)); err != nil {
		return nil, fmt.Errorf("raftstore: remove a left-over state: %w", err)
	}
	return openState(h.fs, h.dir, name, false, h.logger)
}

// discard drops a staged state.
func (h *home) discard(s *state) {
	s.drop = func() error { return h.fs.RemoveAll(h.path(s.name)) }
	s.release()
}

// switchTo makes the flushed, staged state s, at applied index applied, the
// current one, and meta the snapshot Raft starts from. A crash before the
// manifest's rename leaves the old state with the old log; after it, the new
// one: there is nothing between. After an error it is unknown which one a
// restart finds, so both directories stay and the node must stop.
func (h *home) switchTo(s *state, applied uint64, meta *raft.SnapshotMeta) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return storage.ErrClosed
	}
	m := h.manifest
	m.State, m.Received, m.Snapshot = s.name, applied, meta
	if err := h.writeManifest(m); err != nil {
		return err
	}
	h.manifest = m
	old := h.current.Swap(s)
	old.drop = func() error { return h.fs.RemoveAll(h.path(old.name)) }
	old.release()
	return nil
}

// record makes meta the snapshot Raft starts from, unless a later one is: the
// state must already be durable up to meta.Index.
func (h *home) record(of *state, meta *raft.SnapshotMeta) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.current.Load() != of {
		return errors.New("raftstore: the state was replaced while its snapshot was taken")
	}
	if h.manifest.Snapshot != nil && h.manifest.Snapshot.Index > meta.Index {
		return nil
	}
	m := h.manifest
	m.Snapshot = meta
	if err := h.writeManifest(m); err != nil {
		return err
	}
	h.manifest = m
	return nil
}

// snapshot returns the recorded meta (nil if none) and the state it belongs
// to, acquired.
func (h *home) snapshot() (*raft.SnapshotMeta, *state, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s, err := h.acquire()
	if err != nil {
		return nil, nil, err
	}
	return h.manifest.Snapshot, s, nil
}

// close flushes, waits for the last reader and gives the folder up.
func (h *home) close() error {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return nil
	}
	h.closed = true
	s := h.current.Swap(nil)
	left := h.staged
	h.staged = nil
	h.mu.Unlock()
	if left != nil {
		h.discard(left.state)
	}
	err := s.db.Flush()
	s.release()
	<-s.done
	return errors.Join(err, s.err, h.lock.Close())
}

// readManifest reads the manifest: JSON, a newline, its CRC-32C in hexadecimal.
func (h *home) readManifest() (manifest, error) {
	f, err := h.fs.Open(h.path(manifestName))
	if err != nil {
		return manifest{}, fmt.Errorf("raftstore: open the manifest: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		return manifest{}, fmt.Errorf("raftstore: read the manifest: %w", err)
	}
	text, sum, _ := strings.Cut(string(b), "\n")
	if sum != checksum(text) {
		return manifest{}, fmt.Errorf("raftstore: the manifest's checksum is wrong: %w", errCorrupt)
	}
	var m manifest
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		return manifest{}, fmt.Errorf("raftstore: the manifest: %w: %w", err, errCorrupt)
	}
	if m.Format != 1 {
		return manifest{}, fmt.Errorf("raftstore: the storage folder has format %d and this release knows 1; use the release that wrote it", m.Format)
	}
	if !strings.HasPrefix(m.State, statePrefix) || filepath.Base(m.State) != m.State {
		return manifest{}, fmt.Errorf("raftstore: the manifest names the state %q: %w", m.State, errCorrupt)
	}
	return m, nil
}

// writeManifest replaces the manifest: written, synced, renamed, folder synced.
func (h *home) writeManifest(m manifest) error {
	text, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("raftstore: encode the manifest: %w", err)
	}
	tmp := h.path(manifestName + ".tmp")
	if err := h.writeFile(tmp, string(text)+"\n"+checksum(string(text))); err != nil {
		return fmt.Errorf("raftstore: write the manifest: %w", err)
	}
	if err := h.fs.Rename(tmp, h.path(manifestName)); err != nil {
		return fmt.Errorf("raftstore: replace the manifest: %w", err)
	}
	return h.sync()
}

// sync makes the names in the folder durable.
func (h *home) sync() error {
	if err := syncDir(h.fs, h.dir); err != nil {
		return fmt.Errorf("raftstore: sync the storage folder: %w", err)
	}
	return nil
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// makeDir is MkdirAll whose effect survives a crash.
func makeDir(fs vfs.FS, dir string) error {
	if _, err := fs.Stat(dir); err == nil {
		return nil
	}
	parent := fs.PathDir(dir)
	if parent != dir && parent != "" {
		if err := makeDir(fs, parent); err != nil {
			return err
		}
	}
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return syncDir(fs, parent)
}

func (h *home) writeFile(path, text string) error {
	f, err := h.fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write([]byte(text))
	return errors.Join(err, f.Sync(), f.Close())
}

func checksum(text string) string {
	return fmt.Sprintf("%08x\n", crc32.Checksum([]byte(text), castagnoli))
}
