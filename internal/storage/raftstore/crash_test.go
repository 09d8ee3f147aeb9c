package raftstore

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"strongroom/internal/storage"
)

// world is a machine that can crash: what is acknowledged, and one disk with log and state.
type world struct {
	t  *testing.T
	fs *vfs.MemFS

	mu      sync.Mutex
	acked   map[string]uint64 // key → highest number acknowledged
	rng     *rand.Rand
	ops     int
	every   int // a crash at every so many-th file operation, on average
	crashes []crash
}

type crash struct {
	at    string
	fs    *vfs.MemFS
	acked map[string]uint64
}

func newWorld(t *testing.T, seed uint64, every int) *world {
	return &world{
		t: t, fs: vfs.NewCrashableMem(), acked: map[string]uint64{}, rng: rand.New(rand.NewPCG(seed, 1)), every: every,
	}
}

// MaybeError implements errorfs.Injector: it never fails, but takes a picture of
// what a crash before the operation would leave.
func (w *world) MaybeError(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() != errorfs.OpIsWrite {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ops++; w.rng.IntN(w.every) == 0 {
		w.picture(fmt.Sprintf("operation %d on %s", w.ops, op.Path))
	}
	return nil
}

func (w *world) String() string { return "crash" }

// picture is called with mu held, so no acknowledgement is recorded meanwhile.
func (w *world) picture(at string) {
	acked := map[string]uint64{}
	for k, v := range w.acked {
		acked[k] = v
	}
	fs := w.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: []int{0, 50, 100}[w.rng.IntN(3)], RNG: w.rng})
	w.crashes = append(w.crashes, crash{at, fs, acked})
}

func (w *world) ack(key string, n uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.acked[key] = max(w.acked[key], n)
}

// Whatever file operation a crash interrupts, and whatever unsynced blocks it
// keeps: what is reopened is a prefix of the history, and once it leads again it
// holds every acknowledged write.
func TestCrashAtAnyFileOperation(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := newWorld(t, seed, 12)
			s := openOn(t, errorfs.Wrap(w.fs, w), 5)
			if err := s.Bootstrap(""); err != nil {
				t.Fatal(err)
			}
			awaitTerm(t, s)
			var group sync.WaitGroup
			for worker := range 3 {
				group.Go(func() { w.work(s, fmt.Sprintf("w%d", worker), 60) })
			}
			for range 8 {
				if err := s.Snapshot(t.Context()); err != nil {
					t.Error(err)
				}
			}
			group.Wait()
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			w.mu.Lock()
			w.picture("the end")
			crashes := w.crashes
			w.mu.Unlock()
			t.Logf("%d crashes at %d operations", len(crashes), w.ops)
			for _, c := range crashes {
				c.check(t)
			}
		})
	}
}

// work writes the numbers 1..n to key, and to a second key whose writes are
// deleted half of the time.
func (w *world) work(s *Store, key string, n uint64) {
	pad := bytes.Repeat([]byte("x"), 3000)
	for i := uint64(1); i <= n; i++ {
		second := storage.Write{Key: key + "/odd", Value: fmt.Appendf(nil, "%d", i)}
		if i%2 == 0 {
			second = storage.Write{Key: key + "/odd", Delete: true}
		}
		err := s.Apply(w.t.Context(), storage.Batch{Writes: []storage.Write{
			{Key: key, Value: fmt.Appendf(nil, "%d %s", i, pad)}, second,
		}})
		if err != nil {
			w.t.Error(err)
			return
		}
		w.ack(key, i)
	}
}

func (c crash) check(t *testing.T) {
	t.Helper()
	c.checkPrefix(t)
	s := openOn(t, c.fs, 5)
	defer func() {
		if err := s.Close(); err != nil {
			t.Errorf("%s: close: %v", c.at, err)
		}
	}()
	if !s.HasState() {
		if len(c.acked) > 0 {
			t.Errorf("%s: the membership is lost", c.at)
		}
		return
	}
	awaitTerm(t, s)
	for key, acked := range c.acked {
		n := number(t, s, key)
		if n < acked {
			t.Errorf("%s: %s was acknowledged up to %d and is at %d", c.at, key, acked, n)
		}
		if odd := number(t, s, key+"/odd"); n%2 == 1 && odd != n || n%2 == 0 && odd != 0 {
			t.Errorf("%s: half a batch: %s is at %d and its companion at %d", c.at, key, n, odd)
		}
	}
}

// checkPrefix compares the state alone with what the log says up to the state's
// applied index (as far as the log reaches back).
func (c crash) checkPrefix(t *testing.T) {
	t.Helper()
	h, err := openHome(c.fs, "/node", hclog.NewNullLogger())
	if err != nil {
		t.Fatalf("%s: %v", c.at, err)
	}
	defer func() {
		if err := h.close(); err != nil {
			t.Errorf("%s: close: %v", c.at, err)
		}
	}()
	s, err := h.acquire()
	if err != nil {
		t.Fatal(err)
	}
	defer s.release()
	applied, err := s.applied()
	if err != nil {
		t.Fatalf("%s: %v", c.at, err)
	}
	last := map[string]storage.Write{}
	versions := map[string]uint64{}
	log, files, err := logOn(t.Context(), c.fs, hclog.NewNullLogger())
	if err != nil {
		t.Fatalf("%s: %v", c.at, err)
	}
	defer files.Close()
	first, _ := log.FirstIndex()
	for i := first; i <= applied && i > 0; i++ {
		var l raft.Log
		if log.GetLog(i, &l) != nil || l.Type != raft.LogCommand {
			continue
		}
		b, err := decodeEntry(l.Data)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range b.Writes {
			last[w.Key], versions[w.Key] = w, i
		}
	}
	for key, w := range last {
		err := s.get(key, func(version uint64, value []byte) {
			if w.Delete && version != 0 || !w.Delete && (version != versions[key] || !bytes.Equal(value, w.Value)) {
				t.Errorf("%s: at applied index %d, %s is of version %d, want %d (deleted: %v)", c.at, applied, key, version, versions[key], w.Delete)
			}
		})
		if err != nil {
			t.Errorf("%s: %v", c.at, err)
		}
	}
	it, err := s.iterate(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		version, err := s.version(string(it.Key()[1:]))
		if err != nil || version > applied {
			t.Errorf("%s: %s is of version %d, later than the applied index %d (%v)", c.at, it.Key()[1:], version, applied, err)
		}
	}
}

func number(t *testing.T, s *Store, key string) (n uint64) {
	t.Helper()
	e, err := s.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if e.Exists() {
		if _, err := fmt.Sscan(string(e.Value), &n); err != nil {
			t.Fatal(err)
		}
	}
	return n
}
