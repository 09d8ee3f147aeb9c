package raftstore

import (
	"context"
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

// A stored key's Pebble key is one of two prefixes and the key: one holds the
// data, the other is empty or what a restore has brought so far. What is about
// the state as a whole lies outside both.
const (
	firstPrefix  = 'd'
	secondPrefix = 'e'
)

var (
	appliedKey = []byte{0x00, 'a'} // index of the last entry applied
	placeKey   = []byte{0x00, 'p'} // a place; absent: the first one
	stagingKey = []byte{0x00, 's'} // a staging, while a restore is under way
)

// place is where the data of a state lies.
type place struct {
	prefix byte
	// floor is the version of what was stored with version 0: the index of the
	// entry that ended the restore which brought it.
	floor uint64
}

func (p place) append(b []byte, key string) []byte { return append(append(b, p.prefix), key...) }

// other is the prefix that holds no data.
func (p place) other() byte { return firstPrefix + secondPrefix - p.prefix }

// version is what a stored version means.
func (p place) version(stored uint64) uint64 {
	if stored == 0 {
		return p.floor
	}
	return stored
}

func (p place) encode() []byte { return binary.BigEndian.AppendUint64([]byte{p.prefix}, p.floor) }

func readPlace(r pebble.Reader) (place, error) {
	v, err := readMeta(r, placeKey, 9)
	switch {
	case err != nil:
		return place{}, fmt.Errorf("raftstore: read where the data lies: %w", err)
	case v == nil:
		return place{prefix: firstPrefix}, nil
	case v[0] != firstPrefix && v[0] != secondPrefix:
		return place{}, fmt.Errorf("raftstore: the data lies nowhere: %w", errCorrupt)
	}
	return place{v[0], binary.BigEndian.Uint64(v[1:])}, nil
}

// readMeta returns the value of one of the keys about the state, which has size
// bytes; nil if it is absent.
func readMeta(r pebble.Reader, key []byte, size int) ([]byte, error) {
	v, closer, err := r.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer closer.Close()
	if len(v) != size {
		return nil, fmt.Errorf("a record of %d bytes, not %d: %w", len(v), size, errCorrupt)
	}
	return append([]byte(nil), v...), nil
}

func readApplied(r pebble.Reader) (uint64, error) {
	v, err := readMeta(r, appliedKey, 8)
	if err != nil {
		return 0, fmt.Errorf("raftstore: read the applied index: %w", err)
	}
	if v == nil {
		return 0, nil
	}
	return binary.BigEndian.Uint64(v), nil
}

// state is one Pebble directory. It is closed when its owner and every reader
// have released it, so that a switch to another state never pulls the ground
// from under a read.
type state struct {
	db    *pebble.DB
	name  string
	place atomic.Pointer[place]
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
	trouble := &trouble{logger: logger}
	opts := &pebble.Options{
		FS:                 ordered{fs, trouble},
		DisableWAL:         true,
		ErrorIfNotExists:   mustExist,
		ErrorIfExists:      !mustExist,
		CacheSize:          cacheSize,
		MemTableSize:       memtableSize,
		MaxOpenFiles:       500,
		FormatMajorVersion: pebble.FormatNewest,
		Logger:             pebbleLogger{logger},
		EventListener: &pebble.EventListener{
			BackgroundError: trouble.report,
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
	at, err := readPlace(db)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	s.place.Store(&at)
	return s, nil
}

// clearPrefix removes everything under prefix, which is not the data's.
func clearPrefix(w pebble.Writer, prefix byte) error {
	return w.DeleteRange([]byte{prefix}, []byte{prefix + 1}, pebble.NoSync)
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
func (s *state) applied() (uint64, error) { return readApplied(s.db) }

// get calls use with the version and the value of key, which is only valid
// during the call; an absent key is version 0.
func (s *state) get(key string, use func(version uint64, value []byte)) error {
	var room [128]byte
	for {
		at := s.place.Load()
		v, closer, err := s.db.Get(at.append(room[:0], key))
		if s.place.Load() != at { // a restore has ended: what was there may be gone
			if err == nil {
				_ = closer.Close() // gives memory back
			}
			continue
		}
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
		use(at.version(binary.BigEndian.Uint64(v)), v[versionSize:])
		return nil
	}
}

// iterate returns an iterator over the keys that begin with prefix and are
// greater than after, as of one moment.
func (s *state) iterate(ctx context.Context, prefix, after string) (*pebble.Iterator, error) {
	for {
		at := s.place.Load()
		lower, upper := at.bounds(prefix, after)
		it, err := s.db.NewIterWithContext(ctx, &pebble.IterOptions{LowerBound: lower, UpperBound: upper})
		if err != nil {
			return nil, err
		}
		if s.place.Load() == at {
			return it, nil
		}
		if err := it.Close(); err != nil {
			return nil, err
		}
	}
}

// version is get without the value, and mostly without a search.
func (s *state) version(key string) (uint64, error) {
	return s.known.get(key, func() (version uint64, err error) {
		err = s.get(key, func(v uint64, _ []byte) { version = v })
		return version, err
	})
}

// bounds are the Pebble keys [lower, upper) that begin with prefix and are
// greater than after.
func (p place) bounds(prefix, after string) (lower, upper []byte) {
	upper = p.append(nil, prefix)
	for i := len(upper) - 1; ; i-- { // ends at the place's prefix at the latest
		if upper[i] != 0xff {
			upper[i]++
			upper = upper[:i+1]
			break
		}
	}
	if after >= prefix && after != "" {
		return append(p.append(nil, after), 0), upper
	}
	return p.append(nil, prefix), upper
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
	text := fatalPrefix + fmt.Sprintf(format, args...)
	l.Logger.Error(text)
	panic("raftstore: " + text)
}

const fatalPrefix = "the process ends, as its state cannot go on: "
