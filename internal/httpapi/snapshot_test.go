package httpapi_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"

	"strongroom/internal/snapshot"
)

// save takes a snapshot, which is checked.
func (p *peer) save(token string) []byte {
	p.t.Helper()
	code, header, data := p.send("GET", "sys/storage/raft/snapshot", token, nil)
	if code != 200 || header.Get("Content-Type") != "application/gzip" || !strings.HasPrefix(header.Get("Content-Disposition"), "attachment") {
		p.t.Fatalf("save: %d %v %s", code, header, data)
	}
	if _, err := snapshot.Check(bytes.NewReader(data), nil); err != nil {
		p.t.Fatal(err)
	}
	return data
}

// restore sends data in pieces, its length unknown.
func (p *peer) restore(code int, text, path, token string, data []byte) {
	p.t.Helper()
	got, _, answer := p.send("POST", "sys/storage/raft/"+path, token, struct{ io.Reader }{bytes.NewReader(data)})
	if got != code || !strings.Contains(string(answer), text) {
		p.t.Fatalf("%s: %s: %d %s; want %d with %q", p.config.NodeID, path, got, answer, code, text)
	}
}

// Saved and restored through every node of a cluster: what was written since is
// gone, what was there is back, tokens work, and nothing is sealed. The archive
// is larger than any request may be.
func TestSnapshotThreeNodes(t *testing.T) {
	peers, _, root := three(t)
	leader := active(peers)
	for i := range 4 { // 2 MiB that do not compress, with a limit of 1 MiB a request
		leader.want(200, "", "POST", fmt.Sprintf("secret/data/big%d", i), root, `{"data":{"v":"`+noise(512<<10)+`"}}`)
	}
	leader.want(200, "", "POST", "secret/data/k", root, `{"data":{"v":"before"}}`)
	var made struct {
		Auth struct {
			Token string `json:"client_token"`
		} `json:"auth"`
	}
	leader.want(204, "", "PUT", "sys/policies/acl/reader", root, `{"policy":"path \"secret/data/*\" { capabilities = [\"read\"] }"}`)
	if err := json.Unmarshal([]byte(leader.want(200, "", "POST", "auth/token/create", root, `{"policies":["reader"]}`)), &made); err != nil {
		t.Fatal(err)
	}
	for _, from := range peers {
		data := from.save(root)
		for _, to := range peers {
			to.want(200, "", "POST", "secret/data/k", root, `{"data":{"v":"after"}}`)
			to.want(200, "", "POST", "secret/data/new", root, `{"data":{"v":"after"}}`)
			to.restore(204, "", "snapshot", root, data)
			for _, p := range peers {
				p.want(200, `"v":"before"`, "GET", "secret/data/k", made.Auth.Token, "")
				p.want(404, "", "GET", "secret/data/new", root, "")
				p.want(200, `"sealed":false`, "GET", "sys/seal-status", "", "")
			}
		}
	}
	if n := voters(peers[0], root); n != 3 {
		t.Errorf("%d voters after the restores", n)
	}
	// The cluster goes on as before: another node leads, and everything is there.
	leader = active(peers)
	leader.want(204, "", "PUT", "sys/step-down", root, "")
	eventually(t, "another node to be active", func() bool { a := active(peers); return a != nil && a != leader })
	leader.want(200, `"v":"before"`, "GET", "secret/data/k", root, "")
	leader.want(200, "", "POST", "secret/data/k", root, `{"data":{"v":"at last"}}`)
}

// noise is n bytes of text that gzip makes nothing of.
func noise(n int) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	b := make([]byte, n)
	x := uint64(88172645463325252) // xorshift: Marsaglia, 2003
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = alphabet[x>>58]
	}
	return string(b)
}

// A snapshot of another cluster is refused, and by force makes this cluster that
// one: sealed, until its shares are given, with its tokens and its data.
func TestForeignSnapshot(t *testing.T) {
	old := cluster(t, 1)[0]
	oldShares, oldRoot := old.initialize()
	old.unseal(oldShares)
	old.want(204, "", "POST", "sys/mounts/secret", oldRoot, `{"type":"kv","options":{"version":"2"}}`)
	old.want(200, "", "POST", "secret/data/k", oldRoot, `{"data":{"v":"old cluster"}}`)
	data := old.save(oldRoot)
	old.stop()

	peers, shares, root := three(t)
	const refused = "could not verify hash file, possibly the snapshot is using a different set of unseal keys; use the snapshot-force API to bypass this check"
	for _, p := range peers {
		p.want(200, "", "POST", "secret/data/k", root, `{"data":{"v":"new cluster"}}`)
		p.restore(400, refused, "snapshot", root, data)
		p.want(200, "new cluster", "GET", "secret/data/k", root, "")
	}
	peers[1].restore(200, "unseal them with the keys", "snapshot-force", root, data)
	for _, p := range peers {
		eventually(t, "every node to be sealed", func() bool { return p.node.State().Sealed })
		p.want(503, "Vault is sealed", "GET", "secret/data/k", oldRoot, "")
	}
	for i, s := range shares[:3] { // the new cluster's shares are worth nothing now
		code := 200
		if i == 2 {
			code = 400
		}
		peers[0].want(code, "", "PUT", "sys/unseal", "", `{"key":"`+s+`"}`)
	}
	for _, p := range peers {
		p.unseal(oldShares)
	}
	for _, p := range peers {
		p.want(200, "old cluster", "GET", "secret/data/k", oldRoot, "")
		p.want(403, "", "GET", "secret/data/k", root, "")
	}
	if n := voters(peers[0], oldRoot); n != 3 {
		t.Errorf("%d voters after the restore", n)
	}
	active(peers).save(oldRoot)
}

// What is altered, torn or no snapshot at all changes nothing, even by force.
func TestDamagedSnapshot(t *testing.T) {
	p := cluster(t, 1)[0]
	shares, root := p.initialize()
	p.unseal(shares)
	p.want(204, "", "POST", "sys/mounts/secret", root, `{"type":"kv","options":{"version":"2"}}`)
	data := p.save(root)
	p.want(200, "", "POST", "secret/data/k", root, `{"data":{"v":"kept"}}`)
	before := p.node.State().AppliedIndex
	flipped := bytes.Clone(data)
	flipped[len(flipped)/2] ^= 1
	for name, bad := range map[string][]byte{"nothing": {}, "text": []byte("hello"), "torn": data[:len(data)-20], "flipped": flipped, "two": append(bytes.Clone(data), data...)} {
		t.Log(name)
		p.restore(400, "nothing was changed", "snapshot", root, bad)
		p.restore(400, "nothing was changed", "snapshot-force", root, bad)
	}
	p.want(200, "kept", "GET", "secret/data/k", root, "")
	if after := p.node.State().AppliedIndex; after > before+20 { // the confirmations of leadership
		t.Errorf("index %d after %d", after, before)
	}
	if left, _ := filepath.Glob(filepath.Join(p.config.Dir, ".restore-*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	p.restore(204, "", "snapshot", root, data)
	p.want(404, "", "GET", "secret/data/k", root, "")
}

// Who may, by policy; a token's use is spent; and nobody else's body is read.
func TestSnapshotAuthorization(t *testing.T) {
	p := cluster(t, 1)[0]
	p.restore(503, "not initialized", "snapshot", "", nil)
	shares, root := p.initialize()
	p.restore(503, "sealed", "snapshot", root, nil)
	p.unseal(shares)
	p.want(204, "", "PUT", "sys/policies/acl/save", root, `{"policy":"path \"sys/storage/raft/snapshot\" { capabilities = [\"read\"] }"}`)
	var made struct {
		Auth struct {
			Token string `json:"client_token"`
		} `json:"auth"`
	}
	if err := json.Unmarshal([]byte(p.want(200, "", "POST", "auth/token/create", root, `{"policies":["save"],"num_uses":3}`)), &made); err != nil {
		t.Fatal(err)
	}
	token := made.Auth.Token
	data := p.save(token)
	p.restore(403, "permission denied", "snapshot", token, data)
	p.restore(403, "permission denied", "snapshot-force", token, data)
	p.save(token)
	p.save(token)
	p.want(403, "", "GET", "sys/storage/raft/snapshot", token, "")
	p.want(403, "permission denied", "GET", "sys/storage/raft/snapshot", "", "")
	p.want(403, "", "POST", "sys/storage/raft/snapshot-force", "hvs.wrong", "x")
	p.want(405, "", "GET", "sys/storage/raft/snapshot-force", root, "")
	p.want(200, "Take a snapshot", "GET", "sys/storage/raft/snapshot?help=1", root, "")
}

// Whoever is refused reads why, though the body is large and nobody wants it;
// and a failover in between is waited for.
func TestSnapshotRefusedAndWaitedFor(t *testing.T) {
	peers, _, root := three(t)
	body := []byte(noise(16 << 20))
	for _, p := range peers {
		p.restore(403, "invalid token", "snapshot-force", "hvs.wrong", body)
		p.restore(400, "nothing was changed", "snapshot-force", root, body)
	}
	data := peers[0].save(root)
	leader := active(peers)
	leader.stop()
	for _, p := range peers {
		if p != leader {
			p.save(root)
			p.restore(204, "", "snapshot", root, data)
		}
	}
}

// Schedules as Vault documents them; the snapshots are this cluster's own and
// can be restored.
func TestScheduledSnapshots(t *testing.T) {
	peers, _, root := three(t)
	dir := filepath.Join(t.TempDir(), "snapshots")
	const config, status = "sys/storage/raft/snapshot-auto/config", "sys/storage/raft/snapshot-auto/status"
	p := peers[1]
	p.want(404, "", "LIST", config, root, "")
	for body, text := range map[string]string{
		`{"interval":"1h","path_prefix":"/x"}`:                                                 "storage_type is required",
		`{"storage_type":"aws-s3","interval":"1h","path_prefix":"x/"}`:                         "not in this release",
		`{"storage_type":"local","path_prefix":"/x"}`:                                          "interval is required",
		`{"storage_type":"local","interval":"1h","path_prefix":"x"}`:                           "absolute",
		`{"storage_type":"local","interval":"1h","path_prefix":"/x","retain":0}`:               "retain",
		`{"storage_type":"local","interval":"1h","path_prefix":"/x","file_prefix":"../y"}`:     "file_prefix",
		`{"storage_type":"local","interval":"1h","path_prefix":"/x","local_max_space":-1}`:     "local_max_space",
		`{"storage_type":"local","interval":"1h","path_prefix":"/x","file_prefix":"a\u0000b"}`: "file_prefix",
	} {
		p.want(400, text, "POST", config+"/daily", root, body)
	}
	p.want(204, "", "POST", config+"/daily", root, `{"storage_type":"local","interval":"1h","retain":2,"path_prefix":"`+dir+`/","file_prefix":"sr","local_max_space":"10000000"}`)
	p.want(200, `"daily"`, "LIST", config, root, "")
	// Two schedules with the same names would keep one's number of both's files.
	p.want(400, `\"daily\" writes files of the same names`, "POST", config+"/hourly", root, `{"storage_type":"local","interval":"1m","retain":9,"path_prefix":"`+dir+`","file_prefix":"sr"}`)
	p.want(204, "", "POST", config+"/daily", root, `{"interval":"1h"}`)
	p.want(200, `"interval":3600`, "GET", config+"/daily", root, "")
	eventually(t, "the first snapshot", func() bool {
		_, answer := p.call("GET", status+"/daily", root, "")
		if strings.Contains(answer, `"consecutive_errors":1`) {
			t.Fatal(answer)
		}
		return strings.Contains(answer, `"last_snapshot_url":"file://`+dir)
	})
	files, err := filepath.Glob(filepath.Join(dir, "sr-*.snap"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%q %v", files, err)
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	p.restore(204, "", "snapshot", root, data)
	p.want(204, "", "DELETE", config+"/daily", root, "")
	p.want(404, "", "GET", status+"/daily", root, "")

	// A folder that cannot be made is an error to see.
	p.want(204, "", "POST", config+"/bad", root, `{"storage_type":"local","interval":"1h","path_prefix":"`+files[0]+`/below"}`)
	eventually(t, "the failure", func() bool {
		_, answer := p.call("GET", status+"/bad", root, "")
		return strings.Contains(answer, `"consecutive_errors":1`) && strings.Contains(answer, "not a directory")
	})
}

// A snapshot that breaks off after it began breaks the connection, on its way
// through a standby too: nobody takes half of it for the whole.
func TestSnapshotBreaksOff(t *testing.T) {
	peers, _, root := three(t)
	for i := range 16 {
		eventually(t, "a large write", func() bool { // on a busy machine leadership may move
			code, _ := peers[0].call("POST", fmt.Sprintf("secret/data/big%d", i), root, `{"data":{"v":"`+noise(700<<10)+`"}}`)
			return code == 200
		})
	}
	var leader *peer
	eventually(t, "an active node", func() bool { leader = active(peers); return leader != nil })
	for _, p := range peers {
		if p == leader {
			continue
		}
		req, _ := http.NewRequest("GET", p.api.URL+"/v1/sys/storage/raft/snapshot", nil)
		req.Header.Set("X-Vault-Token", root)
		resp, err := http.DefaultClient.Do(req)
		if err != nil || resp.StatusCode != 200 {
			t.Fatal(resp, err)
		}
		if _, err := io.CopyN(io.Discard, resp.Body, 10_000); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		leader.stop() // in the middle: the client holds the stream up
		n, err := io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if err == nil {
			t.Fatalf("a snapshot of %d bytes ended without an error though its leader stopped", n)
		}
		t.Log(n, err, time.Since(began))
		return
	}
}

// A rotation and a restore of what was before it: nothing is sealed, and the
// shares are good as ever.
func TestRestoreOverRotation(t *testing.T) {
	peers, shares, root := three(t)
	peers[0].want(200, "", "POST", "secret/data/k", root, `{"data":{"v":"before"}}`)
	data := peers[0].save(root)
	peers[0].want(204, "", "POST", "sys/rotate", root, "")
	peers[0].want(200, "", "POST", "secret/data/k", root, `{"data":{"v":"after"}}`)
	newer := peers[0].save(root)
	for _, c := range []struct {
		data []byte
		want string
	}{{data, "before"}, {newer, "after"}, {data, "before"}} {
		peers[1].restore(204, "", "snapshot", root, c.data)
		for _, p := range peers {
			p.want(200, c.want, "GET", "secret/data/k", root, "")
			p.want(200, `"sealed":false`, "GET", "sys/seal-status", "", "")
		}
	}
	for _, p := range peers {
		p.stop()
	}
	for _, p := range peers {
		p.start()
	}
	peers[2].unseal(shares)
	peers[2].want(200, "before", "GET", "secret/data/k", root, "")
	peers[2].want(200, "", "POST", "secret/data/k", root, `{"data":{"v":"at last"}}`)
}

// Vault's own client library, at every node; a client that wants no forwarding
// is sent to the active node.
func TestSnapshotStockClient(t *testing.T) {
	peers, _, root := three(t)
	leader := active(peers)
	leader.want(200, "", "POST", "secret/data/k", root, `{"data":{"v":"`+noise(900<<10)+`"}}`)
	leader.want(200, "", "POST", "secret/data/k2", root, `{"data":{"v":"`+noise(900<<10)+`"}}`)
	for _, p := range peers {
		client, err := api.NewClient(&api.Config{Address: p.api.URL})
		if err != nil {
			t.Fatal(err)
		}
		client.SetToken(root)
		var b bytes.Buffer
		if err := client.Sys().RaftSnapshot(&b); err != nil {
			t.Fatal(err)
		}
		p.want(200, "", "POST", "secret/data/new", root, `{"data":{"v":1}}`)
		if err := client.Sys().RaftSnapshotRestore(&b, false); err != nil {
			t.Fatal(err)
		}
		p.want(404, "", "GET", "secret/data/new", root, "")
		if err := client.Sys().RaftSnapshotRestore(strings.NewReader("hello"), true); err == nil || !strings.Contains(err.Error(), "nothing was changed") {
			t.Errorf("restore of a text: %v", err)
		}
		if p == leader {
			continue
		}
		req, _ := http.NewRequest("GET", p.api.URL+"/v1/sys/storage/raft/snapshot", nil)
		req.Header.Set("X-Vault-Token", root)
		req.Header.Set("X-Vault-No-Request-Forwarding", "1")
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if want := leader.api.URL + "/v1/sys/storage/raft/snapshot"; resp.StatusCode != 307 || resp.Header.Get("Location") != want {
			t.Errorf("%d, to %s", resp.StatusCode, resp.Header.Get("Location"))
		}
	}
}
