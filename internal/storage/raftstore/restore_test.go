package raftstore

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"strongroom/internal/storage"
)

// streamOf makes the stream of pairs (version 1<<60, larger than any log), of
// applied index 1<<61.
func streamOf(t testing.TB, pairs map[string]string, keys ...string) []byte {
	t.Helper()
	b := binary.BigEndian.AppendUint64([]byte(streamMagic), 1<<61)
	for _, k := range keys {
		b = appendField(append(b, recordPair), k)
		b = appendField(b, append(binary.BigEndian.AppendUint64(nil, 1<<60), pairs[k]...))
	}
	b = binary.BigEndian.AppendUint64(append(b, recordEnd), uint64(len(keys)))
	p := newParser(nil)
	p.sum.Write(b)
	return append(b, p.sum.Sum(nil)...)
}

func backup(t testing.TB, s *Store) []byte {
	t.Helper()
	b, err := s.Backup(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	all, err := io.ReadAll(b)
	if err != nil || int64(len(all)) != b.Size {
		t.Fatalf("%d bytes, announced %d: %v", len(all), b.Size, err)
	}
	if err := CheckStream(bytes.NewReader(all), nil); err != nil {
		t.Fatal(err)
	}
	return all
}

func must(t testing.TB, s *Store, key, value string) {
	t.Helper()
	if err := s.Apply(t.Context(), put(key, value)); err != nil {
		t.Fatal(err)
	}
}

func contents(t testing.TB, s *Store) string {
	t.Helper()
	var b strings.Builder
	for k, err := range s.Keys(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		e, err := s.Get(t.Context(), k)
		v, verr := s.Version(t.Context(), k)
		if err != nil || verr != nil || v != e.Version {
			t.Fatalf("%s: Get says version %d (%v), Version says %d (%v)", k, e.Version, err, v, verr)
		}
		fmt.Fprintf(&b, "%s=%s ", k, e.Value)
	}
	return strings.TrimSpace(b.String())
}

func TestRestore(t *testing.T) {
	for name, cfg := range map[string]Config{"memory": {}, "disk": {Dir: t.TempDir()}} {
		t.Run(name, func(t *testing.T) {
			s := lead(t, cfg)
			must(t, s, "a", "1")
			must(t, s, "keep/x", "then")
			saved := backup(t, s)
			must(t, s, "a", "2")
			must(t, s, "b", "new")
			must(t, s, "keep/x", "now")
			must(t, s, "keep/y", "now")
			before := s.Applied()
			kept, err := s.Version(t.Context(), "keep/x")
			if err != nil {
				t.Fatal(err)
			}
			keep := func(k string) bool { return strings.HasPrefix(k, "keep/") }
			for round := range uint64(3) { // from one place to the other and back
				if err := s.Restore(t.Context(), from(saved), keep); err != nil {
					t.Fatal(err)
				}
				if got := contents(t, s); got != "a=1 keep/x=now keep/y=now" {
					t.Fatalf("round %d: %s", round, got)
				}
				if v, _ := s.Version(t.Context(), "a"); v != s.Applied() || v <= before {
					t.Errorf("round %d: version %d, the restore's index is %d", round, v, s.Applied())
				}
				if v, _ := s.Version(t.Context(), "keep/x"); v != kept {
					t.Errorf("round %d: what was kept went from version %d to %d", round, kept, v)
				}
				if v, _ := s.Version(t.Context(), "b"); v != 0 {
					t.Errorf("round %d: b is at %d", round, v)
				}
				if s.Replaced() != round+1 {
					t.Errorf("replaced %d times after %d restores", s.Replaced(), round+1)
				}
				again := backup(t, s) // versions leave as what they mean
				if !bytes.Contains(again, append(binary.BigEndian.AppendUint64(nil, s.Applied()), '1')) {
					t.Error("the stream holds another version than the state")
				}
			}
			// A write that relies on what was before conflicts; others go on.
			err = s.Apply(t.Context(), storage.Batch{Checks: []storage.Check{{Key: "a", Version: before}}, Writes: []storage.Write{{Key: "a"}}})
			if !errors.Is(err, storage.ErrConflict) {
				t.Errorf("a write that relies on the past: %v", err)
			}
			must(t, s, "c", "after")
			if cfg.Dir == "" {
				return
			}
			want := contents(t, s)
			v, _ := s.Version(t.Context(), "a")
			dir := image(t, cfg.Dir)
			killed := lead(t, Config{Dir: dir})
			if got := contents(t, killed); got != want {
				t.Errorf("after kill and replay: %s, want %s", got, want)
			}
			if now, _ := killed.Version(t.Context(), "a"); now != v {
				t.Errorf("after replay a is of version %d, not %d", now, v)
			}
			if err := s.Flush(); err != nil {
				t.Fatal(err)
			}
			if got := contents(t, lead(t, Config{Dir: image(t, cfg.Dir)})); got != want {
				t.Errorf("after flush and kill: %s, want %s", got, want)
			}
		})
	}
}

// Versions of a stream never count: here they are larger than any index.
func TestRestoreIgnoresVersions(t *testing.T) {
	s := lead(t, Config{})
	must(t, s, "a", "1")
	if err := s.Restore(t.Context(), from(streamOf(t, map[string]string{"a": "x", "b": "y"}, "a", "b")), nil); err != nil {
		t.Fatal(err)
	}
	if v, _ := s.Version(t.Context(), "a"); v != s.Applied() || v > 1000 {
		t.Errorf("a is at version %d and the state at %d", v, s.Applied())
	}
	must(t, s, "a", "2")
	if got := contents(t, s); got != "a=2 b=y" {
		t.Error(got)
	}
}

// What is not a whole stream changes nothing at all.
func TestRestoreRefuses(t *testing.T) {
	s := lead(t, Config{Dir: t.TempDir()})
	must(t, s, "a", "1")
	good := backup(t, s)
	must(t, s, "a", "2")
	applied := s.Applied()
	for at := range good {
		flipped := bytes.Clone(good)
		flipped[at] ^= 1 << (at % 8)
		if err := s.Restore(t.Context(), from(flipped), nil); !errors.Is(err, errStream) {
			t.Errorf("byte %d flipped: %v", at, err)
		}
		if err := s.Restore(t.Context(), from(good[:at]), nil); !errors.Is(err, errStream) {
			t.Errorf("cut at %d: %v", at, err)
		}
	}
	broken := errors.New("the client is gone")
	failing := func() (io.Reader, error) { return io.MultiReader(bytes.NewReader(good[:20]), iotestErr{broken}), nil }
	if err := s.Restore(t.Context(), failing, nil); !errors.Is(err, broken) {
		t.Errorf("a reader that fails: %v", err)
	}
	if err := s.Restore(t.Context(), func() (io.Reader, error) { return nil, broken }, nil); !errors.Is(err, broken) {
		t.Errorf("a stream that cannot be opened: %v", err)
	}
	if s.Applied() != applied || contents(t, s) != "a=2" || s.Replaced() != 0 {
		t.Errorf("something changed: %s", contents(t, s))
	}
	// A stream that was good when it was verified and is not when it is sent is given up half-way.
	for name, second := range map[string][]byte{"altered": append(bytes.Clone(good[:len(good)-1]), good[len(good)-1]^1), "cut": good[:len(good)-1]} {
		opened := 0
		changing := func() (io.Reader, error) {
			if opened++; opened == 1 {
				return bytes.NewReader(good), nil
			}
			return bytes.NewReader(second), nil
		}
		if err := s.Restore(t.Context(), changing, nil); !errors.Is(err, errStream) || opened != 2 {
			t.Errorf("%s between: %v", name, err)
		}
		if contents(t, s) != "a=2" || s.Replaced() != 0 || s.fsm.staging.Load() != 0 {
			t.Errorf("%s between: something changed: %s", name, contents(t, s))
		}
	}
	names, err := s.home.fs.List(s.home.dir)
	slices.Sort(names)
	if want := []string{lockName, manifestName, logName, stateName(1)}; err != nil || !slices.Equal(names, want) {
		t.Errorf("the folder holds %v, %v; want %v", names, err, want)
	}
}

// from is a stream as Restore takes it.
func from(stream []byte) func() (io.Reader, error) {
	return func() (io.Reader, error) { return bytes.NewReader(stream), nil }
}

type iotestErr struct{ err error }

func (e iotestErr) Read([]byte) (int, error) { return 0, e.err }

// At file operations of log and state a crash leaves, once the node leads again, the state before a restore or the state after it, whole.
func TestCrashWhileRestoring(t *testing.T) {
	pad := strings.Repeat("x", 9000)
	befores, afters := 0, 0
	for seed := range uint64(3) {
		w := newWorld(t, seed, 1<<30) // no pictures yet
		s := openOn(t, errorfs.Wrap(w.fs, w), 5)
		if err := s.Bootstrap(""); err != nil {
			t.Fatal(err)
		}
		awaitTerm(t, s)
		const n = 300
		for i := range n {
			must(t, s, fmt.Sprintf("old/%03d", i), pad)
		}
		saved := backup(t, s)
		for i := range n {
			if err := s.Apply(t.Context(), storage.Batch{Writes: []storage.Write{
				{Key: fmt.Sprintf("old/%03d", i), Delete: true}, {Key: fmt.Sprintf("new/%03d", i), Value: []byte(pad)},
			}}); err != nil {
				t.Fatal(err)
			}
		}
		w.mu.Lock()
		w.crashes, w.every = nil, 5
		w.mu.Unlock()
		if err := s.Restore(t.Context(), from(saved), nil); err != nil {
			t.Fatal(err)
		}
		w.mu.Lock()
		w.picture("the answer")
		w.mu.Unlock()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		before, after := 0, 0
		for _, c := range w.crashes {
			s := openOn(t, c.fs, 5)
			awaitTerm(t, s)
			got := contents(t, s)
			olds, news := strings.Count(got, "old/"), strings.Count(got, "new/")
			switch {
			case olds == n && news == 0:
				after++
			case olds == 0 && news == n && after == 0:
				before++
			default:
				t.Errorf("%s: %d old and %d new keys; %d crashes before had the restore", c.at, olds, news, after)
			}
			if s.fsm.staging.Load() != 0 {
				t.Errorf("%s: the restore was not given up", c.at)
			}
			must(t, s, "then", "on")
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		befores, afters = befores+before, afters+after
		t.Logf("seed %d: %d crashes left what was before, %d what was restored", seed, before, after)
	}
	if befores < 15 || afters < 3 { // by lot at every fifth operation: a beginning, three pieces and an end for each seed, on average
		t.Errorf("%d crashes before and %d after", befores, afters)
	}
}

func TestRestoreVectors(t *testing.T) {
	doc := document(t)
	for want, entry := range map[string][]byte{
		"0200":           encodeBegin(),
		"02010701610131": appendPair(encodePairs(7), []byte("a"), []byte("1")),
		"02020701016b":   appendField(encodeEnd(7, 1), "k"),
		"020307":         encodeAbort(7),
	} {
		if got := hex.EncodeToString(entry); got != want || !strings.Contains(doc, "`"+want+"`") {
			t.Errorf("%s, want %s, in the document too", got, want)
		}
	}
}

// Anything is refused or is exactly what the encoders write.
func FuzzDecodeRestore(f *testing.F) {
	f.Add(encodeBegin())
	f.Add(appendPair(encodePairs(7), []byte("a"), []byte("1")))
	f.Add(appendField(encodeEnd(7, 300), "core/node/a"))
	f.Add(encodeAbort(7))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := decodeRestore(b)
		if err != nil {
			if !errors.Is(err, errEntry) {
				t.Fatal(err)
			}
			return
		}
		var again []byte
		switch e.kind {
		case restoreBegin:
			again = encodeBegin()
		case restorePairs:
			again = encodePairs(e.id)
			for _, p := range e.pairs {
				again = appendPair(again, []byte(p.Key), p.Value)
			}
		case restoreEnd:
			again = encodeEnd(e.id, e.count)
			for _, k := range e.keep {
				again = appendField(again, k)
			}
		case restoreAbort:
			again = encodeAbort(e.id)
		}
		if !bytes.Equal(again, b) {
			t.Fatalf("%x is decoded and encoded to %x", b, again)
		}
	})
}
