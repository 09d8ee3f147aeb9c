package httpapi_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// reply sends one request that must answer 200, and decodes the answer.
func reply[T any](p *peer, method, path, body string) (out T) {
	p.t.Helper()
	if err := json.Unmarshal([]byte(p.want(200, "", method, path, "", body)), &out); err != nil {
		p.t.Fatal(err)
	}
	return out
}

type rekeyReply struct {
	Nonce             string
	Started, Complete bool
	Progress          int
	Required          int
	Keys              []string
	VerificationNonce string `json:"verification_nonce"`
}

func shareBody(share, nonce string) string { return fmt.Sprintf(`{"key":%q,"nonce":%q}`, share, nonce) }

// give hands shares to the peers in turn; all but the last must only count.
func give(peers []*peer, path, nonce string, shares []string) rekeyReply {
	var out rekeyReply
	for i, s := range shares {
		p := peers[i%len(peers)]
		out = reply[rekeyReply](p, "PUT", path, shareBody(s, nonce))
		if i < len(shares)-1 && (out.Complete || out.Progress != i+1) {
			p.t.Fatalf("share %d: %+v", i+1, out)
		}
	}
	return out
}

// Shares go to different nodes; the old ones stop working, and every node starts
// again with the new ones.
func TestRekeyAcrossNodes(t *testing.T) {
	peers, old, root := three(t)
	peers[0].want(200, "", "POST", "secret/data/k", root, `{"data":{"v":1}}`)
	peers[1].want(400, "no rekey in progress", "PUT", "sys/rekey/update", "", shareBody(old[0], "x"))
	peers[1].want(400, "threshold cannot be larger", "PUT", "sys/rekey/init", "", `{"secret_shares":1,"secret_threshold":2}`)
	peers[1].want(400, "without providing PGP keys", "PUT", "sys/rekey/init", "", `{"secret_shares":1,"secret_threshold":1,"backup":true}`)
	peers[1].want(400, "recovery rekeying not supported", "GET", "sys/rekey-recovery-key/init", "", "")
	st := reply[rekeyReply](peers[1], "PUT", "sys/rekey/init", `{"secret_shares":4,"secret_threshold":3}`)
	if !st.Started || st.Required != 3 || st.Nonce == "" {
		t.Fatalf("begun: %+v", st)
	}
	peers[2].want(400, "already in progress", "PUT", "sys/rekey/init", "", `{"secret_shares":4,"secret_threshold":3}`)
	peers[2].want(400, "incorrect nonce", "PUT", "sys/rekey/update", "", shareBody(old[0], "x"))
	peers[2].want(200, `"progress":1`, "PUT", "sys/rekey/update", "", shareBody(old[0], st.Nonce))
	peers[0].want(400, "already been given", "PUT", "sys/rekey/update", "", shareBody(old[0], st.Nonce))
	peers[1].want(200, `"progress":1`, "GET", "sys/rekey/init", "", "")
	peers[1].want(200, `"progress":2`, "PUT", "sys/rekey/update", "", shareBody(old[1], st.Nonce))
	wrong, _ := hex.DecodeString(old[2])
	wrong[0] ^= 1
	peers[1].want(400, "which one cannot be told", "PUT", "sys/rekey/update", "", shareBody(hex.EncodeToString(wrong), st.Nonce))
	res := give(peers, "sys/rekey/update", st.Nonce, old[1:4])
	if !res.Complete || len(res.Keys) != 4 {
		t.Fatalf("complete: %+v", res)
	}
	peers[0].want(200, `"started":false`, "GET", "sys/rekey/init", "", "")
	for _, p := range peers { // they go on serving
		p.want(200, `"v":1`, "GET", "secret/data/k", root, "")
		p.want(200, "", "POST", "secret/data/k2", root, `{"data":{"v":2}}`)
	}
	for _, p := range peers {
		p.stop()
	}
	for _, p := range peers {
		p.start()
	}
	peers[0].want(200, "", "PUT", "sys/unseal", "", `{"key":"`+old[0]+`"}`)
	peers[0].want(200, "", "PUT", "sys/unseal", "", `{"key":"`+old[1]+`"}`)
	peers[0].want(400, "unseal failed", "PUT", "sys/unseal", "", `{"key":"`+old[2]+`"}`)
	for _, p := range peers {
		p.unseal(res.Keys)
		p.want(200, `"v":2`, "GET", "secret/data/k2", root, "")
	}
}

// With verification the present shares stay in force until the new ones are proven.
func TestRekeyVerified(t *testing.T) {
	p := cluster(t, 1)[0]
	old, root := p.initialize()
	p.unseal(old)
	st := reply[rekeyReply](p, "PUT", "sys/rekey/init", `{"secret_shares":5,"secret_threshold":3,"require_verification":true}`)
	res := give([]*peer{p}, "sys/rekey/update", st.Nonce, old[:3])
	if !res.Complete || res.VerificationNonce == "" {
		t.Fatalf("%+v", res)
	}
	p.want(400, "-verify", "PUT", "sys/rekey/update", "", shareBody(old[0], st.Nonce))
	p.want(200, `"started":true`, "GET", "sys/rekey/verify", "", "")
	p.want(204, "", "PUT", "sys/seal", root, "")
	p.unseal(old) // the old ones still work; the rekey ended with the session
	p.want(400, "no rekey verification in progress", "PUT", "sys/rekey/verify", "", shareBody(res.Keys[0], "x"))
	p.want(400, "no rekey in progress", "GET", "sys/rekey/verify", "", "")

	st = reply[rekeyReply](p, "PUT", "sys/rekey/init", `{"secret_shares":5,"secret_threshold":3,"require_verification":true}`)
	res = give([]*peer{p}, "sys/rekey/update", st.Nonce, old[:3])
	nonce := res.VerificationNonce
	p.want(200, `"progress":1`, "PUT", "sys/rekey/verify", "", shareBody(old[0], nonce))
	p.want(200, `"progress":2`, "PUT", "sys/rekey/verify", "", shareBody(old[1], nonce))
	p.want(400, "still in force", "PUT", "sys/rekey/verify", "", shareBody(old[2], nonce))
	p.want(200, `"nonce"`, "DELETE", "sys/rekey/verify", root, "")
	p.want(400, "incorrect nonce", "PUT", "sys/rekey/verify", "", shareBody(res.Keys[0], nonce))
	nonce = reply[rekeyReply](p, "GET", "sys/rekey/verify", "").Nonce
	if done := give([]*peer{p}, "sys/rekey/verify", nonce, res.Keys[:3]); !done.Complete {
		t.Fatalf("%+v", done)
	}
	p.want(204, "", "PUT", "sys/seal", root, "")
	p.unseal(res.Keys)
}

// A failover ends ceremonies, and says so to the shares that come later.
func TestFailoverEndsCeremonies(t *testing.T) {
	peers, shares, root := three(t)
	rekey := reply[rekeyReply](peers[1], "PUT", "sys/rekey/init", `{"secret_shares":1,"secret_threshold":1}`)
	gen := reply[rekeyReply](peers[2], "PUT", "sys/generate-root/attempt", `{}`)
	peers[1].want(200, `"progress":1`, "PUT", "sys/rekey/update", "", shareBody(shares[0], rekey.Nonce))
	peers[2].want(200, `"progress":1`, "PUT", "sys/generate-root/update", "", shareBody(shares[0], gen.Nonce))
	leader := active(peers)
	leader.want(204, "", "PUT", "sys/step-down", root, "")
	eventually(t, "another node to be active", func() bool { a := active(peers); return a != nil && a != leader })
	for _, p := range peers {
		p.want(400, "ended when another node became active", "PUT", "sys/rekey/update", "", shareBody(shares[1], rekey.Nonce))
		p.want(400, "ended when another node became active", "PUT", "sys/generate-root/update", "", shareBody(shares[1], gen.Nonce))
	}
}

func TestGenerateRoot(t *testing.T) {
	peers, shares, root := three(t)
	type status struct {
		rekeyReply
		OTP       string
		OTPLength int    `json:"otp_length"`
		Encoded   string `json:"encoded_root_token"`
	}
	peers[1].want(400, "28", "PUT", "sys/generate-root/attempt", "", `{"otp":"short"}`)
	st := reply[status](peers[1], "PUT", "sys/generate-root/attempt", `{}`)
	if len(st.OTP) != st.OTPLength || !st.Started {
		t.Fatalf("%+v", st)
	}
	peers[0].want(400, "already in progress", "PUT", "sys/generate-root/attempt", "", `{}`)
	peers[0].want(204, "", "DELETE", "sys/generate-root/attempt", root, "")
	peers[0].want(400, "no root generation in progress", "PUT", "sys/generate-root/update", "", shareBody(shares[0], st.Nonce))
	st = reply[status](peers[1], "PUT", "sys/generate-root/attempt", `{}`)
	otp := st.OTP
	for i, s := range shares[2:5] {
		st = reply[status](peers[i], "PUT", "sys/generate-root/update", shareBody(s, st.Nonce))
	}
	if !st.Complete || st.OTP != "" {
		t.Fatalf("%+v", st)
	}
	raw, err := base64.RawStdEncoding.DecodeString(st.Encoded)
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		raw[i] ^= otp[i]
	}
	if !strings.HasPrefix(string(raw), "hvs.") {
		t.Fatalf("not a token: %q", raw)
	}
	const decode = "sys/decode-token"
	body := func(encoded, otp string) string { return fmt.Sprintf(`{"encoded_token":%q,"otp":%q}`, encoded, otp) }
	peers[1].want(200, `"data":{"token":"`+string(raw)+`"}`, "PUT", decode, "", body(st.Encoded, otp))
	peers[1].want(400, "are needed", "PUT", decode, "", body(st.Encoded, ""))
	peers[1].want(400, "lengths differ", "PUT", decode, "", body(st.Encoded, "short"))
	peers[1].want(400, "not base64", "PUT", decode, "", body("!", otp))
	peers[1].want(405, "", "GET", decode, "", "")
	for _, p := range peers {
		p.want(200, `"policies":["root"]`, "GET", "auth/token/lookup-self", string(raw), "")
	}
}

func TestRotate(t *testing.T) {
	peers, shares, root := three(t)
	peers[0].want(200, "", "POST", "secret/data/k", root, `{"data":{"v":1}}`)
	peers[1].want(403, "permission denied", "PUT", "sys/rotate", "", "")
	peers[1].want(204, "", "PUT", "sys/rotate", root, "")
	peers[2].want(204, "", "POST", "sys/rotate/keyring", root, "")
	peers[0].want(200, "", "POST", "secret/data/k2", root, `{"data":{"v":2}}`)
	for _, p := range peers {
		p.want(200, `"term":3`, "GET", "sys/key-status", root, "")
		p.want(200, `"encryptions":`, "GET", "sys/key-status", root, "")
		p.want(200, `"v":1`, "GET", "secret/data/k", root, "")
		p.want(200, `"v":2`, "GET", "secret/data/k2", root, "")
	}
	peers[1].want(400, "24h", "POST", "sys/rotate/config", root, `{"interval":"1h"}`)
	peers[1].want(400, "max_operations", "POST", "sys/rotate/config", root, `{"max_operations":5}`)
	peers[1].want(204, "", "POST", "sys/rotate/config", root, `{"interval":"48h","max_operations":2000000}`)
	peers[0].want(200, `"enabled":true,"interval":172800,"max_operations":2000000`, "GET", "sys/rotate/config", root, "")
	peers[2].stop()
	peers[0].want(204, "", "PUT", "sys/rotate", root, "")
	peers[2].start()
	peers[2].unseal(shares)
	peers[2].want(200, `"v":2`, "GET", "secret/data/k2", root, "")
	peers[2].want(404, "no backed-up keys", "GET", "sys/rekey/backup", root, "")
}
