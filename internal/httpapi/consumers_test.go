package httpapi_test

import (
	"encoding/json"
	"testing"
)

// TestConsumersFromAnyNode: every node takes a report, and every node answers from it; a failover forgets it and says so to
// who renews.
func TestConsumersFromAnyNode(t *testing.T) {
	peers, _, root := three(t)
	leader, other := standby(t, peers)
	report := func(p *peer, reset bool, text string) {
		t.Helper()
		body := map[string]any{"cluster": "prod", "instance": "i", "reset": reset}
		if reset {
			body["resources"] = []map[string]any{{"kind": "VaultSecret", "namespace": "shop", "name": "app", "paths": []string{"secret/data/app"}, "state": "Valid"}}
		}
		b, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		p.want(200, text, "POST", "sys/kubernetes/report", root, string(b))
	}
	report(other, true, `"accepted":1`)
	for _, p := range peers {
		p.want(200, `"name":"app"`, "GET", "sys/kubernetes/consumers?prefix=secret/&state=Valid", root, "")
		p.want(200, `"name":"app"`, "GET", "sys/kubernetes/consumers/secret/data/app", root, "")
		p.want(200, `"total":0`, "GET", "sys/kubernetes/consumers?search=web", root, "")
	}
	report(other, false, `"held":1`)
	leader.want(204, "", "PUT", "sys/step-down", root, "")
	eventually(t, "another leader", func() bool { l := active(peers); return l != nil && l != leader })
	other.want(200, `"total":0`, "GET", "sys/kubernetes/consumers", root, "")
	report(other, false, `"known":false`)
	report(other, true, `"known":true`)
}
