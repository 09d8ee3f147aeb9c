package seal

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"testing"
)

// A table look-up, or a branch, at a place that a secret byte says is seen in the
// cache's timing. The arithmetic of shares has neither.
func TestLessonShamirHasNoTables(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "shamir.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.GenDecl:
			if d.Tok == token.VAR {
				t.Error("shamir.go has a variable of the package: a table?")
			}
		case *ast.FuncDecl:
			if !slices.Contains([]string{"mul", "inverse"}, d.Name.Name) {
				continue
			}
			found++
			ast.Inspect(d.Body, func(n ast.Node) bool {
				switch n.(type) {
				case *ast.IndexExpr, *ast.IfStmt, *ast.SwitchStmt, *ast.ForStmt:
					t.Errorf("%s has a %T", d.Name.Name, n)
				}
				return true
			})
		}
	}
	if found != 2 {
		t.Errorf("%d of the two functions that do the arithmetic were found", found)
	}
}
