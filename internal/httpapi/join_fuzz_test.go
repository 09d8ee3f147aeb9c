package httpapi

import (
	"encoding/json"
	"strings"
	"testing"
)

// Whatever a body of sys/storage/raft/join holds, it names a node to ask or is refused.
func FuzzJoinRequest(f *testing.F) {
	f.Add(`{"leader_api_addr":"https://vault-0:8200","leader_ca_cert":"x","retry":true}`)
	f.Add(`{"leader_api_addr":"http://[::1]:8200/"}`)
	f.Add(`{"auto_join":"provider=k8s label_selector=\"a=b\"","auto_join_port":99999}`)
	f.Add(`{"leader_client_cert":"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----","leader_client_key":"k"}`)
	f.Fuzz(func(t *testing.T, body string) {
		var q joinRequest
		if json.Unmarshal([]byte(body), &q) != nil {
			return
		}
		target, problem := q.target()
		if problem == "" && target.Resolve == nil && !strings.HasPrefix(target.LeaderAPIAddr, "http") {
			t.Fatalf("%q names %q", body, target.LeaderAPIAddr)
		}
	})
}
