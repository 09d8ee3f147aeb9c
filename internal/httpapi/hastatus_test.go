package httpapi_test

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestSealedStandbys: sys/ha-status says of each node whether it is sealed, soon after that changes.
func TestSealedStandbys(t *testing.T) {
	peers, shares, root := three(t)
	leader, other := standby(t, peers)
	state := func() map[string]bool {
		_, answer := leader.call("GET", "sys/ha-status", root, "")
		var out struct {
			Nodes []struct {
				Cluster string `json:"cluster_address"`
				Sealed  *bool
			}
		}
		if err := json.Unmarshal([]byte(answer), &out); err != nil {
			t.Fatalf("%s: %v", answer, err)
		}
		sealed := map[string]bool{}
		for _, n := range out.Nodes {
			if n.Sealed == nil {
				t.Fatalf("a node without \"sealed\": %s", answer)
			}
			sealed[n.Cluster] = *n.Sealed
		}
		return sealed
	}
	count := func(sealed map[string]bool) (n int) {
		for _, is := range sealed {
			if is {
				n++
			}
		}
		return n
	}
	eventually(t, "three nodes, none of them sealed", func() bool { s := state(); return len(s) == 3 && count(s) == 0 })
	other.want(204, "", "PUT", "sys/seal", root, "")
	eventually(t, "one of three to be sealed", func() bool { s := state(); return len(s) == 3 && count(s) == 1 })
	for address, is := range state() {
		if is != strings.HasSuffix(address, other.config.ClusterAddr) {
			t.Errorf("%s sealed: %t, though it is %s that was", address, is, other.config.ClusterAddr)
		}
	}
	other.unseal(shares)
	eventually(t, "none to be sealed again", func() bool { s := state(); return len(s) == 3 && count(s) == 0 })
}
