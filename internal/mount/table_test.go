package mount

import (
	"strings"
	"testing"

	"strongroom/internal/storage"
)

func TestCleanPath(t *testing.T) {
	for in, want := range map[string]string{"secret": "secret/", "secret/": "secret/", "/a/b/": "a/b/", "über": "über/"} {
		if got, err := CleanPath(in); err != nil || got != want {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "/", "a//b", "a/../b", ".", "a/*", "+", "a\x00", "a\xff"} {
		if got, err := CleanPath(in); err == nil {
			t.Errorf("%q was accepted as %q", in, got)
		}
	}
}

func FuzzCleanPath(f *testing.F) {
	f.Add("a/b")
	f.Fuzz(func(t *testing.T, in string) {
		clean, err := CleanPath(in)
		if err != nil {
			return
		}
		if again, err := CleanPath(clean); err != nil || again != clean || !strings.HasSuffix(clean, "/") || strings.Contains(clean, "//") {
			t.Errorf("%q: %q, then %q (%v)", in, clean, again, err)
		}
	})
}

func TestTable(t *testing.T) {
	table := System()
	add := func(path string) error { return table.Add(NewEntry(path, "kv", "", nil)) }
	if err := add("a/b/"); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"a/", "a/b/", "a/b/c/", "sys/", "sys/x/", "auth/", "auth/token/", "auth/token/x/"} {
		if err := add(path); err == nil {
			t.Errorf("%s was mounted over another", path)
		}
	}
	for _, path := range []string{"a/c/", "ab/", "auth/a/"} {
		if err := add(path); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	tx := storage.Begin(storage.NewMem())
	for _, path := range []string{"sys/", "auth/token/"} {
		if err := table.Remove(tx, "root", path); err == nil {
			t.Errorf("%s was disabled", path)
		}
	}
	if err := table.Remove(tx, "root", "a/b/"); err != nil {
		t.Fatal(err)
	}
	if _, ok := table.Find("a/b/"); ok || !tx.Dirty() {
		t.Error("a disabled mount stays, or its data is not marked")
	}
}

// The longest mount wins, and only whole segments count.
func TestFind(t *testing.T) {
	r := &Routing{byPath: map[string]*Mounted{}}
	for _, path := range []string{"a/", "a-b/", "x/y/"} {
		r.byPath[path] = &Mounted{Entry: Entry{Path: path}}
	}
	for path, want := range map[string]string{"a": "a/|", "a/": "a/|", "a/k": "a/|k", "a/k/": "a/|k/", "a-b/k": "a-b/|k", "x/y": "x/y/|", "x/y/z/w": "x/y/|z/w", "ab": "", "x": "", "x/": "", "x/yz": "", "": ""} {
		m, rest, ok := r.Find(path)
		got := ""
		if ok {
			got = m.Entry.Path + "|" + rest
		}
		if got != want {
			t.Errorf("%q: %q, want %q", path, got, want)
		}
	}
}
