package namespace

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"strongroom/internal/storage"
)

// grow makes the namespaces at these paths, in their order.
func grow(t testing.TB, store storage.Store, paths ...string) *Tree {
	t.Helper()
	for _, p := range paths {
		tx := storage.Begin(store)
		tree, err := Load(t.Context(), tx)
		if err != nil {
			t.Fatal(err)
		}
		i := strings.LastIndexByte(p, '/') + 1
		if _, fresh, err := tree.Create(t.Context(), tx, tree.ByPath(p[:i]), p[i:], map[string]string{"k": "v"}); err != nil || !fresh {
			t.Fatal(p, fresh, err)
		}
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	tree, _, err := NewForest().Tree(t.Context(), storage.Begin(store))
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func TestResolve(t *testing.T) {
	tree := grow(t, storage.NewMem(), "a", "a/b", "a/b/c", "x")
	for _, test := range [][4]string{
		{"", "secret/data/k", "", "secret/data/k"}, {"", "a/secret/k", "a/", "secret/k"}, {"a", "secret/k", "a/", "secret/k"}, {"a", "b/secret/k", "a/b/", "secret/k"},
		{"a/b", "c/secret/k", "a/b/c/", "secret/k"}, {"", "a/b/c/sys/mounts", "a/b/c/", "sys/mounts"}, {"", "ab/secret", "", "ab/secret"}, {"", "a", "", "a"}, {"", "a/", "", "a/"},
		{"", "a/b/", "a/", "b/"}, {"x", "a/secret", "x/", "a/secret"}, {"", "a/x/secret", "a/", "x/secret"}, {"a/b", "b/secret", "a/b/", "b/secret"},
	} {
		n, path := tree.Resolve(test[0], test[1])
		if n == nil || n.Path != test[2] || path != test[3] {
			t.Errorf("%q and %q: %v and %q", test[0], test[1], n, path)
		}
	}
	for _, base := range []string{"b", "a/x", "a/b/c/d", "A"} {
		if n, _ := tree.Resolve(base, "secret/k"); n != nil {
			t.Errorf("%q is %v", base, n)
		}
	}
	var line []string
	for _, n := range tree.Line(tree.ByPath("a/b/c")) {
		line = append(line, n.Path)
	}
	if !slices.Equal(line, []string{"", "a/", "a/b/", "a/b/c/"}) {
		t.Errorf("line %q", line)
	}
	if below := tree.Below(tree.Root(), true); len(below) != 2 || below[0].Name() != "a/" || tree.ByPath("a/b").Name() != "b/" {
		t.Errorf("below the root: %v", below)
	}
}

func TestTreeForm(t *testing.T) {
	const form = `{"namespaces":[{"id":"root","path":"","locked":true},{"id":"A1b2C","path":"team-a/"},{"id":"zZ9yY","path":"team-a/sub/","deleting":true}]}`
	tree, err := decode([]byte(form))
	if err != nil {
		t.Fatal(err)
	}
	store := storage.NewMem()
	tx := storage.Begin(store)
	if err := save(tx, tree.byID); err != nil {
		t.Fatal(err)
	}
	e, err := tx.Get(t.Context(), "core/namespaces")
	if err != nil || string(e.Value) != form {
		t.Errorf("stored %s, %v", e.Value, err)
	}
	if !tree.Root().Locked || tree.ByID("A1b2C").Path != "team-a/" || !tree.ByPath("team-a/sub").Deleting {
		t.Errorf("read %+v", tree)
	}
	if err := tree.Refusal(tree.ByID("A1b2C"), false); err == nil {
		t.Error("a namespace below a locked root is open")
	}
}

// The bounds hold: of names, of nesting and of metadata.
func TestBounds(t *testing.T) {
	store := storage.NewMem()
	path := "n"
	for range MaxDepth - 1 {
		path += "/n"
	}
	var paths []string
	for i := 1; i < len(path)+1; i += 2 {
		paths = append(paths, path[:i])
	}
	grow(t, store, paths...)
	tx := storage.Begin(store)
	tree, _ := Load(t.Context(), tx)
	if _, _, err := tree.Create(t.Context(), tx, tree.ByPath(path), "n", nil); err == nil {
		t.Error("nested too deep")
	}
	many := map[string]string{}
	for i := range maxMetadata + 1 {
		many[fmt.Sprint(i)] = ""
	}
	for _, m := range []map[string]string{many, {"": "v"}, {"k": strings.Repeat("v", maxValue+1)}} {
		if _, _, err := tree.Create(t.Context(), tx, tree.Root(), "m", m); err == nil {
			t.Errorf("metadata %v", m)
		}
	}
}

// Whatever header and path say, a request is in at most one namespace, by one
// relative path, and both spellings of it are the same to all who look.
func FuzzResolve(f *testing.F) {
	tree := grow(f, storage.NewMem(), "a", "a/b", "x")
	for _, seed := range [][2]string{{"a", "b/secret/k"}, {"/a//b/", "k"}, {"../a", "k"}, {"a/%2e%2e/x", "k"}, {"a/b", "sys/x"}, {"root", "a/k"}, {"a\x00", "k"}, {"A", "a/../x/k"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, header, path string) {
		base, err := CheckBase(header)
		if err != nil {
			return
		}
		if base != "" && base != strings.Trim(header, "/") {
			t.Fatalf("%q became %q", header, base)
		}
		for seg := range strings.SplitSeq(base, "/") {
			if base != "" && (seg == "" || seg == "." || seg == ".." || strings.ContainsAny(seg, "%\\*+ \t\n\x00?#")) {
				t.Fatalf("%q is taken for a path", header)
			}
		}
		n, rest := tree.Resolve(base, path)
		if n == nil {
			if tree.ByPath(base) != nil {
				t.Fatalf("%q is there", base)
			}
			return
		}
		whole := base
		if whole != "" {
			whole += "/"
		}
		if n.Path+rest != whole+path {
			t.Fatalf("%q and %q became %q and %q", base, path, n.Path, rest)
		}
		if m, again := tree.Resolve(strings.Trim(n.Path, "/"), rest); m != n || again != rest {
			t.Fatalf("%q and %q are not settled", n.Path, rest)
		}
		if m, other := tree.Resolve("", whole+path); m != n || other != rest {
			t.Fatalf("the path form of %q and %q is in %q", base, path, m.Path)
		}
	})
}
