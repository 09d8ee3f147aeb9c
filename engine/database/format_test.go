package database

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"strongroom/internal/storage"
)

// The vectors of docs/format/database.md: what is stored there is understood, and
// written again to the byte.
func TestFormat(t *testing.T) {
	page, err := os.ReadFile("../../docs/format/database.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```json\n")
	block, _, _ := strings.Cut(rest, "```")
	var vectors map[string]json.RawMessage
	if err := json.Unmarshal([]byte(block), &vectors); err != nil || len(vectors) != 3 {
		t.Fatalf("%d vectors, %v", len(vectors), err)
	}
	store := storage.NewMem()
	for key, value := range vectors {
		if err := store.Apply(t.Context(), storage.Batch{Writes: []storage.Write{{Key: prefix + key, Value: value}}}); err != nil {
			t.Fatal(err)
		}
	}
	view := storage.Begin(store).View(prefix)
	c, r, s := must(loadConnection(t.Context(), view, "pg")), must(loadRole(t.Context(), view, "reader")), must(loadStatic(t.Context(), view, "app"))
	for key, got := range map[string]any{"config/pg": c, "role/reader": r, "static/app": s} {
		if text := must(json.Marshal(got)); string(text) != string(vectors[key]) {
			t.Errorf("%s is\n%s\nwant\n%s", key, text, vectors[key])
		}
	}
	if c.Root.Pending != "q" || r.MaxTTL != 86400 || s.Schedule.Window != 3600 || s.Rotated != 1795557000123 {
		t.Errorf("%+v %+v %+v", c, r, s)
	}
}
