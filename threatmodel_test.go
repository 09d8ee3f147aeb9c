package strongroom_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// goFiles calls visit with every Go file of the module, parsed.
func goFiles(t *testing.T, visit func(path string, file *ast.File)) {
	t.Helper()
	set := token.NewFileSet()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); d.IsDir() {
			if path != "." && (strings.HasPrefix(name, ".") || name == "node_modules") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		visit(path, file)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Every promise of the threat model names tests that there are, in the package it
// says, and every test of a lesson stands for a promise.
func TestThreatModelNamesItsTests(t *testing.T) {
	text, err := os.ReadFile("docs/threat-model.md")
	if err != nil {
		t.Fatal(err)
	}
	var named []string // "folder TestName"
	for _, m := range regexp.MustCompile("`([a-z/0-9]*)\\.(Test\\w+)`").FindAllStringSubmatch(string(text), -1) {
		dir := m[1]
		if dir == strings.TrimSuffix(module, "/") { // the module's own folder
			dir = "."
		}
		named = append(named, dir+" "+m[2])
	}
	if len(named) < 30 {
		t.Errorf("the threat model names %d tests", len(named))
	}
	there := map[string]bool{}
	goFiles(t, func(path string, file *ast.File) {
		if !strings.HasSuffix(path, "_test.go") {
			return
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Recv != nil {
				continue
			}
			key := filepath.ToSlash(filepath.Dir(path)) + " " + f.Name.Name
			there[key] = true
			if strings.HasPrefix(f.Name.Name, "TestLesson") && !slices.Contains(named, key) {
				t.Errorf("%s shows a lesson that docs/threat-model.md does not name", key)
			}
		}
	})
	for _, key := range named {
		if !there[key] {
			t.Errorf("docs/threat-model.md names %s, which there is not", key)
		}
	}
}

// What a secret is compared with is compared in constant time: bytes.Equal stands
// only where both sides are public.
func TestLessonSecretsAreComparedInConstantTime(t *testing.T) {
	public := map[string]string{
		"engine/pki/issuer.go":                "names of certificates' subjects",
		"internal/node/backup.go":             "checksums of a file",
		"internal/node/rekey.go":              "a stored record, encrypted, with itself",
		"internal/snapshot/read.go":           "checksums of a file",
		"internal/tlssecret/ensure.go":        "certificates",
		"internal/storage/raftstore/parse.go": "checksums of a stream",
		"internal/seal/sealtest/sealtest.go":  "a test's own keys",
	}
	goFiles(t, func(path string, file *ast.File) {
		path = filepath.ToSlash(path)
		root, _, _ := strings.Cut(path, "/")
		if strings.HasSuffix(path, "_test.go") || !slices.Contains([]string{"internal", "auth", "engine"}, root) || public[path] != "" {
			return
		}
		ast.Inspect(file, func(n ast.Node) bool {
			s, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if p, ok := s.X.(*ast.Ident); ok && (p.Name == "bytes" && s.Sel.Name == "Equal" || p.Name == "reflect" && s.Sel.Name == "DeepEqual") {
				t.Errorf("%s: %s.%s leaves by its time how much of a secret was right: use crypto/subtle, or say here what it compares", path, p.Name, s.Sel.Name)
			}
			return true
		})
	})
}
