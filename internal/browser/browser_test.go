package browser

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"strongroom/internal/storage"
)

func TestAllows(t *testing.T) {
	c := CORS{Enabled: true, Origins: []string{"https://app.example.com"}}
	for origin, want := range map[string]bool{"https://app.example.com": true, "https://APP.example.com": true, "http://app.example.com": false,
		"https://app.example.com.evil.org": false, "https://evil.org": false, "null": false, "": false} {
		if got := c.Allows(origin); got != want {
			t.Errorf("%q is allowed: %v", origin, got)
		}
	}
	if c.Origins = []string{"*"}; !c.Allows("https://evil.org") || (CORS{Origins: []string{"*"}}).Allows("https://a.b") {
		t.Error("the wildcard allows all, where CORS is on")
	}
}

func TestCheck(t *testing.T) {
	for _, c := range []CORS{{}, {Origins: []string{"*", "https://a.b"}}, {Origins: []string{"a.b"}}, {Origins: []string{"https://a.b/path"}}, {Origins: []string{"*"}, Headers: []string{"a b"}},
		{Origins: []string{"*"}, Credentials: true}} {
		if c.Check() == nil {
			t.Errorf("%+v was taken", c)
		}
	}
	if err := (CORS{Origins: []string{"https://a.b:8443"}, Headers: []string{"X-A"}}).Check(); err != nil {
		t.Error(err)
	}
	for name, value := range map[string]string{"X-Vault-Token": "a", "x-a b": "a", "X-A": "a\r\nSet-Cookie: b", "Content-Length": "1"} {
		if CheckHeader(name, []string{value}) == nil {
			t.Errorf("%s: %q was taken", name, value)
		}
	}
	if CheckHeader("X-A", nil) == nil {
		t.Error("a header without a value was taken")
	}
}

// TestStored holds the stored form to docs/format/browser.md.
func TestStored(t *testing.T) {
	store := storage.NewMem()
	tx := storage.Begin(store)
	want := Settings{CORS: CORS{Enabled: true, Origins: []string{"https://app.example.com"}, Headers: []string{"X-Custom"}}, UI: map[string][]string{"X-Frame-Options": {"DENY"}}}
	if err := Change(t.Context(), tx, func(s *Settings) { *s = want }); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, err := Open().Get(t.Context(), storage.Begin(store))
	text, _ := json.Marshal(got)
	doc, derr := os.ReadFile("../../docs/format/browser.md")
	if err != nil || derr != nil || !strings.Contains(string(doc), "\n"+string(text)+"\n") {
		t.Errorf("the document does not have %s (%v, %v)", text, err, derr)
	}
}
