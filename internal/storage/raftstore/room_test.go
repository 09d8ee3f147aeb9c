package raftstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	walfs "github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/metadb"

	"strongroom/internal/storage"
)

// gauge is the machine's disk with a free space of the test's choice.
type gauge struct {
	vfs.FS
	free atomic.Uint64
}

func (g *gauge) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{AvailBytes: g.free.Load()}, nil
}

// A log on a full disk takes nothing more, but can be opened, read and cut; it
// goes on once there is room.
func TestLogOnAFullDisk(t *testing.T) {
	const segment = 32 << 10
	dir := filepath.Join(t.TempDir(), logName)
	if err := makeDir(vfs.Default, dir); err != nil {
		t.Fatal(err)
	}
	disk := &gauge{FS: vfs.Default}
	disk.free.Store(1 << 40)
	meta := &metadb.BoltMetaDB{}
	l, err := newSteadyLog(t.Context(), func() (*wal.WAL, error) {
		return openWAL(dir, segment, shared{meta}, logDisk{walfs.New(), disk}, func() error { return nil }, hclog.NewNullLogger())
	}, func() (int64, error) { return sizeOf(vfs.Default, dir) }, meta, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	next := uint64(1)
	store := func() error {
		err := l.StoreLog(&raft.Log{Index: next, Term: 1, Data: make([]byte, 1000)})
		if err == nil {
			next++
		}
		return err
	}
	for range 200 {
		if err := store(); err != nil {
			t.Fatal(err)
		}
	}
	disk.free.Store(logReserve)
	for err = nil; err == nil; err = store() {
		if next > 300 {
			t.Fatal("a full disk takes entries for ever")
		}
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	last := next - 1
	if got, err := l.LastIndex(); got != last || err != nil {
		t.Errorf("the last entry is %d, %v; want %d", got, err, last)
	}
	before, err := l.Size()
	if err != nil {
		t.Fatal(err)
	}
	if err := l.DeleteRange(1, 150); err != nil { // as Raft cuts it
		t.Fatalf("a full log cannot be cut: %v", err)
	}
	if after, err := l.Size(); err != nil || after >= before {
		t.Errorf("cutting it has freed nothing: %d of %d bytes are left, %v", after, before, err)
	}
	if err := store(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("an entry was taken without room: %v", err)
	}
	disk.free.Store(1 << 40)
	for range 100 {
		if err := store(); err != nil {
			t.Fatal(err)
		}
	}
	for i := uint64(151); i < next; i++ {
		var e raft.Log
		if err := l.GetLog(i, &e); err != nil || len(e.Data) != 1000 {
			t.Fatalf("entry %d: %v", i, err)
		}
	}
}

// A log of few but large entries is cut by its size.
func TestLogIsBoundBySize(t *testing.T) {
	const most, blob = 4 << 20, 32 << 10
	fs := vfs.NewMem()
	s, err := open(Config{Dir: "/node", NodeID: "n1", Heartbeat: testHeartbeat, maxLog: most}, fs,
		func(ctx context.Context, logger hclog.Logger) (logStore, io.Closer, error) {
			return logOn(ctx, fs, logger)
		})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Bootstrap(""); err != nil {
		t.Fatal(err)
	}
	awaitTerm(t, s)
	for i := range 4 * most / blob {
		if err := s.Apply(t.Context(), storage.Batch{Writes: []storage.Write{{Key: fmt.Sprint(i % 3), Value: make([]byte, blob)}}}); err != nil {
			t.Fatal(err)
		}
	}
	var size int64
	for limit := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) { // it is looked at every two seconds
		if size, err = s.log.(*steadyLog).Size(); err != nil {
			t.Fatal(err)
		}
		if size <= most || time.Now().After(limit) {
			break
		}
	}
	if size > most || size < most/4 {
		t.Errorf("the log is of %d KiB, want about %d", size>>10, most>>10)
	}
	last, _ := s.log.LastIndex()
	if first, err := s.log.FirstIndex(); err != nil || last-first < minTrailing {
		t.Errorf("entries %d to %d are left, %v", first, last, err)
	}
}

// A term that cannot be saved while the Store closes ends no process, and nothing
// is stored on it.
func TestTermIsNotSavedAtTheEnd(t *testing.T) {
	d := newFaultyDisk(vfs.NewCrashableMem())
	ctx, end := context.WithCancel(t.Context())
	log, files, err := logOn(ctx, d, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	d.fail(1, 1<<30, false)
	end()
	if err := log.SetUint64([]byte("CurrentTerm"), 7); err != nil {
		t.Error(err)
	}
	d.fail(0, 0, false)
	if err := log.SetUint64([]byte("LastVoteTerm"), 7); err == nil {
		t.Error("a vote was saved")
	}
	if err := log.StoreLog(&raft.Log{Index: 1, Term: 7}); err == nil {
		t.Error("an entry was stored")
	}
}
