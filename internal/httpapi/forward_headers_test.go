package httpapi_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"strongroom/internal/audit"
	"strongroom/internal/node"
)

// TestForwardedHeadersAreRecorded: what the operator has recorded of a request does not depend on the node that took it.
func TestForwardedHeadersAreRecorded(t *testing.T) {
	dir := t.TempDir()
	file := func(id string) string { return filepath.Join(dir, id+".log") }
	peers, _, root := three(t, func(c *node.Config) {
		log, err := audit.Open([]audit.Spec{{Path: "file", Type: "file", Options: map[string]string{"file_path": file(c.NodeID)}}}, audit.Options{Logger: c.Logger})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { log.Close() })
		c.Audit = log
	})
	leader := active(peers)
	leader.want(204, "", "POST", "sys/config/auditing/request-headers/X-Ticket", root, `{}`)
	for _, p := range peers {
		if p == leader {
			continue
		}
		ticket := "ticket-of-" + p.config.NodeID
		code, _, answer := p.send("POST", "secret/data/a", root, strings.NewReader(`{"data":{"a":"b"}}`), "X-Ticket", ticket, "Connection", "X-Ticket", "X-Strongroom-Remote", "6.6.6.6:1")
		if code != 200 {
			t.Fatalf("%d %s", code, answer)
		}
		log, err := os.ReadFile(file(leader.config.NodeID))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(log), `"x-ticket":["`+ticket+`"]`) {
			t.Errorf("the active node has not recorded the header of a request that %s took", p.config.NodeID)
		}
		if strings.Contains(string(log), "6.6.6.6") {
			t.Error("a client chose the address that is recorded")
		}
	}
}
