package snapshot

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"strongroom/internal/storage"
)

// fakeCluster is a cluster whose snapshots can be made to fail.
type fakeCluster struct {
	archive []byte
	mu      sync.Mutex
	failure error
	torn    bool // snapshots end early, without an error
	taken   int
}

func (f *fakeCluster) Snapshot(_ context.Context, w io.Writer) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.taken++
	data := f.archive
	if f.torn || f.failure != nil {
		data = data[:len(data)/2]
	}
	if _, err := w.Write(data); err != nil {
		return err
	}
	return f.failure
}

func (f *fakeCluster) CheckSnapshot(_ context.Context, r io.Reader) error {
	_, err := Check(r, nil)
	return err
}

func (f *fakeCluster) set(failure error, torn bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failure, f.torn = failure, torn
}

// planned runs a scheduler with one plan in a synctest bubble.
func planned(t *testing.T, change func(*Plan), f func(dir string, cluster *fakeCluster, store storage.Store, status func() Status)) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	cluster := &fakeCluster{archive: archiveOf(t, stateOf("a", "1"))}
	synctest.Test(t, func(t *testing.T) {
		store := storage.NewMem()
		tx := storage.Begin(store)
		p := Plan{Interval: time.Hour, Retain: 3, PathPrefix: dir, FilePrefix: "nightly[1]"}
		if change != nil {
			change(&p)
		}
		if err := errors.Join(p.Save(tx, "local"), tx.Commit(t.Context())); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		var done sync.WaitGroup
		done.Go(func() {
			(&Scheduler{Store: store, Source: cluster, Logger: hclog.NewNullLogger()}).Run(ctx)
		})
		f(dir, cluster, store, func() Status {
			synctest.Wait()
			_, st, ok, err := LoadPlan(t.Context(), storage.Begin(store), "local")
			if !ok || err != nil {
				t.Fatal(ok, err)
			}
			return st
		})
		stop()
		done.Wait()
	})
}

func namesIn(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestSchedule(t *testing.T) {
	planned(t, nil, func(dir string, cluster *fakeCluster, _ storage.Store, status func() Status) {
		began := time.Now()
		time.Sleep(2 * time.Second)
		first := status()
		if first.LastError != "" || first.LastStart.Sub(began) != time.Second || first.URL != "" {
			t.Fatalf("after two seconds: %+v", first)
		}
		file := strings.TrimPrefix(first.LastURL, "file://")
		info, err := os.Stat(file)
		if err != nil || info.Mode() != 0o600 {
			t.Fatalf("%v %v", info, err)
		}
		if got, _ := os.ReadFile(file); !bytes.Equal(got, cluster.archive) {
			t.Error("the file is not the snapshot")
		}
		for name, text := range map[string]string{"nightly[1]-mine.snap": "not the plan's", ".nightly[1]-123.tmp": "left by a crash", "nightly1-20000101T000000.000Z.snap": "another's"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(10 * time.Hour)
		status()
		if cluster.taken != 11 {
			t.Errorf("%d snapshots in ten hours and two seconds", cluster.taken)
		}
		names := namesIn(t, dir)
		slices.Sort(names)
		if len(names) != 5 || !slices.Contains(names, "nightly[1]-mine.snap") || !slices.Contains(names, "nightly1-20000101T000000.000Z.snap") || slices.Contains(names, filepath.Base(file)) {
			t.Errorf("kept %q", names)
		}
	})
}

// A failure is visible, leaves nothing behind, deletes nothing, and is tried
// again when the next snapshot is due.
func TestScheduleFailures(t *testing.T) {
	planned(t, nil, func(dir string, cluster *fakeCluster, _ storage.Store, status func() Status) {
		time.Sleep(2 * time.Second)
		good := status()
		cluster.set(errors.New("no leader"), false)
		time.Sleep(2 * time.Hour)
		st := status()
		if st.ConsecutiveErrors != 2 || st.LastError != "no leader" || st.LastURL != good.LastURL || cluster.taken != 3 {
			t.Fatalf("%d taken: %+v", cluster.taken, st)
		}
		cluster.set(nil, true) // a torn file, which only reading it again tells
		time.Sleep(time.Hour)
		if st = status(); st.ConsecutiveErrors != 3 || !strings.Contains(st.LastError, "cannot be restored and was deleted") {
			t.Fatalf("%+v", st)
		}
		if names := namesIn(t, dir); len(names) != 1 {
			t.Fatalf("left %q", names)
		}
		cluster.set(nil, false)
		time.Sleep(time.Hour)
		if st = status(); st.ConsecutiveErrors != 0 || st.LastError != "" || !st.LastStart.After(good.LastStart) {
			t.Fatalf("%+v", st)
		}
	})
}

func TestScheduleSpace(t *testing.T) {
	size := int64(len(archiveOf(t, stateOf("a", "1"))))
	planned(t, func(p *Plan) { p.LocalMaxSpace = 2*size + size/2 }, func(dir string, _ *fakeCluster, _ storage.Store, status func() Status) {
		time.Sleep(3 * time.Hour)
		if st := status(); st.ConsecutiveErrors != 1 || !strings.Contains(st.LastError, "local_max_space") {
			t.Fatalf("%+v", st)
		}
		if names := namesIn(t, dir); len(names) != 2 {
			t.Errorf("kept %q", names)
		}
	})
}

// A plan that is deleted stops, and no status is left of it; a changed interval
// counts from the last snapshot.
func TestScheduleChanges(t *testing.T) {
	planned(t, nil, func(dir string, cluster *fakeCluster, store storage.Store, status func() Status) {
		time.Sleep(2 * time.Second)
		tx := storage.Begin(store)
		p, st, _, err := LoadPlan(t.Context(), tx, "local")
		p.Interval = time.Minute
		if err = errors.Join(err, p.Save(tx, "local"), tx.Commit(t.Context())); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if now := status(); now.LastStart.Sub(st.LastStart) != time.Minute {
			t.Fatalf("%+v after %+v", now, st)
		}
		tx = storage.Begin(store)
		DeletePlan(tx, "local")
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		for k := range store.Keys(t.Context(), "core/", "") {
			t.Errorf("left %s", k)
		}
		if cluster.taken != 2 || len(namesIn(t, dir)) != 2 {
			t.Errorf("%d taken", cluster.taken)
		}
	})
}

// After a clock that was ahead is set back, the plan does not wait for the future.
func TestNext(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	p := Plan{Interval: time.Hour}
	for start, want := range map[time.Time]time.Time{{}: now, now.Add(time.Hour): now, now: now.Add(time.Hour), now.Add(-2 * time.Hour): now.Add(-time.Hour)} {
		if got := p.Next(Status{Start: start}, now); !got.Equal(want) {
			t.Errorf("after %v: %v, want %v", start, got, want)
		}
	}
}
