package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"strongroom/internal/storage"
)

// fakeSink writes to memory, fails, or blocks for as long as block is open.
type fakeSink struct {
	mu       sync.Mutex
	fail     error
	block    chan struct{}
	slow     time.Duration // a write takes so long
	kept     bytes.Buffer
	writes   int
	reopened int
}

func (s *fakeSink) write(records []byte, ends []int, _ time.Time) error {
	s.mu.Lock()
	block, fail := s.block, s.fail
	s.mu.Unlock()
	if block != nil {
		<-block
	}
	time.Sleep(s.slow)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writes++; fail != nil {
		return fail
	}
	if len(ends) == 0 || ends[len(ends)-1] != len(records) {
		return fmt.Errorf("the records of %d bytes end at %v", len(records), ends)
	}
	s.kept.Write(records)
	return nil
}
func (s *fakeSink) reopen()      { s.mu.Lock(); s.reopened++; s.mu.Unlock() }
func (s *fakeSink) close() error { return nil }

func (s *fakeSink) set(fail error, block chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail, s.block = fail, block
}

func (s *fakeSink) lines() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Count(s.kept.String(), "\n")
}

// fakes are devices on fake sinks, with a timeout of two seconds.
func fakes(t *testing.T, n int) (*Devices, []*fakeSink) {
	t.Helper()
	d := &Devices{}
	var sinks []*fakeSink
	for i := range n {
		s := &fakeSink{}
		dev := startDevice(Spec{Path: fmt.Sprint(i) + "/"}, settings{timeout: 2 * time.Second}, true, s, hclog.NewNullLogger())
		t.Cleanup(func() { _ = dev.close() }) // one that is stuck says so
		d.list = append(d.list, &recorder{device: dev, settings: dev.settings, hash: newHasher(testSalt)})
		sinks = append(sinks, s)
	}
	return d, sinks
}

// One device that records is enough; none is not.
func TestOneDeviceIsEnough(t *testing.T) {
	d, sinks := fakes(t, 3)
	full := errors.New("no space left on device")
	for failing := range 4 {
		for i, s := range sinks {
			s.set(nil, nil)
			if i < failing {
				s.set(full, nil)
			}
		}
		x, resp := sample()
		err := errors.Join(d.Request(t.Context(), x, ""), d.Response(t.Context(), x, resp, ""))
		if failing < 3 && err != nil || failing == 3 && (!errors.Is(err, ErrNotRecorded) || !errors.Is(err, full)) {
			t.Errorf("with %d of 3 devices failing: %v", failing, err)
		}
	}
	for i, want := range []int{2, 4, 6} {
		if got := sinks[i].lines(); got != want {
			t.Errorf("device %d has %d records, want %d", i, got, want)
		}
	}
}

// A device that is stuck costs those who wait its timeout once, and nobody
// anything after that; the others have every record. When it goes on, so does
// recording on it.
func TestStuckDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, sinks := fakes(t, 2)
		stuck := make(chan struct{})
		sinks[0].set(nil, stuck)
		record := func() (time.Duration, error) {
			start := time.Now()
			x, resp := sample()
			x.Defer("")
			err := d.Response(t.Context(), x, resp, "")
			return time.Since(start), err
		}
		for i, want := range []time.Duration{2 * time.Second, 2 * time.Second, 0, 0} {
			// The second is the first that is not yet known to be hopeless: it came while the first's write was within its time.
			if took, err := record(); err != nil || took > want {
				t.Errorf("record %d: took %v, %v", i, took, err)
			}
			time.Sleep(time.Millisecond)
		}
		sinks[1].set(errors.New("and the other fails"), nil)
		if took, err := record(); !errors.Is(err, ErrNotRecorded) || took > 0 {
			t.Errorf("with none left: took %v, %v", took, err)
		}
		sinks[0].set(nil, nil)
		close(stuck)
		synctest.Wait()
		if took, err := record(); err != nil || took > 0 {
			t.Errorf("after it went on: took %v, %v", took, err)
		}
	})
}

// Many requests share writes, none is lost, and a full queue is one to wait for.
func TestDeviceBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the device's timeout does not pass on a busy machine
		d, sinks := fakes(t, 1)
		block := make(chan struct{})
		sinks[0].set(nil, block)
		var done sync.WaitGroup
		for range 500 {
			done.Go(func() {
				x, resp := sample()
				x.Defer("")
				if err := d.Response(context.WithoutCancel(t.Context()), x, resp, ""); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if b, room, err := d.list[0].device.submit(make([]byte, maxPending), 0); b != nil || room == nil || err != nil {
			t.Errorf("more than a device may hold is taken: %v, %v", b, err)
		}
		close(block)
		done.Wait()
		if sinks[0].lines() != 1000 || sinks[0].writes > 110 {
			t.Errorf("%d records in %d writes", sinks[0].lines(), sinks[0].writes)
		}
	})
}

// waitFor waits for what other goroutines are about to do.
func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it does not happen")
		}
	}
}

// big is an answer whose record takes a tenth of what a device holds.
func big() (*Exchange, *Response) {
	x, resp := sample()
	x.Defer("")
	resp.Data = append(append([]byte(`{"keys":["`), bytes.Repeat([]byte{'k'}, maxPending/10)...), `"]}`...)
	resp.Plain = []string{"keys"}
	return x, resp
}

// Many long answers wait for a slow device, within its timeout, and are not refused.
func TestFullDeviceIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, sinks := fakes(t, 2)
		for i, s := range sinks {
			s.slow = time.Duration(i+1) * 100 * time.Millisecond
		}
		start := time.Now()
		var done sync.WaitGroup
		for range 64 { // seven writes of at most ten
			done.Go(func() {
				x, resp := big()
				if err := d.Response(t.Context(), x, resp, ""); err != nil {
					t.Error(err)
				}
			})
		}
		done.Wait()
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("took %v", took)
		}
		for i, s := range sinks {
			if s.lines() != 128 {
				t.Errorf("device %d has %d records", i, s.lines())
			}
		}
	})
}

// A device that is full and stuck costs its timeout, not more; what it kept
// waiting is on the other device in time. Where there is no other, nothing is served.
func TestFullDeviceThatIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, sinks := fakes(t, 2)
		stuck := make(chan struct{})
		defer close(stuck)
		sinks[0].set(nil, stuck)
		sinks[1].slow = 100 * time.Millisecond
		record := func(n int) (failed int, took time.Duration) {
			var errs atomic.Int64
			var done sync.WaitGroup
			start := time.Now()
			for range n {
				done.Go(func() {
					x, resp := big()
					if err := d.Response(t.Context(), x, resp, ""); err != nil {
						errs.Add(1)
					}
				})
			}
			done.Wait()
			return int(errs.Load()), time.Since(start)
		}
		if failed, took := record(40); failed > 0 || took != 2*time.Second || sinks[1].lines() != 80 {
			t.Errorf("%d of 40 failed after %v, %d are kept", failed, took, sinks[1].lines())
		}
		time.Sleep(time.Millisecond)
		if failed, took := record(40); failed > 0 || took >= 2*time.Second {
			t.Errorf("a known stuck device: %d of 40 failed after %v", failed, took)
		}
		sinks[1].set(errors.New("full disk"), nil)
		if failed, _ := record(3); failed != 3 {
			t.Errorf("with no device %d of 3 failed", failed)
		}
	})
}

// A disabled device says so, and what it had taken is written.
func TestClosedDevice(t *testing.T) {
	d, sinks := fakes(t, 1)
	b, _, err := d.list[0].device.submit([]byte("{}\n"), 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.list[0].device.close(); err != nil {
		t.Fatal(err)
	}
	if <-b.done; b.err != nil || sinks[0].lines() != 1 {
		t.Errorf("the last record: %v", b.err)
	}
	x, _ := sample()
	if err := d.Request(t.Context(), x, ""); !Closed(err) || !errors.Is(err, ErrNotRecorded) {
		t.Errorf("a closed device: %v", err)
	}
}

// A client that gives up stops waiting.
func TestRecordGivesUp(t *testing.T) {
	d, sinks := fakes(t, 1)
	block := make(chan struct{})
	defer close(block)
	sinks[0].set(nil, block)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	x, _ := sample()
	if err := d.Request(ctx, x, ""); !errors.Is(err, ErrNotRecorded) || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// The log tells of a device that fails, at once, once a minute, and when it is over.
func TestTroubleIsSaidOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		logger := hclog.New(&hclog.LoggerOptions{Output: &out})
		var tr trouble
		for range 130 {
			tr.note(logger, errors.New("no space left on device"))
			time.Sleep(time.Second)
		}
		tr.note(logger, nil)
		tr.note(logger, nil)
		if n := strings.Count(out.String(), "cannot record"); n != 3 {
			t.Errorf("said %d times:\n%s", n, out.String())
		}
		if !strings.Contains(out.String(), "records again: failed_writes=130 after=2m10s") || strings.Count(out.String(), "\n") != 4 {
			t.Errorf("log:\n%s", out.String())
		}
	})
}

// The state in the store: made once, followed by version, and only by those
// who read it.
func TestJournalFollowsTheState(t *testing.T) {
	dir := t.TempDir()
	j, store := journal(t, Options{AllowAPI: true})
	devices := func() *Devices {
		t.Helper()
		d, err := j.Devices(t.Context(), storage.Begin(store))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	change := func(do func(tx *storage.Tx) error) error {
		tx := storage.Begin(store)
		if err := do(tx); err != nil {
			return err
		}
		return tx.Commit(t.Context())
	}
	if d := devices(); d != nil {
		t.Errorf("devices of a new store: %v", d)
	}
	enable := func(path, file string) error {
		return change(func(tx *storage.Tx) error {
			return j.Enable(t.Context(), tx, Spec{Path: path, Type: "file", Options: map[string]string{"file_path": dir + "/" + file}})
		})
	}
	// A request that began without devices conflicts with the enabling of one.
	reader := storage.Begin(store)
	if d, err := j.Devices(t.Context(), reader); d != nil || err != nil {
		t.Fatal(d, err)
	}
	if err := enable("a/b", "1"); err != nil {
		t.Fatal(err)
	}
	reader.Put("k", nil)
	if err := reader.Commit(t.Context()); !errors.Is(err, storage.ErrConflict) {
		t.Errorf("a request that nobody recorded: %v", err)
	}
	for _, taken := range []string{"a", "a/b", "/a/b/", "a/b/c"} {
		if err := enable(taken, "2"); err == nil || !strings.Contains(err.Error(), "path already in use") {
			t.Errorf("%s: %v", taken, err)
		}
	}
	d := devices()
	if d != devices() || len(d.list) != 1 {
		t.Errorf("not the same devices for the same state: %v", d)
	}
	if err := enable("c", "2"); err != nil {
		t.Fatal(err)
	}
	if now := devices(); len(now.list) != 2 || now.list[0].device != d.list[0].device {
		t.Error("an enabled device was opened anew")
	}
	hash := func(path string) string {
		t.Helper()
		h, err := j.Hash(t.Context(), storage.Begin(store), path, "x")
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	old := hash("c")
	if old == hash("a/b") {
		t.Error("two devices share a salt")
	}
	if err := change(func(tx *storage.Tx) error { return j.Disable(t.Context(), tx, "c") }); err != nil {
		t.Fatal(err)
	}
	if err := enable("c", "2"); err != nil {
		t.Fatal(err)
	}
	if hash("c") == old {
		t.Error("a device has the salt of the one that was at its path")
	}
	if _, err := j.Hash(t.Context(), storage.Begin(store), "d", "x"); err == nil {
		t.Error("a hash of no device")
	}
	// Another Session, or node, finds the same.
	again := j.log.Journal("root")
	if h, err := again.Hash(t.Context(), storage.Begin(store), "a/b", "x"); err != nil || h != hash("a/b") {
		t.Errorf("another node: %s, %v", h, err)
	}
	before, err := store.Get(t.Context(), stateKey("root"))
	if err != nil {
		t.Fatal(err)
	}
	if err := change(func(tx *storage.Tx) error { return Initialize(t.Context(), tx, "root") }); err != nil {
		t.Fatal(err)
	}
	if after, _ := store.Get(t.Context(), stateKey("root")); after.Version != before.Version {
		t.Error("a state is made twice")
	}
}
