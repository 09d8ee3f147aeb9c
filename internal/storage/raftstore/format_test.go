package raftstore

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"strongroom/internal/storage"
)

// vectors are those of docs/format/raft-entry.md, in its order.
var vectors = []struct {
	batch storage.Batch
	hex   string
}{
	{storage.Batch{}, "010000"},
	{storage.Batch{Writes: []storage.Write{{Key: "a", Value: []byte("1")}}}, "01000100016101" + "31"},
	{storage.Batch{Writes: []storage.Write{{Key: "a", Delete: true}}}, "010001010161"},
	{storage.Batch{
		Checks: []storage.Check{{Key: "a", Version: 300}, {Key: "b"}},
		Writes: []storage.Write{{Key: "a", Value: []byte{}}, {Key: "b/c", Value: []byte("xyz")}},
	}, "01020161ac02016200020001610000" + "03622f630378797a"},
}

func document(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../../../docs/format/raft-entry.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestEntryVectors(t *testing.T) {
	doc := document(t)
	for _, v := range vectors {
		if got := hex.EncodeToString(encodeEntry(v.batch)); got != v.hex {
			t.Errorf("%+v: %s, want %s", v.batch, got, v.hex)
		}
		b, err := hex.DecodeString(v.hex)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decodeEntry(b)
		if err != nil || !reflect.DeepEqual(got, v.batch) {
			t.Errorf("%s: %+v, %v, want %+v", v.hex, got, err, v.batch)
		}
		if !strings.Contains(doc, "`"+v.hex+"`") {
			t.Errorf("the document lacks the vector %s", v.hex)
		}
	}
}

func TestMalformedEntries(t *testing.T) {
	for name, text := range map[string]string{
		"empty":              "",
		"a later version":    "020000",
		"cut after checks":   "0100",
		"trailing byte":      "01000000",
		"padded number":      "01800000",
		"endless number":     "01ffffffffffffffffffff01",
		"too many checks":    "01ffffffff0f00",
		"too many writes":    "0100ffffffff0f",
		"unknown operation":  "010001020161",
		"cut key":            "010001010261",
		"cut value":          "01000100016102" + "31",
		"empty key":          "01000101" + "00",
		"key written twice":  "0100020101610101" + "61",
		"key checked twice":  "0102016100" + "016100" + "00",
		"value length huge":  "010001000161ffffffff0f",
		"check without room": "01010161",
	} {
		b, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := decodeEntry(b); !errors.Is(err, errEntry) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func FuzzDecodeEntry(f *testing.F) {
	for _, v := range vectors {
		f.Add(encodeEntry(v.batch))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		batch, err := decodeEntry(b)
		if err != nil {
			if !errors.Is(err, errEntry) {
				t.Fatal(err)
			}
			return
		}
		if again := encodeEntry(batch); !bytes.Equal(again, b) {
			t.Fatalf("%x is decoded and encoded to %x", b, again)
		}
	})
}

// streamVector is the stream of docs/format/raft-entry.md: key a at version 2
// holds "1", key b at version 3 nothing; applied index 3.
const streamVector = "5352535441544501" + "0000000000000003" +
	"010161" + "09" + "0000000000000002" + "31" +
	"010162" + "08" + "0000000000000003" +
	"00" + "0000000000000002"

func TestStreamVector(t *testing.T) {
	h, f := newTestFSM(t)
	for i, w := range []storage.Write{{Key: "a", Value: []byte("1")}, {Key: "b"}} {
		entry := encodeEntry(storage.Batch{Writes: []storage.Write{w}})
		if err, _ := f.Apply(&raft.Log{Index: uint64(i + 2), Data: entry}).(error); err != nil {
			t.Fatal(err)
		}
	}
	s, err := h.acquire()
	if err != nil {
		t.Fatal(err)
	}
	r, _, err := newStateReader(s, &h.closing)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	body := hex.EncodeToString(got[:len(got)-32])
	if body != streamVector {
		t.Errorf("stream %s, want %s", body, streamVector)
	}
	if sum := hex.EncodeToString(got[len(got)-32:]); !strings.Contains(document(t), "`"+streamVector+"`") || !strings.Contains(document(t), "`"+sum+"`") {
		t.Errorf("the document lacks the stream's vector or its checksum %s", sum)
	}
}

func newTestFSM(t testing.TB) (*home, *fsm) {
	t.Helper()
	h, err := openHome(vfs.NewMem(), "/node", hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.close(); err != nil {
			t.Error(err)
		}
	})
	f, err := newFSM(h, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	return h, f
}

// Any bytes fed in any pieces are refused without a panic, or are exactly a
// stream that the state they make gives back.
func FuzzStateStream(f *testing.F) {
	f.Add(source(f, 3), uint8(5))
	f.Add([]byte(streamMagic), uint8(1))
	h, _ := newTestFSM(f)
	f.Fuzz(func(t *testing.T, stream []byte, piece uint8) {
		s, err := h.stage()
		if err != nil {
			t.Fatal(err)
		}
		defer h.discard(s)
		w := newStateWriter(s)
		defer w.abandon()
		for rest := stream; len(rest) > 0 && err == nil; {
			n := min(int(piece)+1, len(rest))
			_, err = w.Write(rest[:n])
			rest = rest[n:]
		}
		if w.finish() != nil {
			return
		}
		if !s.acquire() {
			t.Fatal("closed")
		}
		r, size, err := newStateReader(s, &h.closing)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if again, err := io.ReadAll(r); err != nil || !bytes.Equal(again, stream) || size != int64(len(stream)) {
			t.Fatalf("%x comes back as %x, %v", stream, again, err)
		}
	})
}

// An entry that no node can read stops the state machine, before it and after
// it nothing is applied out of order, and it says what to do.
func TestUndecodableEntryStops(t *testing.T) {
	h, f := newTestFSM(t)
	good := encodeEntry(storage.Batch{Writes: []storage.Write{{Key: "a", Value: []byte("1")}}})
	answers := f.ApplyBatch([]*raft.Log{{Index: 1, Data: good}, {Index: 2, Data: []byte{9}}, {Index: 3, Data: good}})
	for i, a := range answers {
		if err, _ := a.(error); !errors.Is(err, storage.ErrUnknownOutcome) || !errors.Is(err, errEntry) {
			t.Errorf("answer %d: %v", i, a)
		}
	}
	select {
	case <-f.failed:
	default:
		t.Error("not failed")
	}
	if err := f.err(); err == nil || !strings.Contains(err.Error(), "entry 2") || !strings.Contains(err.Error(), "upgrade this node") {
		t.Errorf("failure: %v", err)
	}
	if err, _ := f.Apply(&raft.Log{Index: 4, Data: good}).(error); !errors.Is(err, storage.ErrUnknownOutcome) {
		t.Errorf("it goes on: %v", err)
	}
	s, err := h.acquire()
	if err != nil {
		t.Fatal(err)
	}
	defer s.release()
	if v, err := s.version("a"); v != 0 || err != nil {
		t.Errorf("part of a failed Raft batch is visible: version %d, %v", v, err)
	}
}

// Entries at or below the applied index are skipped: a replay changes nothing.
func TestReplayIsSkipped(t *testing.T) {
	h, f := newTestFSM(t)
	var logs []*raft.Log
	for i, v := range []string{"1", "2", "3"} {
		logs = append(logs, &raft.Log{Index: uint64(i + 1), Data: encodeEntry(storage.Batch{
			Checks: []storage.Check{{Key: "a", Version: uint64(i)}},
			Writes: []storage.Write{{Key: "a", Value: []byte(v)}},
		})})
	}
	for round := range 2 {
		for i, a := range f.ApplyBatch(logs) {
			if a != nil {
				t.Errorf("round %d, entry %d: %v", round, i+1, a)
			}
		}
	}
	s, err := h.acquire()
	if err != nil {
		t.Fatal(err)
	}
	defer s.release()
	if v, err := s.version("a"); v != 3 || err != nil {
		t.Errorf("version %d, %v", v, err)
	}
}
