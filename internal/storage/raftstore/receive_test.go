package raftstore

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"strongroom/internal/storage"
)

// source is a state of n keys at applied index n, and its stream.
func source(t testing.TB, n int) []byte {
	t.Helper()
	h, err := openHome(vfs.NewMem(), "/src", hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	defer h.close()
	f, err := newFSM(h, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		b := storage.Batch{Writes: []storage.Write{{Key: fmt.Sprintf("k/%04d", i), Value: fmt.Appendf(nil, "new %d", i)}}}
		if err, _ := f.Apply(&raft.Log{Index: uint64(i + 1), Data: encodeEntry(b)}).(error); err != nil {
			t.Fatal(err)
		}
	}
	s, err := h.acquire()
	if err != nil {
		t.Fatal(err)
	}
	r, size, err := newStateReader(s, &h.closing)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	stream, err := io.ReadAll(r)
	if err != nil || int64(len(stream)) != size {
		t.Fatalf("stream of %d bytes, announced %d: %v", len(stream), size, err)
	}
	return stream
}

// receive does what Raft does with a leader's stream.
func receive(f *fsm, stream []byte, index uint64) error {
	sn := snapshots{f.home}
	sink, err := sn.Create(1, index, 3, raft.Configuration{Servers: []raft.Server{{ID: "n1", Address: "n1"}}}, 1, nil)
	if err != nil {
		return err
	}
	if _, err := io.Copy(sink, bytes.NewReader(stream)); err != nil {
		return errors.Join(err, sink.Cancel())
	}
	if err := sink.Close(); err != nil {
		return err
	}
	_, rc, err := sn.Open(sink.ID())
	if err != nil {
		return err
	}
	defer rc.Close()
	return f.Restore(rc)
}

// At every file operation of a switch to a received state, a crash leaves the
// old state with its old log position or the new state with the new one.
func TestCrashWhileReceiving(t *testing.T) {
	const n = 300
	stream := source(t, n)
	for seed := range uint64(3) {
		w := newWorld(t, seed, 1)
		h, err := openHome(errorfs.Wrap(w.fs, w), "/node", hclog.NewNullLogger())
		if err != nil {
			t.Fatal(err)
		}
		f, err := newFSM(h, hclog.NewNullLogger())
		if err != nil {
			t.Fatal(err)
		}
		old := encodeEntry(storage.Batch{Writes: []storage.Write{{Key: "old", Value: []byte("o")}}})
		if err, _ := f.Apply(&raft.Log{Index: 2, Data: old}).(error); err != nil {
			t.Fatal(err)
		}
		s, err := h.acquire()
		if err != nil {
			t.Fatal(err)
		}
		if err := s.db.Flush(); err != nil {
			t.Fatal(err)
		}
		s.release()
		w.mu.Lock()
		w.crashes = nil
		w.mu.Unlock()
		if err := receive(f, stream, n-10); err != nil {
			t.Fatal(err)
		}
		if err := h.close(); err != nil {
			t.Fatal(err)
		}
		before, after := 0, 0
		for _, c := range w.crashes {
			if c.receivedState(t, n) {
				after++
			} else {
				before++
			}
		}
		if before == 0 || after == 0 {
			t.Fatalf("%d crashes before the switch and %d after", before, after)
		}
		t.Logf("seed %d: %d crashes before the switch, %d after", seed, before, after)
	}
}

// receivedState says which of the two states is there, and checks it whole.
func (c crash) receivedState(t *testing.T, n int) bool {
	t.Helper()
	h, err := openHome(c.fs, "/node", hclog.NewNullLogger())
	if err != nil {
		t.Fatalf("%s: %v", c.at, err)
	}
	defer h.close()
	meta, s, err := h.snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer s.release()
	applied, err := s.applied()
	if err != nil {
		t.Fatal(err)
	}
	old, err := s.version("old")
	if err != nil {
		t.Fatal(err)
	}
	last, err := s.version(fmt.Sprintf("k/%04d", n-1))
	if err != nil {
		t.Fatal(err)
	}
	if names, err := c.fs.List("/node"); err != nil || len(names) > 4 {
		t.Errorf("%s: left-overs: %q, %v", c.at, names, err)
	}
	switch {
	case meta == nil && old == 2 && last == 0 && applied == 2:
		return false
	case meta != nil && meta.Index == uint64(n-10) && old == 0 && last == uint64(n) && applied == uint64(n) && h.manifest.Received == uint64(n):
		return true
	}
	t.Fatalf("%s: a mixture: meta %+v, applied %d, old at %d, new at %d", c.at, meta, applied, old, last)
	return false
}

// A stream that is torn or changed anywhere is refused, and the old state stays.
func TestDamagedStream(t *testing.T) {
	stream := source(t, 20)
	h, err := openHome(vfs.NewMem(), "/node", hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	defer h.close()
	f, err := newFSM(h, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	old := encodeEntry(storage.Batch{Writes: []storage.Write{{Key: "old", Value: []byte("o")}}})
	if err, _ := f.Apply(&raft.Log{Index: 2, Data: old}).(error); err != nil {
		t.Fatal(err)
	}
	try := func(what string, damaged []byte) {
		t.Helper()
		if err := receive(f, damaged, 10); !errors.Is(err, errStream) {
			t.Errorf("%s: %v, want errStream", what, err)
		}
	}
	for i := 0; i < len(stream); i += 7 {
		flipped := bytes.Clone(stream)
		flipped[i] ^= 1 << (i % 8)
		try(fmt.Sprintf("byte %d flipped", i), flipped)
		try(fmt.Sprintf("cut at %d", i), stream[:i])
	}
	try("trailing byte", append(bytes.Clone(stream), 0))
	try("twice", append(bytes.Clone(stream), stream...))
	s, err := h.acquire()
	if err != nil {
		t.Fatal(err)
	}
	defer s.release()
	if v, err := s.version("old"); v != 2 || err != nil {
		t.Errorf("the old state is gone: %d, %v", v, err)
	}
	if names, err := h.fs.List("/node"); err != nil || len(names) != 3 {
		t.Errorf("left-overs: %q, %v", names, err)
	}
	if err := receive(f, stream, 10); err != nil {
		t.Fatalf("the good stream: %v", err)
	}
}

// An error of any operation on the manifest while switching is reported and
// stops the state machine; a restart finds one of the two states.
func TestManifestErrorWhileSwitching(t *testing.T) {
	stream := source(t, 20)
	for n := int32(0); ; n++ {
		mem := vfs.NewMem()
		var armed, begun bool
		index := errorfs.OnIndex(n)
		h, err := openHome(errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
			begun = begun || armed && mem.PathBase(op.Path) == "manifest.tmp"
			if armed && begun {
				return index.MaybeError(op)
			}
			return nil
		})), "/node", hclog.NewNullLogger())
		if err != nil {
			t.Fatal(err)
		}
		f, err := newFSM(h, hclog.NewNullLogger())
		if err != nil {
			t.Fatal(err)
		}
		armed = true
		err = receive(f, stream, 10)
		armed = false
		if err == nil {
			if n < 4 {
				t.Fatalf("only %d operations to fail", n)
			}
			h.close()
			return
		}
		if f.err() == nil {
			t.Fatalf("operation %d failed (%v) and the state machine goes on", n, err)
		}
		if err := h.close(); err != nil {
			t.Fatal(err)
		}
		again, err := openHome(mem, "/node", hclog.NewNullLogger())
		if err != nil {
			t.Fatalf("operation %d failed; restart: %v", n, err)
		}
		if err := again.close(); err != nil {
			t.Fatal(err)
		}
	}
}
