package httpapi_test

import (
	"os"
	"strings"
	"testing"
)

// On a cluster that unseals itself the recovery keys are rekeyed, and nothing else:
// nodes go on opening and joining by the seal, and people consent with the new keys.
func TestRekeyRecoveryKeys(t *testing.T) {
	s, _ := static(t, "one", nil)
	peers, old, root := threeAuto(t, s)
	const path = "sys/rekey-recovery-key/"
	peers[1].want(400, "-target=recovery", "PUT", "sys/rekey/init", "", `{"secret_shares":5,"secret_threshold":3}`)
	peers[1].want(400, "-target=recovery", "GET", "sys/rekey/init", "", "")
	st := reply[rekeyReply](peers[1], "PUT", path+"init", `{"secret_shares":4,"secret_threshold":3,"require_verification":true}`)
	if !st.Started || st.Required != 3 {
		t.Fatalf("begun: %+v", st)
	}
	peers[2].want(400, "-target=recovery", "PUT", "sys/rekey/update", "", shareBody(old[0], st.Nonce))
	res := give(peers, path+"update", st.Nonce, old[:3])
	if !res.Complete || len(res.Keys) != 4 || res.VerificationNonce == "" {
		t.Fatalf("complete: %+v", res)
	}
	// Until the new ones are proven, the old ones count.
	p := peers[2]
	p.want(204, "", "PUT", "sys/seal", root, "")
	p.give(res.Keys, "", 400, "unseal failed")
	p.give(old, "", 200, `"sealed":false`)
	if done := give(peers, path+"verify", res.VerificationNonce, res.Keys[:3]); !done.Complete {
		t.Fatalf("verified: %+v", done)
	}
	p.want(204, "", "PUT", "sys/seal", root, "")
	p.give(old, "", 400, "unseal failed")
	p.give(res.Keys, "", 200, `"sealed":false`)
	attempt := reply[rekeyReply](peers[0], "PUT", "sys/generate-root/attempt", `{}`)
	for i, share := range old[:3] {
		code := 200
		if i == 2 {
			code = 400
		}
		peers[i].want(code, "", "PUT", "sys/generate-root/update", "", shareBody(share, attempt.Nonce))
	}
	if done := give(peers, "sys/generate-root/update", attempt.Nonce, res.Keys[1:4]); !done.Complete {
		t.Fatalf("generated: %+v", done)
	}
	for _, p := range peers {
		p.stop()
	}
	if err := os.RemoveAll(peers[2].config.Dir); err != nil {
		t.Fatal(err)
	}
	for _, p := range peers {
		p.start()
	}
	allUnsealed(t, peers)
	for _, p := range peers {
		p.want(200, `"v":1`, "GET", "secret/data/k", root, "")
	}
}

// A snapshot of before a rekey is this cluster's own still: it is restored without force and
// seals nobody, and the shares of its day count again.
func TestRestoreAcrossRekey(t *testing.T) {
	peers, old, root := three(t)
	peers[0].want(200, "", "POST", "secret/data/k", root, `{"data":{"v":"before"}}`)
	data := peers[0].save(root)
	peers[0].want(204, "", "PUT", "sys/rotate", root, "")
	st := reply[rekeyReply](peers[1], "PUT", "sys/rekey/init", `{"secret_shares":5,"secret_threshold":3}`)
	res := give(peers, "sys/rekey/update", st.Nonce, old[:3])
	peers[0].want(200, "", "POST", "secret/data/k", root, `{"data":{"v":"after"}}`)
	half := reply[rekeyReply](peers[1], "PUT", "sys/rekey/init", `{"secret_shares":1,"secret_threshold":1}`)
	give(peers, "sys/rekey/update", half.Nonce, res.Keys[:2])
	away := peers[2] // misses all of it
	away.stop()
	peers[1].restore(204, "", "snapshot", root, data)
	for _, p := range peers[:2] {
		p.want(200, `"v":"before"`, "GET", "secret/data/k", root, "")
	}
	// The rekey that was under way was of keys that are gone.
	peers[1].want(400, "no rekey in progress", "PUT", "sys/rekey/update", "", shareBody(res.Keys[2], half.Nonce))
	away.start()
	eventually(t, "the leader to be heard", func() bool { _, ok := away.node.Leader(); return ok })
	away.unseal(old)
	for _, p := range peers[:2] {
		p.stop()
		p.start()
		p.give(res.Keys, "", 400, "unseal failed")
		p.unseal(old)
	}
	for _, p := range peers {
		p.want(200, "", "POST", "secret/data/k", root, `{"data":{"v":"again"}}`)
	}
	// And with the old shares, nodes join again.
	away.stop()
	if err := os.RemoveAll(away.config.Dir); err != nil {
		t.Fatal(err)
	}
	away.start()
	eventually(t, "an invitation", func() bool { return away.node.State().Initialized })
	away.unseal(old)
	away.want(200, `"v":"again"`, "GET", "secret/data/k", root, "")
}

// With an auto seal a restore of the cluster's own snapshot seals nobody, and that
// of another cluster under the same seal is opened by it.
func TestRestoreWithAutoSeal(t *testing.T) {
	s, _ := static(t, "one", nil)
	other := cluster(t, 1, use(s, nil))[0]
	otherRecovery, otherRoot := other.initializeAuto()
	other.want(204, "", "POST", "sys/mounts/secret", otherRoot, `{"type":"kv","options":{"version":"2"}}`)
	other.want(200, "", "POST", "secret/data/k", otherRoot, `{"data":{"v":"other"}}`)
	foreign := other.save(otherRoot)
	other.stop()

	peers, _, root := threeAuto(t, s)
	data := peers[1].save(root)
	peers[0].want(200, "", "POST", "secret/data/k", root, `{"data":{"v":2}}`)
	peers[2].restore(204, "", "snapshot", root, data)
	for _, p := range peers {
		p.want(200, `"v":1`, "GET", "secret/data/k", root, "")
	}
	peers[1].restore(400, "different autoseal key", "snapshot", root, foreign)
	peers[1].restore(200, "unseal them with the keys", "snapshot-force", root, foreign)
	eventually(t, "every node to serve the other cluster's data", func() bool {
		for _, p := range peers {
			if code, answer := p.call("GET", "secret/data/k", otherRoot, ""); code != 200 || !strings.Contains(answer, `"v":"other"`) {
				return false
			}
		}
		return true
	})
	p := peers[2]
	p.want(204, "", "PUT", "sys/seal", otherRoot, "")
	p.give(otherRecovery, "", 200, `"sealed":false`)
	if n := voters(p, otherRoot); n != 3 {
		t.Errorf("%d voters", n)
	}
}

// A node joins as soon as the cluster it was forced to become is unsealed, although
// the CA that came with the snapshot is nobody's here and is being replaced.
func TestJoinAfterForeignRestore(t *testing.T) {
	other := cluster(t, 1)[0]
	shares, root := other.initialize()
	other.unseal(shares)
	foreign := other.save(root)
	other.stop()

	peers, _, newRoot := three(t)
	late := peers[2]
	peers[0].want(204, "", "POST", "sys/storage/raft/remove-peer", newRoot, `{"server_id":"n2"}`)
	late.stop()
	if err := os.RemoveAll(late.config.Dir); err != nil {
		t.Fatal(err)
	}
	peers[0].restore(200, "unseal them with the keys", "snapshot-force", newRoot, foreign)
	late.start()
	for _, p := range peers[:2] {
		p.unseal(shares)
	}
	eventually(t, "an invitation", func() bool { return late.node.State().Initialized })
	late.unseal(shares) // once: people have typed them
	eventually(t, "three voters", func() bool { return voters(active(peers), root) == 3 })
	eventually(t, "one CA, which is this cluster's", func() bool {
		st := clusterCA(t, active(peers), root)
		return st.Phase == "idle" && len(st.Trusted) == 1
	})
}
