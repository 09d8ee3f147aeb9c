package httpapi_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

// A voter that has lost its disk joins again without a vote until it has caught
// up: what it once acknowledged is gone with the disk.
func TestRejoinWithoutDisk(t *testing.T) {
	peers, shares, root := three(t)
	peers[0].want(200, "", "POST", "secret/data/k", root, `{"data":{"v":1}}`)
	lost := peers[2]
	lost.stop()
	if err := os.RemoveAll(lost.config.Dir); err != nil {
		t.Fatal(err)
	}
	lost.start()
	eventually(t, "the invitation", func() bool { return lost.node.State().Initialized })
	for _, s := range shares[:2] {
		lost.want(200, "progress", "PUT", "sys/unseal", "", `{"key":"`+s+`"}`)
	}
	before := peers[0].node.State().CommittedIndex
	lost.want(200, `"sealed":false`, "PUT", "sys/unseal", "", `{"key":"`+shares[2]+`"}`)
	eventually(t, "three voters", func() bool { return voters(peers[0], root) == 3 })
	// Its removal, its return without a vote, and its vote are an entry each.
	if n := peers[0].node.State().CommittedIndex - before; n < 3 {
		t.Errorf("a voter without its log kept its vote: %d entries", n)
	}
	lost.want(200, `"v":1`, "GET", "secret/data/k", root, "")
	peers[0].stop()
	peers[1].stop()
	peers[1].start()
	peers[1].unseal(shares)
	peers[1].want(200, `"v":1`, "GET", "secret/data/k", root, "") // with the vote of the one that came back
}

// A node that takes the active node's name and address does not put it out of its own cluster.
func TestJoinAsTheLeader(t *testing.T) {
	peers := cluster(t, 2)
	shares, root := peers[0].initialize()
	peers[0].unseal(shares)
	double := peers[1]
	double.stop()
	double.config.NodeID, double.config.ClusterAddr = peers[0].config.NodeID, peers[0].config.ClusterAddr
	double.start()
	eventually(t, "the invitation", func() bool { return double.node.State().Initialized })
	for i, s := range shares[:3] {
		code, text := 200, "progress"
		if i == 2 {
			code, text = 502, "belongs to another member"
		}
		double.want(code, text, "PUT", "sys/unseal", "", `{"key":"`+s+`"}`)
	}
	answer := peers[0].want(200, "", "GET", "sys/storage/raft/configuration", root, "")
	if strings.Count(answer, `"node_id"`) != 1 {
		t.Errorf("the members are %s", answer)
	}
}

// A sealed node that is still taken for the leader sends a standby on to the
// next one, not the client away.
func TestSealedIsNoAnswerForAnother(t *testing.T) {
	p := cluster(t, 1)[0]
	shares, root := p.initialize()
	p.unseal(shares)
	p.want(204, "", "PUT", "sys/seal", root, "")
	w := httptest.NewRecorder()
	p.serve.Load().Forwarded().ServeHTTP(w, httptest.NewRequest("GET", "/v1/secret/data/k", nil))
	if w.Code != 503 || w.Header().Get("X-Strongroom-Not-Active") == "" {
		t.Errorf("a sealed node answers a standby with %d %v", w.Code, w.Header())
	}
	w = httptest.NewRecorder()
	p.serve.Load().ServeHTTP(w, httptest.NewRequest("GET", "/v1/secret/data/k", nil))
	if w.Code != 503 || w.Header().Get("X-Strongroom-Not-Active") != "" {
		t.Errorf("a sealed node answers a client with %d %v", w.Code, w.Header())
	}
}

// A seal is a seal for clients that want no forwarding, too.
func TestSealStandbyWithoutForwarding(t *testing.T) {
	peers, _, root := three(t)
	req, err := http.NewRequest("PUT", peers[1].api.URL+"/v1/sys/seal", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Vault-Token", root)
	req.Header.Set("X-Vault-No-Request-Forwarding", "true")
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 204 || !peers[1].node.State().Sealed {
		t.Errorf("answered %d; sealed: %t", resp.StatusCode, peers[1].node.State().Sealed)
	}
}
