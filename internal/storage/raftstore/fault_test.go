package raftstore

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/go-hclog"

	"strongroom/internal/storage"
)

// faultyDisk fails one operation that changes it, or all from there on, with the
// change made all the same or not.
type faultyDisk struct {
	vfs.FS
	mu     sync.Mutex
	n      int // operations so far
	first  int // the first that fails
	last   int
	anyway bool
	hit    string // the operation that failed
	died   chan string
}

func newFaultyDisk(mem *vfs.MemFS) *faultyDisk {
	return &faultyDisk{FS: mem, died: make(chan string, 1)}
}

// die is the end of the process: the goroutine must not go on.
func (d *faultyDisk) die(why string) {
	select {
	case d.died <- why:
	default:
	}
	select {}
}

func (d *faultyDisk) do(what, path string, op func() error) error {
	d.mu.Lock()
	d.n++
	fails, anyway := d.n >= d.first && d.n <= d.last, d.anyway
	if fails && d.hit == "" {
		d.hit = what + " " + path
	}
	d.mu.Unlock()
	if !fails {
		return op()
	}
	if anyway {
		_ = op()
	}
	if what == "sync" && strings.HasPrefix(d.PathBase(path), statePrefix) {
		d.die("Pebble panics when its folder cannot be synced")
	}
	return fmt.Errorf("%s %s: %w", what, path, syscall.EIO)
}

func (d *faultyDisk) changes() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.n
}

// fail makes the operations from the first'th from now on to the last'th fail.
func (d *faultyDisk) fail(first, last int, anyway bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.first, d.last, d.anyway = d.n+first, d.n+last, anyway
}

func (d *faultyDisk) file(f vfs.File, err error, path string) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return faultyFile{f, d, path}, nil
}

func (d *faultyDisk) Create(path string, c vfs.DiskWriteCategory) (f vfs.File, err error) {
	err = d.do("create", path, func() error { f, err = d.FS.Create(path, c); return err })
	return d.file(f, err, path)
}

func (d *faultyDisk) OpenReadWrite(path string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := d.FS.OpenReadWrite(path, c, opts...)
	return d.file(f, err, path)
}

func (d *faultyDisk) OpenDir(path string) (vfs.File, error) {
	f, err := d.FS.OpenDir(path)
	return d.file(f, err, path)
}

func (d *faultyDisk) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (f vfs.File, err error) {
	err = d.do("reuse", to, func() error { f, err = d.FS.ReuseForWrite(from, to, c); return err })
	return d.file(f, err, to)
}

func (d *faultyDisk) Link(from, to string) error {
	return d.do("link", to, func() error { return d.FS.Link(from, to) })
}

func (d *faultyDisk) Remove(path string) error {
	return d.do("remove", path, func() error { return d.FS.Remove(path) })
}

func (d *faultyDisk) RemoveAll(path string) error {
	return d.do("remove all", path, func() error { return d.FS.RemoveAll(path) })
}

func (d *faultyDisk) Rename(from, to string) error {
	return d.do("rename", to, func() error { return d.FS.Rename(from, to) })
}

type faultyFile struct {
	vfs.File
	d    *faultyDisk
	path string
}

func (f faultyFile) Write(b []byte) (n int, err error) {
	err = f.d.do("write", f.path, func() error { n, err = f.File.Write(b); return err })
	return n, err
}

func (f faultyFile) WriteAt(b []byte, at int64) (n int, err error) {
	err = f.d.do("write", f.path, func() error { n, err = f.File.WriteAt(b, at); return err })
	return n, err
}

func (f faultyFile) Sync() error     { return f.d.do("sync", f.path, f.File.Sync) }
func (f faultyFile) SyncData() error { return f.d.do("sync", f.path, f.File.SyncData) }
func (f faultyFile) SyncTo(n int64) (full bool, err error) {
	err = f.d.do("sync", f.path, func() error { full, err = f.File.SyncTo(n); return err })
	return full, err
}

// lastWords is the logger of a process that may die: what kills it, Pebble's
// fatal errors, ends in a goroutine that waits for ever, as it must not go on.
type lastWords struct {
	hclog.Logger
	disk *faultyDisk
}

func (l lastWords) Error(text string, args ...any) {
	if strings.HasPrefix(text, fatalPrefix) {
		l.disk.die(text)
	}
}

// life runs a node on d until n writes are acknowledged, or it has stopped or
// died, or has not taken a write for ten seconds. It returns the writes that
// were acknowledged, and how it ended.
func life(t *testing.T, d *faultyDisk, n int) (acked int, end string) {
	t.Helper()
	words := lastWords{hclog.NewNullLogger(), d}
	ended := make(chan string, 1)
	var done sync.WaitGroup
	count := 0
	var mu sync.Mutex
	done.Go(func() {
		s, err := openDisk(d, 5, words)
		if err != nil {
			ended <- "refused"
			return
		}
		how := "went on"
		defer func() { _ = s.Close(); ended <- how }()
		if !s.HasState() {
			if err := s.Bootstrap(""); err != nil {
				how = "refused"
				return
			}
		}
		for limit := time.Now().Add(10 * time.Second); ; {
			mu.Lock()
			i := count
			mu.Unlock()
			if i == n {
				return
			}
			err := s.Apply(t.Context(), put(rotKey(i), rotValue(i)))
			if err == nil {
				mu.Lock()
				count++
				mu.Unlock()
				if i%10 == 9 {
					_ = s.Snapshot(t.Context()) // cuts the log
				}
				continue
			}
			select {
			case <-s.Failed():
				how = "stopped"
				return
			case <-time.After(5 * time.Millisecond): // an election
			}
			if time.Now().After(limit) {
				how = "hung"
				return
			}
		}
	})
	select {
	case end = <-ended:
	case <-d.died: // its goroutines hang in the air, like the process
		end = "died"
	}
	mu.Lock()
	defer mu.Unlock()
	return count, end
}

// Every change of the disk, be it to the log or to the state, fails once: before
// it is made, or although it is made. The node goes on, or stops for its log to
// be replayed; what it acknowledged is there after a power loss, and it writes.
func TestEveryChangeFailsOnce(t *testing.T) {
	const n = 60
	whole := newFaultyDisk(vfs.NewCrashableMem())
	if acked, end := life(t, whole, n); acked != n || end != "went on" {
		t.Fatalf("without a fault: %d writes, %s", acked, end)
	}
	ends := map[string]int{}
	var mu sync.Mutex
	next := make(chan int)
	var lives sync.WaitGroup
	for range 4 { // each mostly waits for elections
		lives.Go(func() {
			for at := range next {
				for _, anyway := range []bool{false, true} {
					mem := vfs.NewCrashableMem()
					d := newFaultyDisk(mem)
					d.fail(at, at, anyway)
					acked, end := life(t, d, n)
					mu.Lock()
					ends[end]++
					mu.Unlock()
					what := fmt.Sprintf("change %d (%s; made anyway: %v), %d acknowledged, then it %s", at, d.hit, anyway, acked, end)
					if end == "hung" {
						t.Errorf("%s: it takes no more writes", what)
					}
					survives(t, mem.CrashClone(vfs.CrashCloneCfg{}), acked, what)
				}
			}
		})
	}
	for at := 1; at <= whole.n; at += 1 + at/120 {
		next <- at
	}
	close(next)
	lives.Wait()
	if ends["went on"] == 0 || ends["died"]+ends["stopped"]+ends["refused"] == 0 {
		t.Errorf("ends: %v", ends)
	}
	t.Logf("%d changes; ends: %v", whole.n, ends)
}

// A disk that refuses everything for a while costs nothing but time: the same
// node goes on by itself, unless its state was caught in a change it cannot take
// back.
func TestDiskFailsForAWhile(t *testing.T) {
	for at := 150; at < 400; at += 50 {
		mem := vfs.NewCrashableMem()
		d := newFaultyDisk(mem)
		d.fail(at, at+12, at%100 == 0)
		acked, end := life(t, d, 60)
		what := fmt.Sprintf("from change %d on, %d acknowledged, then it %s", at, acked, end)
		if end == "hung" {
			t.Errorf("%s: it takes no more writes", what)
		}
		survives(t, mem.CrashClone(vfs.CrashCloneCfg{}), acked, what)
	}
}

// survives opens what a crash left and looks for the acknowledged writes.
func survives(t *testing.T, fs vfs.FS, acked int, what string) {
	t.Helper()
	s, err := openDisk(fs, 5, nil)
	if err != nil {
		t.Errorf("%s: not opened again: %v", what, err)
		return
	}
	defer s.Close()
	if !s.HasState() && acked == 0 {
		return
	}
	if !led(s) {
		t.Errorf("%s: it does not lead again", what)
		return
	}
	for i := range acked {
		if e, err := s.Get(t.Context(), rotKey(i)); err != nil || string(e.Value) != rotValue(i) {
			t.Errorf("%s: write %d is lost: %v", what, i, err)
			return
		}
	}
	if err := s.Apply(t.Context(), storage.Batch{Writes: []storage.Write{{Key: "again"}}}); err != nil {
		t.Errorf("%s: no more writes: %v", what, err)
	}
}

// led waits for leadership, twenty seconds at most.
func led(s *Store) bool {
	limit := time.After(20 * time.Second)
	for {
		select {
		case term := <-s.Leadership():
			if term != 0 {
				return true
			}
		case <-limit:
			return false
		}
	}
}

// A bit that rots in any of the log's files, sealed ones included, is an error
// at the next start or does no harm.
func TestRottenSealedFiles(t *testing.T) {
	mem := vfs.NewCrashableMem()
	s := openOn(t, mem, 1000)
	if err := s.Bootstrap(""); err != nil {
		t.Fatal(err)
	}
	awaitTerm(t, s)
	for i := range rotKeys {
		must(t, s, rotKey(i), rotValue(i))
	}
	killed := mem.CrashClone(vfs.CrashCloneCfg{}) // the state is lost, the log has all
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := walFiles{killed}.ListDir("/node/" + logName)
	if err != nil {
		t.Fatal(err)
	}
	files = slices.DeleteFunc(files, func(name string) bool { return !strings.HasSuffix(name, ".wal") })
	refused, harmless := 0, 0
	for _, name := range files[:len(files)-1] { // the last one: TestRottenLog
		path := "/node/" + logName + "/" + name
		for at := 0; at < testSegment; at += 97 {
			fs := killed.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))})
			flipOn(t, fs, path, int64(at))
			s, err := openDisk(fs, 1000, nil)
			if err != nil {
				refused++
				if !strings.Contains(err.Error(), "corrupt") {
					t.Errorf("byte %d of %s: %v", at, name, err)
				}
				continue
			}
			harmless++
			if !led(s) {
				t.Errorf("byte %d of %s: it does not lead again", at, name)
			}
			for i := range rotKeys {
				if e, err := s.Get(t.Context(), rotKey(i)); err != nil || string(e.Value) != rotValue(i) {
					t.Errorf("byte %d of %s: key %d is %.20q, %v", at, name, i, e.Value, err)
					break
				}
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	if refused < 10*len(files) {
		t.Errorf("of %d files, %d flips were refused and %d harmless", len(files), refused, harmless)
	}
	t.Logf("%d files: %d flips refused, %d harmless", len(files), refused, harmless)
}

func flipOn(t *testing.T, fs vfs.FS, path string, at int64) {
	t.Helper()
	f, err := fs.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, at); err != nil {
		return // the file is shorter
	}
	b[0] ^= 1 << (at % 8)
	if _, err := f.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
}

// A state that cannot be flushed, as on a full disk, is not tried over and over,
// says so once a minute, and is flushed soon after there is room.
func TestFullDiskIsTriedSeldom(t *testing.T) {
	d := newFaultyDisk(vfs.NewCrashableMem())
	var lines atomic.Int32
	s, err := openDisk(tables{d}, 5, counter{hclog.NewNullLogger(), &lines})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Bootstrap(""); err != nil {
		t.Fatal(err)
	}
	awaitTerm(t, s)
	must(t, s, "a", "b")
	d.fail(1, 1<<30, false)
	time.AfterFunc(2500*time.Millisecond, func() { d.fail(0, 0, false) }) // there is room again
	before, from := d.changes(), time.Now()
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	if tries := d.changes() - before; time.Since(from) < 2500*time.Millisecond || tries > 40 || lines.Load() != 1 {
		t.Errorf("flushed after %v, with %d changes of the disk and %d lines in the log", time.Since(from), tries, lines.Load())
	}
}

// Nothing is begun on a full disk that Pebble would have to finish: its index,
// whose failure ends the process, is not touched until there is room.
func TestFullDiskEndsNoProcess(t *testing.T) {
	mem := vfs.NewCrashableMem()
	d := newFaultyDisk(mem)
	s := openOn(t, d, 5)
	defer s.Close()
	if err := s.Bootstrap(""); err != nil {
		t.Fatal(err)
	}
	awaitTerm(t, s)
	must(t, s, "a", "b")
	mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: stateReserve - 1, TotalBytes: 1 << 30})
	before := d.changes()
	flushed := make(chan error, 1)
	go func() { flushed <- s.Flush() }()
	select {
	case err := <-flushed:
		t.Fatalf("flushed without room: %v", err)
	case <-time.After(1500 * time.Millisecond): // two tries
	}
	if n := d.changes() - before; n > 0 {
		t.Errorf("%d changes of a full disk", n)
	}
	mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: stateReserve, TotalBytes: 1 << 30})
	if err := <-flushed; err != nil {
		t.Fatal(err)
	}
}

// counter counts lines about errors.
type counter struct {
	hclog.Logger
	lines *atomic.Int32
}

func (c counter) Error(string, ...any) { c.lines.Add(1) }

// tables is a disk whose faults are the tables' alone.
type tables struct{ *faultyDisk }

func (f tables) Create(path string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if strings.HasSuffix(path, ".sst") {
		return f.faultyDisk.Create(path, c)
	}
	return f.FS.Create(path, c)
}

func (f tables) OpenReadWrite(path string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return f.FS.OpenReadWrite(path, c, opts...)
}

func (f tables) OpenDir(path string) (vfs.File, error) { return f.FS.OpenDir(path) }
func (f tables) Remove(path string) error              { return f.FS.Remove(path) }
func (f tables) Rename(from, to string) error          { return f.FS.Rename(from, to) }
