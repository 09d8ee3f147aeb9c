package raftstore

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"strongroom/internal/storage"
)

// image copies a running node's folder: what kill -9 leaves.
func image(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), b, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	return to
}

const rotKeys = 40

func rotKey(i int) string   { return fmt.Sprintf("k/%03d", i) }
func rotValue(i int) string { return strings.Repeat(fmt.Sprintf("value %d ", i), 20) }

func rotten(t *testing.T) *Store {
	t.Helper()
	dir := t.TempDir()
	s := lead(t, Config{Dir: dir})
	for i := range rotKeys {
		if err := s.Apply(t.Context(), put(rotKey(i), rotValue(i))); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// flip changes one bit of a file.
func flip(t *testing.T, path string, at int) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[at] ^= 1 << (at % 8)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func one(t *testing.T, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) != 1 {
		t.Fatalf("%s: %q, %v", pattern, found, err)
	}
	return found[0]
}

// verdict opens dir and says whether everything is there ("whole") or which
// error says that it is not; anything else fails the test.
func verdict(t *testing.T, dir, what string) string {
	t.Helper()
	s, err := Open(Config{Dir: dir, NodeID: "n1", Heartbeat: testHeartbeat})
	if err != nil {
		return err.Error()
	}
	defer s.Close()
	if !s.HasState() {
		t.Errorf("%s: the whole log is gone", what)
		return "gone"
	}
	awaitTerm(t, s)
	for i := range rotKeys {
		e, err := s.Get(t.Context(), rotKey(i))
		if err != nil {
			return err.Error()
		}
		if i == rotKeys-1 && !e.Exists() {
			return "torn" // the last batch: cut short by a crash, for all anyone can tell
		}
		if string(e.Value) != rotValue(i) {
			t.Errorf("%s: %s is served as %.20q of version %d", what, rotKey(i), e.Value, e.Version)
			return "wrong"
		}
	}
	return "whole"
}

// A bit that rots in a table of the state is an error or does no harm.
func TestRottenState(t *testing.T) {
	s := rotten(t)
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	good := image(t, s.home.dir)
	table := one(t, filepath.Join(good, "state-*", "*.sst"))
	st, err := os.Stat(table)
	if err != nil {
		t.Fatal(err)
	}
	reported := 0
	for at := 0; at < int(st.Size()); at += int(st.Size())/25 + 1 {
		dir := image(t, good)
		flip(t, one(t, filepath.Join(dir, "state-*", "*.sst")), at)
		if verdict(t, dir, fmt.Sprintf("byte %d of the table", at)) != "whole" {
			reported++
		}
	}
	if reported == 0 {
		t.Error("no flipped bit was reported")
	}
	t.Logf("%d flips reported", reported)
}

func TestRottenManifest(t *testing.T) {
	good := image(t, rotten(t).home.dir)
	b, err := os.ReadFile(filepath.Join(good, manifestName))
	if err != nil {
		t.Fatal(err)
	}
	for at := range b {
		dir := image(t, good)
		flip(t, filepath.Join(dir, manifestName), at)
		if got := verdict(t, dir, "manifest"); !strings.Contains(got, "corrupt") {
			t.Errorf("byte %d of the manifest: %s", at, got)
		}
	}
	dir := image(t, good)
	if err := os.Remove(filepath.Join(dir, manifestName)); err != nil {
		t.Fatal(err)
	}
	if got := verdict(t, dir, "no manifest"); !strings.Contains(got, "no manifest") {
		t.Errorf("no manifest: %s", got)
	}
}

// The state is lost with the process and only the log has the writes: a bit that
// rots in the log is an error.
func TestRottenLog(t *testing.T) {
	good := image(t, rotten(t).home.dir)
	if got := verdict(t, image(t, good), "untouched"); got != "whole" {
		t.Fatal(got)
	}
	segment := one(t, filepath.Join(good, logName, "*.wal"))
	b, err := os.ReadFile(segment)
	if err != nil {
		t.Fatal(err)
	}
	end := len(strings.TrimRight(string(b), "\x00"))
	reported := 0
	for at := 0; at < end; at += end/50 + 1 {
		dir := image(t, good)
		flip(t, one(t, filepath.Join(dir, logName, "*.wal")), at)
		switch got := verdict(t, dir, fmt.Sprintf("byte %d of %d of the log", at, end)); {
		case got == "torn" && at < end-2*len(rotValue(0)):
			t.Errorf("byte %d of %d of the log: the last write is lost", at, end)
		case got != "whole":
			reported++
		}
	}
	if reported == 0 {
		t.Error("no flipped bit was reported")
	}
	t.Logf("%d flips reported", reported)
}

// What is killed without warning and started again has every acknowledged write.
func TestKillAndReopen(t *testing.T) {
	dir := rotten(t).home.dir
	for round := range 3 {
		dir = image(t, dir)
		s := lead(t, Config{Dir: dir})
		for i := range rotKeys {
			e, err := s.Get(t.Context(), rotKey(i))
			if err != nil || string(e.Value) != rotValue(i) {
				t.Fatalf("round %d: %s: %+v, %v", round, rotKey(i), e, err)
			}
		}
		if err := s.Apply(t.Context(), storage.Batch{Writes: []storage.Write{{Key: fmt.Sprint(round)}}}); err != nil {
			t.Fatal(err)
		}
		for i := range round {
			if v, err := s.Version(t.Context(), fmt.Sprint(i)); v == 0 || err != nil {
				t.Fatalf("the write of round %d is lost", i)
			}
		}
		if round == 1 {
			if err := s.Snapshot(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
}
