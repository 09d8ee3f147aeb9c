package raftstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/go-hclog"
)

// Sizes for small machines: one node costs about 40 MiB beside the process.
const (
	cacheSize    = 16 << 20
	memtableSize = 8 << 20
)

// versionSize is the length of the version before every value.
const versionSize = 8

// dataPrefix begins the Pebble key of every stored key; appliedKey lies outside.
const dataPrefix = 'd'

var appliedKey = []byte{0x00, 'a'}

// state is one Pebble directory. It is closed when its owner and every reader
// have released it, so that a switch to another state never pulls the ground
// from under a read.
type state struct {
	db    *pebble.DB
	name  string
	known *versions     // of keys in db
	refs  atomic.Int64  // readers, and one for the owner
	done  chan struct{} // closed when db is
	err   error         // of closing; read after done
	drop  func() error  // set before the owner releases a state that was replaced
}

// openState opens the Pebble directory dir; mustExist refuses to make one.
//
// The write-ahead log is off: Raft's log is the log. Each Pebble batch carries
// the applied index, and Pebble flushes memtables in order and whole, so after
// a crash the state is that of some applied index and Raft replays the rest.
func openState(fs vfs.FS, dir, name string, mustExist bool, logger hclog.Logger) (*state, error) {
	opts := &pebble.Options{
		FS:                 fs,
		DisableWAL:         true,
		ErrorIfNotExists:   mustExist,
		ErrorIfExists:      !mustExist,
		CacheSize:          cacheSize,
		MemTableSize:       memtableSize,
		MaxOpenFiles:       500,
		FormatMajorVersion: pebble.FormatNewest,
		Logger:             pebbleLogger{logger},
		EventListener: &pebble.EventListener{
			BackgroundError: func(err error) { logger.Error("state: background work failed", "error", err) },
			DataCorruption: func(i pebble.DataCorruptionInfo) {
				logger.Error("state: corrupt file; restore this node from its peers", "path", i.Path, "error", i.Details)
			},
		},
	}
	for i := range opts.Levels {
		opts.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	db, err := pebble.Open(fs.PathJoin(dir, name), opts)
	if err != nil {
		return nil, fmt.Errorf("raftstore: open the state in %s: %w", name, err)
	}
	s := &state{db: db, name: name, known: newVersions(), done: make(chan struct{})}
	s.refs.Store(1)
	return s, nil
}

// acquire adds a reader unless the state is closed already.
func (s *state) acquire() bool {
	for {
		n := s.refs.Load()
		if n == 0 {
			return false
		}
		if s.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (s *state) release() {
	if s.refs.Add(-1) > 0 {
		return
	}
	s.err = s.db.Close()
	if s.drop != nil {
		s.err = errors.Join(s.err, s.drop())
	}
	close(s.done)
}

// applied is the index of the last entry in the state, 0 if there is none.
func (s *state) applied() (uint64, error) {
	v, closer, err := s.db.Get(appliedKey)
	if errors.Is(err, pebble.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("raftstore: read the applied index: %w", err)
	}
	defer closer.Close()
	if len(v) != 8 {
		return 0, fmt.Errorf("raftstore: the applied index has %d bytes: %w", len(v), errCorrupt)
	}
	return binary.BigEndian.Uint64(v), nil
}

// get calls use with the version and the value of key, which is only valid
// during the call; an absent key is version 0.
func (s *state) get(key string, use func(version uint64, value []byte)) error {
	var room [128]byte
	v, closer, err := s.db.Get(appendKey(room[:0], key))
	if errors.Is(err, pebble.ErrNotFound) {
		use(0, nil)
		return nil
	}
	if err != nil {
		return err
	}
	defer closer.Close()
	if len(v) < versionSize {
		return fmt.Errorf("a value of %d bytes: %w", len(v), errCorrupt)
	}
	use(binary.BigEndian.Uint64(v), v[versionSize:])
	return nil
}

// version is get without the value, and mostly without a search.
func (s *state) version(key string) (uint64, error) {
	return s.known.get(key, func() (version uint64, err error) {
		err = s.get(key, func(v uint64, _ []byte) { version = v })
		return version, err
	})
}

// appendKey appends the Pebble key of key.
func appendKey(b []byte, key string) []byte { return append(append(b, dataPrefix), key...) }

// bounds are the Pebble keys [lower, upper) that begin with prefix and are
// greater than after.
func bounds(prefix, after string) (lower, upper []byte) {
	upper = appendKey(nil, prefix)
	for i := len(upper) - 1; ; i-- { // ends at dataPrefix at the latest
		if upper[i] != 0xff {
			upper[i]++
			upper = upper[:i+1]
			break
		}
	}
	if after >= prefix && after != "" {
		return append(appendKey(nil, after), 0), upper
	}
	return appendKey(nil, prefix), upper
}

// pebbleLogger keeps Pebble quiet except for what it cannot go on after.
type pebbleLogger struct{ hclog.Logger }

func (l pebbleLogger) Infof(string, ...any) {}
func (l pebbleLogger) Errorf(format string, args ...any) {
	l.Logger.Error("state: " + fmt.Sprintf(format, args...))
}

// Fatalf must not return (Pebble's contract): its files are in a condition it
// cannot vouch for. Dying is right; the log replays on the next start.
func (l pebbleLogger) Fatalf(format string, args ...any) {
	panic("raftstore: state: " + fmt.Sprintf(format, args...))
}
