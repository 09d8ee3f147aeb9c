package strongroom_test

import (
	"bufio"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The ranks are those that ARCHITECTURE.md's Layout shows in brackets: a package of the server imports lower ranks only, never a
// peer. What has no rank there is governed by a rule below.

// unit is one package: its directory below the module's root, and what it imports.
type unit struct {
	dir     string
	imports []string // of the files that are built into programs
	tests   []string // of its tests: they may cross layers, not licences
}

const module = "strongroom/"

// area is a part of the module outside the server's ranks, and the parts of the module it may import.
type area struct {
	dir     string
	allowed []string
}

// unranked lists the areas; the first that a package is within counts.
func unranked() []area {
	return []area{
		{"internal/cli", []string{"internal/cli", "internal/snapshot", "engine/transit/keywrap"}}, // it is a client: the API is all it may know, and the forms of a snapshot and of a wrapped key
		{"api", []string{"api"}},
		{"operator", []string{"operator", "api"}},
		{"config", []string{"config"}},
		{"cmd/strongroom-operator", []string{"operator", "api", "config"}},
		{"ui", []string{"ui"}},
		{"build", []string{"build"}},
		{"cmd", []string{""}},
		{"test", []string{""}},
	}
}

// forbidden is whether a module is not free software. Vault's api and sdk folders are modules of their own, and MPL.
func forbidden(imported string) bool {
	const vault = "github.com/hashicorp/vault"
	return within(imported, vault) && !within(imported, vault+"/api") && !within(imported, vault+"/sdk") ||
		within(imported, vault+"-secrets-operator") || within(imported, vault+"-csi-provider")
}

// within is whether dir is top or below it. Everything is within "".
func within(dir, top string) bool {
	return top == "" || dir == top || strings.HasPrefix(dir, top+"/")
}

// rank is dir's rank in layers. Every folder of engine/ and auth/ has the rank of the first one listed there, so that a new engine needs no
// line; a package's test harness (storage/storagetest) stands between it and what is above.
func rank(layers map[string]float64, dir string) (float64, bool) {
	if r, ok := layers[dir]; ok {
		return r, true
	}
	parent := path.Dir(dir)
	if r, ok := layers[parent]; ok && path.Base(dir) == path.Base(parent)+"test" {
		return r + 0.5, true
	}
	if top, _, ok := strings.Cut(dir, "/"); ok && (top == "engine" || top == "auth") {
		for listed, r := range layers {
			if within(listed, top) && listed != top {
				return r, true
			}
		}
	}
	return 0, false
}

// owner is the engine or method folder that dir belongs to: below it, imports are its own affair.
func owner(dir string) string {
	parts := strings.SplitN(dir, "/", 3)
	if len(parts) > 1 && (parts[0] == "engine" || parts[0] == "auth") {
		return parts[0] + "/" + parts[1]
	}
	return dir
}

// faults are the ways units break the rules.
func faults(units []unit, layers map[string]float64) []string {
	var found []string
	for _, u := range units {
		for _, imported := range slices.Concat(u.imports, u.tests) {
			if forbidden(imported) {
				found = append(found, fmt.Sprintf("%s imports %s, whose licence this project cannot carry", u.dir, imported))
			}
		}
		found = append(found, layering(u, layers)...)
	}
	return found
}

// layering are the ways u breaks the layers.
func layering(u unit, layers map[string]float64) []string {
	var found []string
	areas := unranked()
	i := slices.IndexFunc(areas, func(a area) bool { return within(u.dir, a.dir) })
	own, ranked := rank(layers, u.dir)
	if i < 0 && !ranked && u.dir != "." {
		return []string{fmt.Sprintf("%s has no rank: add it, with its rank in brackets and what it owns, to the Layout of ARCHITECTURE.md "+
			"(above all it imports, below all that import it)", u.dir)}
	}
	for _, imported := range u.imports {
		dir, ours := strings.CutPrefix(imported, module)
		if !ours {
			continue
		}
		if i >= 0 {
			if !slices.ContainsFunc(areas[i].allowed, func(a string) bool { return within(dir, a) }) {
				found = append(found, fmt.Sprintf("%s imports %s: %s/ may import only %s", u.dir, dir, areas[i].dir, strings.Join(areas[i].allowed, "/, ")+"/"))
			}
			continue
		}
		other, known := rank(layers, dir)
		if known && other >= own && owner(dir) != owner(u.dir) {
			found = append(found, fmt.Sprintf("%s [%v] imports %s [%v]: a package imports lower ranks only, never a peer", u.dir, own, dir, other))
		}
		if !known && !within(u.dir, owner(dir)) {
			found = append(found, fmt.Sprintf("%s [%v] imports %s, which is no part of the server", u.dir, own, dir))
		}
	}
	return found
}

// readLayers reads the ranks out of the Layout in ARCHITECTURE.md.
func readLayers(text string) map[string]float64 {
	line := regexp.MustCompile(`^( *)([a-z0-9/]+?)/?\s+\[(\d+)\]`)
	layers := map[string]float64{}
	for scanner := bufio.NewScanner(strings.NewReader(text)); scanner.Scan(); {
		m := line.FindStringSubmatch(scanner.Text())
		if m == nil {
			continue
		}
		dir := m[2]
		if m[1] != "" {
			dir = "internal/" + dir
		}
		r, _ := strconv.Atoi(m[3])
		layers[dir] = float64(r)
	}
	return layers
}

// readUnits parses the imports of every Go file of the module below root, whatever its build constraints; nested modules are left out.
func readUnits(root string) ([]unit, error) {
	units := map[string]*unit{}
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() {
			_, nested := os.Stat(filepath.Join(file, "go.mod"))
			if file != root && (nested == nil || strings.HasPrefix(name, ".") || name == "testdata" || name == "node_modules") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, filepath.Dir(file))
		if err != nil {
			return err
		}
		dir := filepath.ToSlash(rel)
		if units[dir] == nil {
			units[dir] = &unit{dir: dir}
		}
		to := &units[dir].imports
		if strings.HasSuffix(name, "_test.go") {
			to = &units[dir].tests
		}
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			*to = append(*to, imported)
		}
		return nil
	})
	list := []unit{}
	for _, u := range units {
		slices.Sort(u.imports)
		u.imports = slices.Compact(u.imports)
		list = append(list, *u)
	}
	slices.SortFunc(list, func(a, b unit) int { return strings.Compare(a.dir, b.dir) })
	return list, err
}

func TestLayers(t *testing.T) {
	text, err := os.ReadFile("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	layers := readLayers(string(text))
	units, err := readUnits(".")
	if err != nil {
		t.Fatal(err)
	}
	if len(layers) < 15 || len(units) < 20 {
		t.Fatalf("found %d ranks and %d packages only: this test no longer reads what it should", len(layers), len(units))
	}
	for _, fault := range faults(units, layers) {
		t.Error(fault)
	}
	for dir := range layers {
		if !slices.ContainsFunc(units, func(u unit) bool { return u.dir == dir }) {
			t.Errorf("ARCHITECTURE.md lists %s, which does not exist", dir)
		}
	}
}

// No module with a licence that is not free comes in through another one either.
func TestModuleLicences(t *testing.T) {
	text, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for word := range strings.FieldsSeq(string(text)) {
		if forbidden(word) {
			t.Errorf("go.mod requires %s, whose licence this project cannot carry", word)
		}
	}
}

// The rules catch what they are for.
func TestLayersCatchesFaults(t *testing.T) {
	layers := readLayers(`
engine/        [2]  the contract
engine/kv      [3]  a folder each
auth/userpass  [3]  a folder each
internal/
  storage/           [0]  data
  storage/raftstore/ [1]  log
  token/             [5]  tokens
  acl/               [5]  policies
`)
	tests := []struct {
		name, dir string
		imports   []string
		want      string // nothing: allowed
	}{
		{"down", "internal/token", []string{"fmt", "strongroom/internal/storage", "strongroom/engine"}, ""},
		{"up", "internal/storage", []string{"strongroom/internal/token"}, "lower ranks only"},
		{"into its own folder, up", "internal/storage", []string{"strongroom/internal/storage/raftstore"}, "lower ranks only"},
		{"peer", "internal/token", []string{"strongroom/internal/acl"}, "never a peer"},
		{"engine on the contract", "engine/transit", []string{"strongroom/engine"}, ""},
		{"engine sees tokens", "engine/transit", []string{"strongroom/internal/token"}, "lower ranks only"},
		{"method sees tokens", "auth/ldap", []string{"strongroom/internal/token"}, "lower ranks only"},
		{"engine on an engine", "engine/transit", []string{"strongroom/engine/kv"}, "never a peer"},
		{"engine on its own folder", "engine/pki", []string{"strongroom/engine/pki/acme"}, ""},
		{"harness", "internal/storage/storagetest", []string{"strongroom/internal/storage"}, ""},
		{"program on a harness", "internal/storage", []string{"strongroom/internal/storage/storagetest"}, "lower ranks only"},
		{"operator on the server", "operator/vaultauth", []string{"strongroom/internal/storage"}, "may import only operator/, api/"},
		{"operator's program on the server", "cmd/strongroom-operator", []string{"strongroom/internal/server"}, "may import only operator/, api/, config/"},
		{"operator on itself", "operator/vaultauth", []string{"strongroom/operator/condition", "strongroom/api/v1beta1"}, ""},
		{"API types on the operator", "api/v1beta1", []string{"strongroom/operator"}, "may import only api/"},
		{"command line on internals", "internal/cli", []string{"strongroom/internal/storage"}, "may import only internal/cli/"},
		{"server on the operator", "internal/token", []string{"strongroom/operator"}, "no part of the server"},
		{"UI on anything", "ui", []string{"strongroom/engine"}, "may import only ui/"},
		{"programs and tests on anything", "cmd/strongroom", []string{"strongroom/internal/token", "strongroom/operator"}, ""},
		{"unlisted", "internal/brandnew", nil, "add it, with its rank in brackets"},
		{"Vault itself", "internal/token", []string{"github.com/hashicorp/vault/builtin/logical/kv"}, "licence"},
		{"Vault's operator", "test/e2e", []string{"github.com/hashicorp/vault-secrets-operator/api/v1beta1"}, "licence"},
		{"Vault's client", "internal/cli", []string{"github.com/hashicorp/vault/api", "github.com/hashicorp/vault/api/auth/kubernetes"}, ""},
	}
	for _, test := range tests {
		got := strings.Join(faults([]unit{{dir: test.dir, imports: test.imports}}, layers), "\n")
		if (test.want == "") != (got == "") || !strings.Contains(got, test.want) {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
	if got := faults([]unit{{dir: "internal/token", tests: []string{"github.com/hashicorp/vault/vault"}}}, layers); len(got) != 1 {
		t.Errorf("a test's import of Vault: %q", got)
	}
}
