package audit

import (
	"os"
	"strings"
	"testing"
)

// The vector of docs/format/audit.md.
func TestHashVector(t *testing.T) {
	text, err := os.ReadFile("../../docs/format/audit.md")
	if err != nil {
		t.Fatal(err)
	}
	got := string(newHasher(salt(make([]byte, 32), "declared/main/")).append(nil, "secret"))
	if !strings.Contains(string(text), "`"+got+"`") {
		t.Errorf("the document does not have %s", got)
	}
}
