package httpapi_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"strongroom/internal/audit"
	"strongroom/internal/node"
)

// TestCeremoniesAreRecordedOnce: what concerns key shares is the active node's alone, and so is its record,
// whichever node was asked and with whatever method.
func TestCeremoniesAreRecordedOnce(t *testing.T) {
	dir := t.TempDir()
	file := func(id string) string { return filepath.Join(dir, id+".log") }
	peers, _, root := three(t, func(c *node.Config) {
		log, err := audit.Open([]audit.Spec{{Path: "file", Type: "file", Options: map[string]string{"file_path": file(c.NodeID)}}}, audit.Options{Node: c.NodeID})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := log.Close(); err != nil {
				t.Error(err)
			}
		})
		c.Audit = log
	})
	leader, other := standby(t, peers)
	eventually(t, "the standby has heard of the last write", func() bool { return other.node.CatchUp(t.Context()) == nil })
	other.want(200, `"started":false`, "GET", "sys/rekey/init", root, "")
	other.want(200, `"nonce"`, "PUT", "sys/generate-root/attempt", root, "{}")
	other.want(204, "", "DELETE", "sys/generate-root/attempt", root, "")
	for _, p := range peers {
		text, err := os.ReadFile(file(p.config.NodeID))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{"sys/rekey/init", "sys/generate-root/attempt"} {
			want := map[string]int{"sys/rekey/init": 2, "sys/generate-root/attempt": 4}[path] // a request and a response each
			if p != leader {
				want = 0
			}
			if n := strings.Count(string(text), `"path":"`+path+`"`); n != want {
				t.Errorf("%s recorded %s %d times, want %d", p.config.NodeID, path, n, want)
			}
		}
	}
}
