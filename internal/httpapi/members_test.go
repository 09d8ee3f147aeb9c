package httpapi_test

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A removed peer is shut out, says so, and comes back as a new node only.
func TestRemovePeer(t *testing.T) {
	peers, shares, root := three(t)
	peers[0].want(400, "is no peer", "POST", "sys/storage/raft/remove-peer", root, `{"server_id":"n9"}`)
	peers[0].want(400, "server_id", "POST", "sys/storage/raft/remove-peer", root, `{}`)
	gone := peers[2]
	peers[1].want(204, "", "POST", "sys/storage/raft/remove-peer", root, `{"server_id":"n2"}`) // forwarded
	if n := voters(peers[0], root); n != 2 {
		t.Fatalf("%d voters are left", n)
	}
	noticed := func() bool {
		_, answer := gone.call("GET", "sys/seal-status", "", "")
		return strings.Contains(answer, `"removed_from_cluster":true`)
	}
	eventually(t, "the removed node notices", noticed)
	gone.want(530, `"removed_from_cluster":true`, "GET", "sys/health", "", "")
	gone.want(299, "", "GET", "sys/health?removedcode=299", "", "")
	gone.want(503, "was removed from its cluster", "GET", "secret/data/k", root, "")
	gone.want(400, "was removed from its cluster", "PUT", "sys/unseal", "", `{"key":"`+shares[0]+`"}`)
	gone.stop()
	gone.start()
	if !noticed() {
		t.Error("after a restart the removed node does not know any more")
	}
	gone.stop()
	if err := os.RemoveAll(gone.config.Dir); err != nil {
		t.Fatal(err)
	}
	gone.start()
	eventually(t, "an invitation", func() bool { return gone.node.State().Initialized })
	gone.unseal(shares)
	eventually(t, "three voters again", func() bool { return voters(peers[0], root) == 3 })
	gone.want(429, "", "GET", "sys/health", "", "")
}

// The active node can be removed: it hands over first.
func TestRemoveActiveNode(t *testing.T) {
	peers, _, root := three(t)
	was := active(peers)
	was.want(204, "", "POST", "sys/storage/raft/remove-peer", root, `{"server_id":"`+was.config.NodeID+`"}`)
	rest := slices.DeleteFunc(slices.Clone(peers), func(p *peer) bool { return p == was })
	eventually(t, "another active node", func() bool { return active(rest) != nil })
	if n := voters(rest[0], root); n != 2 {
		t.Errorf("%d voters are left", n)
	}
	eventually(t, "the removed node notices", was.node.Removed)
	rest[0].want(200, "", "POST", "secret/data/k", root, `{"data":{"v":1}}`)
}

// alonePeer restarts p without retry_join.
func alonePeer(p *peer) {
	p.stop()
	p.config.RetryJoin = nil
	p.start()
}

func TestJoinByAPI(t *testing.T) {
	peers := cluster(t, 3)
	first, second, third := peers[0], peers[1], peers[2]
	alonePeer(second)
	alonePeer(third)
	shares, root := first.initialize()
	first.unseal(shares)
	secure := httptest.NewTLSServer(first.api.Config.Handler)
	t.Cleanup(secure.Close)
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}))
	body := func(fields map[string]any) string {
		b, err := json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	const path = "sys/storage/raft/join"
	second.want(400, "full address", "POST", path, "", `{}`)
	first.want(400, "JSON", "PUT", "sys/storage/raft/bootstrap/challenge", "", `{"server_id":`)
	second.want(400, "only its own configuration may", "POST", path, "", body(map[string]any{"auto_join": "provider=k8s kubeconfig=/etc/hostname"}))
	// Whoever may reach this node reads nothing through it that only it can reach.
	inside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/sys/storage/raft/bootstrap/challenge" {
			t.Errorf("asked for %s", r.URL)
		}
		http.Error(w, "an inner secret", http.StatusForbidden)
	}))
	t.Cleanup(inside.Close)
	for _, addr := range []string{inside.URL, inside.URL + "/latest?x=", inside.URL + "/latest", inside.URL + "?", inside.URL + "#x", strings.Replace(inside.URL, "//", "//user:pass@", 1)} {
		code, answer := second.call("POST", path, "", body(map[string]any{"leader_api_addr": addr}))
		if code != 400 || strings.Contains(answer, "secret") || (addr != inside.URL) != strings.Contains(answer, "full address") {
			t.Errorf("%s: %d %s", addr, code, answer)
		}
	}
	second.want(400, "leader_ca_cert", "POST", path, "", body(map[string]any{"leader_api_addr": secure.URL, "leader_ca_cert": "x"}))
	second.want(400, "leader_client_key", "POST", path, "", body(map[string]any{"leader_api_addr": secure.URL, "leader_client_cert": "x"}))
	second.want(400, "failed to join", "POST", path, "", body(map[string]any{"leader_api_addr": "http://" + freePort(t)}))
	second.want(400, "certificate", "POST", path, "", body(map[string]any{"leader_api_addr": secure.URL}))
	second.want(200, `{"joined":true}`, "POST", path, "", body(map[string]any{"leader_api_addr": secure.URL, "leader_ca_cert": ca}))
	second.unseal(shares)
	eventually(t, "two voters", func() bool { return voters(first, root) == 2 })
	second.want(400, "belongs to a cluster already", "POST", path, "", body(map[string]any{"leader_api_addr": first.api.URL}))

	third.want(200, `{"joined":true}`, "POST", path, "", body(map[string]any{"leader_api_addr": first.api.URL, "non_voter": true}))
	third.unseal(shares)
	eventually(t, "autopilot to know three nodes", func() bool {
		code, answer := first.call("GET", "sys/storage/raft/autopilot/state", root, "")
		return code == 200 && strings.Contains(answer, `"non_voters":["n2"]`) && strings.Contains(answer, `"node_type":"non-voter"`)
	})
	if n := voters(first, root); n != 2 {
		t.Errorf("%d voters with a non-voter", n)
	}
	answer := first.want(200, `"nodes"`, "GET", "sys/ha-status", root, "")
	if strings.Count(answer, `"api_address":"http`) != 6 { // once in data, once beside it
		t.Errorf("ha-status is %s", answer)
	}
}

// caState is the data of sys/storage/raft/cluster-ca.
type caState struct {
	Issuing    string
	Trusted    []string
	Phase      string
	WaitingFor []string `json:"waiting_for"`
}

func clusterCA(t *testing.T, p *peer, root string) (st caState) {
	t.Helper()
	var out struct{ Data caState }
	if code, answer := p.call("GET", "sys/storage/raft/cluster-ca", root, ""); code == 200 {
		if err := json.Unmarshal([]byte(answer), &out); err != nil {
			t.Fatal(err)
		}
	}
	return out.Data
}

// The CA is replaced under traffic; a member that is down holds it up, and is not
// left behind.
func TestReplaceCA(t *testing.T) {
	peers, shares, root := three(t)
	before := clusterCA(t, peers[0], root)
	if before.Phase != "idle" || len(before.Trusted) != 1 {
		t.Fatalf("at first: %+v", before)
	}
	stop := make(chan struct{})
	var traffic sync.WaitGroup
	var failed atomic.Int64
	for i, p := range peers[:2] {
		traffic.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				if code, answer := p.call("POST", fmt.Sprintf("secret/data/%d", i), root, fmt.Sprintf(`{"data":{"n":%d}}`, n)); code != 200 {
					failed.Add(1)
					t.Logf("write: %d %s", code, answer)
				}
			}
		})
	}
	peers[2].stop()
	peers[0].want(200, "trusting", "POST", "sys/storage/raft/cluster-ca/rotate", root, "")
	eventually(t, "the rotation to wait", func() bool {
		st := clusterCA(t, peers[0], root)
		return len(st.Trusted) == 2 && slices.Equal(st.WaitingFor, []string{"n2"}) && st.Issuing == before.Issuing
	})
	peers[0].want(400, "being replaced already", "POST", "sys/storage/raft/cluster-ca/rotate", root, "")
	peers[2].start() // sealed: that is enough
	eventually(t, "the new CA", func() bool {
		st := clusterCA(t, peers[0], root)
		return st.Phase == "idle" && len(st.Trusted) == 1 && st.Issuing != before.Issuing
	})
	close(stop)
	traffic.Wait()
	if n := failed.Load(); n > 0 {
		t.Errorf("%d writes failed meanwhile", n)
	}
	for _, p := range peers { // every pair has to shake hands anew
		p.stop()
	}
	for _, p := range peers {
		p.start()
	}
	for _, p := range peers {
		p.unseal(shares)
	}
	peers[2].want(200, "", "POST", "secret/data/after", root, `{"data":{"n":1}}`)
}

// A planned handover loses no request that could be tried again.
func TestStepDownUnderLoad(t *testing.T) {
	peers, _, root := three(t)
	stop := make(chan struct{})
	var load sync.WaitGroup
	var failed, done, longest atomic.Int64
	for i := range 6 {
		p := peers[i%3]
		load.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				begun := time.Now()
				code, answer := p.call("POST", fmt.Sprintf("secret/data/%d", i), root, fmt.Sprintf(`{"data":{"n":%d}}`, n))
				if code != 200 {
					failed.Add(1)
					t.Logf("write on %s: %d %s", p.config.NodeID, code, answer)
				}
				done.Add(1)
				if took := int64(time.Since(begun)); took > longest.Load() {
					longest.Store(took)
				}
			}
		})
	}
	for range 3 {
		was := active(peers)
		begun := time.Now()
		was.want(204, "", "PUT", "sys/step-down", root, "")
		eventually(t, "another active node", func() bool { now := active(peers); return now != nil && now != was })
		t.Logf("handed over in %v", time.Since(begun))
	}
	close(stop)
	load.Wait()
	t.Logf("%d writes, the longest %v", done.Load(), time.Duration(longest.Load()))
	if n := failed.Load(); n > 0 {
		t.Errorf("%d of %d writes failed", n, done.Load())
	}
}

// A sealed node and one that is gone hold up no handover.
func TestStepDownPastTheSealedAndTheDead(t *testing.T) {
	peers, _, root := three(t)
	was := active(peers)
	rest := slices.DeleteFunc(slices.Clone(peers), func(p *peer) bool { return p == was })
	rest[0].want(204, "", "PUT", "sys/seal", root, "")
	begun := time.Now()
	was.want(204, "", "PUT", "sys/step-down", root, "")
	eventually(t, "the unsealed node to be active", rest[1].isActive)
	if took := time.Since(begun); took > time.Second {
		t.Errorf("past a sealed node the handover took %v", took)
	}
	was.stop()
	begun = time.Now()
	rest[1].want(204, "", "PUT", "sys/step-down", root, "")
	if took := time.Since(begun); took > 2*time.Second {
		t.Errorf("it took %v to say that nobody can take over", took)
	}
	rest[1].want(503, "no other node is unsealed", "POST", "sys/storage/raft/remove-peer", root, `{"server_id":"`+rest[1].config.NodeID+`"}`)
	rest[1].want(200, "", "POST", "secret/data/k", root, `{"data":{"n":1}}`)
}

func (p *peer) isActive() bool { return p.serve.Load() != nil && p.node.State().Active }
