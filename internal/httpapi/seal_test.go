package httpapi_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"

	"strongroom/internal/declare"
	"strongroom/internal/node"
	"strongroom/internal/seal"
	"strongroom/internal/secret"
)

// static is a seal "static" of one key.
func static(t *testing.T, id string, previous *seal.StaticKey) (*seal.Static, *seal.StaticKey) {
	t.Helper()
	key := seal.StaticKey{ID: id, Key: secret.NewKey()}
	s, err := seal.NewStatic(key, previous)
	if err != nil {
		t.Fatal(err)
	}
	return s, &key
}

// outage is a seal that cannot be reached while down.
type outage struct {
	*seal.Static
	down  atomic.Bool
	tried atomic.Int64
}

func (o *outage) Unwrap(ctx context.Context, wrapped []byte) ([]byte, error) {
	o.tried.Add(1)
	if o.down.Load() {
		return nil, errors.New("unreachable")
	}
	return o.Static.Unwrap(ctx, wrapped)
}

// watched is a seal that remembers what it last said of what it has sealed.
type watched struct {
	*seal.Static
	stale atomic.Pointer[bool]
}

func (w *watched) Stale(ctx context.Context, wrapped []byte) (bool, error) {
	stale, err := w.Static.Stale(ctx, wrapped)
	w.stale.Store(&stale)
	return stale, err
}

func use(current, old seal.Auto) func(*node.Config) {
	return func(c *node.Config) { c.Seal, c.OldSeal = current, old }
}

// TestNobodyInitializesWhatDoesItself: whoever reaches a node before its cluster has founded itself must
// not come by the root token and the recovery key of one.
func TestNobodyInitializesWhatDoesItself(t *testing.T) {
	s, _ := static(t, "1", nil)
	plan := new(declare.Plan)
	if err := plan.Add(declare.Request{Stanza: "base", Name: "kv", Operation: "update", Path: "sys/mounts/secret", Data: map[string]any{"type": "kv"}}); err != nil {
		t.Fatal(err)
	}
	p := cluster(t, 1, func(c *node.Config) { c.Seal, c.Declared = s, plan })[0]
	p.want(400, "initializes itself", "PUT", "sys/init", "", `{"recovery_shares":1,"recovery_threshold":1}`)
	p.want(200, `"initialized":false`, "GET", "sys/init", "", "")
}

// initializeAuto founds an auto-sealed cluster on p; nobody unseals it.
func (p *peer) initializeAuto() (recovery []string, root string) {
	p.t.Helper()
	var out struct {
		Keys     []string `json:"keys"`
		Recovery []string `json:"recovery_keys"`
		Root     string   `json:"root_token"`
	}
	if err := json.Unmarshal([]byte(p.want(200, "recovery_keys_base64", "PUT", "sys/init", "", `{"recovery_shares":5,"recovery_threshold":3}`)), &out); err != nil {
		p.t.Fatal(err)
	}
	if len(out.Keys) != 0 || len(out.Recovery) != 5 {
		p.t.Fatalf("%d unseal keys, %d recovery keys", len(out.Keys), len(out.Recovery))
	}
	return out.Recovery, out.Root
}

// threeAuto is a cluster of three voters that unseal themselves, with KV at secret/.
func threeAuto(t *testing.T, s seal.Auto) (peers []*peer, recovery []string, root string) {
	t.Helper()
	peers = cluster(t, 3, use(s, nil))
	recovery, root = peers[0].initializeAuto()
	peers[0].want(200, `"sealed":false`, "GET", "sys/seal-status", "", "")
	eventually(t, "three voters", func() bool { return voters(peers[0], root) == 3 })
	peers[0].want(204, "", "POST", "sys/mounts/secret", root, `{"type":"kv","options":{"version":"2"}}`)
	peers[0].want(200, "", "POST", "secret/data/k", root, `{"data":{"v":1}}`)
	return peers, recovery, root
}

func (p *peer) unsealed() bool { return p.serve.Load() != nil && !p.node.State().Sealed }

func allUnsealed(t *testing.T, peers []*peer) {
	t.Helper()
	eventually(t, "all nodes to unseal themselves", func() bool {
		for _, p := range peers {
			if !p.unsealed() {
				return false
			}
		}
		return active(peers) != nil
	})
}

// give gives p keys until the answer to the last of them.
func (p *peer) give(keys []string, migrate string, code int, text string) {
	p.t.Helper()
	for i, k := range keys[:3] {
		body := `{"key":"` + k + `"` + migrate + `}`
		if i < 2 {
			p.want(200, `"sealed":true`, "PUT", "sys/unseal", "", body)
		} else {
			p.want(code, text, "PUT", "sys/unseal", "", body)
		}
	}
}

const migrating = `,"migrate":true`

func TestAutoUnseal(t *testing.T) {
	s, _ := static(t, "one", nil)
	away := &outage{Static: s}
	peers := cluster(t, 1, use(away, nil))
	peers[0].want(200, `"recovery_seal":true`, "GET", "sys/seal-status", "", "")
	peers[0].want(400, "parameters secret_shares,secret_threshold not applicable to seal type static", "PUT", "sys/init", "", `{"secret_shares":5,"secret_threshold":3}`)
	peers[0].want(400, "shares must be at least one", "PUT", "sys/init", "", `{}`)

	peers, recovery, root := threeAuto(t, away)
	status := peers[0].want(200, `"type":"static"`, "GET", "sys/seal-status", "", "")
	for _, text := range []string{`"recovery_seal":true`, `"recovery_seal_type":"shamir"`, `"t":3`, `"n":5`, `"migration":false`} {
		if !strings.Contains(status, text) {
			t.Errorf("%s misses %s", status, text)
		}
	}

	// All stop and come back while the seal cannot be reached: sealed, until it can.
	for _, p := range peers {
		p.stop()
	}
	away.down.Store(true)
	for _, p := range peers {
		p.start()
	}
	before := away.tried.Load()
	eventually(t, "every node to have tried twice", func() bool { return away.tried.Load() >= before+6 })
	for _, p := range peers {
		p.want(503, "", "GET", "sys/health", "", "")
	}
	away.down.Store(false)
	allUnsealed(t, peers)
	peers[1].want(200, `"v":1`, "GET", "secret/data/k", root, "")

	// One that has lost its disk comes back by itself.
	peers[2].stop()
	if err := os.RemoveAll(peers[2].config.Dir); err != nil {
		t.Fatal(err)
	}
	peers[2].start()
	eventually(t, "the lost node to be back", func() bool { return peers[2].unsealed() && voters(active(peers), root) == 3 })
	peers[2].want(200, `"v":1`, "GET", "secret/data/k", root, "")

	// Sealed by hand it stays sealed, until the recovery keys or a restart.
	p := peers[2]
	p.want(204, "", "PUT", "sys/seal", root, "")
	tried := away.tried.Load()
	p.want(400, "when not in seal migration mode", "PUT", "sys/unseal", "", `{"key":"`+recovery[0]+`","migrate":true}`)
	wrong, _ := hex.DecodeString(recovery[2])
	wrong[0] ^= 1
	p.give([]string{recovery[0], recovery[1], hex.EncodeToString(wrong)}, "", 400, "unseal failed")
	p.want(200, `"sealed":true`, "GET", "sys/seal-status", "", "")
	if n := away.tried.Load() - tried; n != 1 {
		t.Errorf("the seal was asked %d times for a node that was sealed by hand", n)
	}
	p.give(recovery, "", 200, `"sealed":false`)
	p.want(204, "", "PUT", "sys/seal", root, "")
	p.stop()
	p.start()
	eventually(t, "the restarted node to unseal itself", p.unsealed)
}

// Shares and root token that are encrypted for their holders open, decrypted, what plain ones do.
func TestInitPGP(t *testing.T) {
	entity, err := openpgp.NewEntity("holder", "", "holder@example.com", nil)
	if err != nil {
		t.Fatal(err)
	}
	var public bytes.Buffer
	if err := entity.Serialize(&public); err != nil {
		t.Fatal(err)
	}
	key := base64.StdEncoding.EncodeToString(public.Bytes())
	decrypt := func(text string) string {
		t.Helper()
		box, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		message, err := openpgp.ReadMessage(bytes.NewReader(box), openpgp.EntityList{entity}, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		plain, err := io.ReadAll(message.UnverifiedBody)
		if err != nil {
			t.Fatal(err)
		}
		return string(plain)
	}
	p := cluster(t, 1)[0]
	body := fmt.Sprintf(`{"secret_shares":2,"secret_threshold":2,"pgp_keys":[%[1]q,%[1]q],"root_token_pgp_key":%[1]q}`, key)
	var out struct {
		Keys []string `json:"keys_base64"`
		Root string   `json:"root_token"`
	}
	if err := json.Unmarshal([]byte(p.want(200, "root_token", "PUT", "sys/init", "", body)), &out); err != nil {
		t.Fatal(err)
	}
	for i, k := range out.Keys {
		p.want(200, fmt.Sprintf(`"sealed":%v`, i == 0), "PUT", "sys/unseal", "", `{"key":"`+decrypt(k)+`"}`)
	}
	root := decrypt(out.Root)
	p.want(200, `"id":"`+root, "GET", "auth/token/lookup-self", root, "")
}

// restart brings p back with other seals.
func (p *peer) restart(current, old seal.Auto) {
	p.t.Helper()
	p.stop()
	use(current, old)(&p.config)
	p.start()
}

// Vault's order: each standby with the new configuration and -migrate, then the
// active node steps down and is the last.
func TestMigrateShamirToAuto(t *testing.T) {
	peers, shares, root := three(t)
	peers[0].want(200, "", "POST", "secret/data/k", root, `{"data":{"v":1}}`)
	s, _ := static(t, "one", nil)
	for _, p := range peers[1:] {
		p.restart(s, nil)
		p.want(200, `"migration":true`, "GET", "sys/seal-status", "", "")
		p.want(400, "must be set true", "PUT", "sys/unseal", "", `{"key":"`+shares[0]+`"}`)
		p.give(shares, migrating, 200, `"sealed":false`)
		p.want(200, `"type":"shamir"`, "GET", "sys/seal-status", "", "")
	}
	peers[0].want(204, "", "PUT", "sys/step-down", root, "")
	eventually(t, "the migration", func() bool {
		_, answer := peers[1].call("GET", "sys/seal-status", "", "")
		return strings.Contains(answer, `"type":"static"`) && strings.Contains(answer, `"migration":false`)
	})
	peers[0].want(200, `"v":1`, "GET", "secret/data/k", root, "") // still unsealed
	peers[0].restart(s, nil)
	allUnsealed(t, peers)
	for _, p := range peers {
		p.stop()
	}
	for _, p := range peers {
		p.start()
	}
	allUnsealed(t, peers)
	peers[2].want(200, `"v":1`, "GET", "secret/data/k", root, "")

	// The old shares are the recovery keys now.
	peers[2].want(204, "", "PUT", "sys/seal", root, "")
	peers[2].give(shares, "", 200, `"sealed":false`)

	// And with the new seal, nodes join.
	peers[1].stop()
	if err := os.RemoveAll(peers[1].config.Dir); err != nil {
		t.Fatal(err)
	}
	peers[1].start()
	eventually(t, "the lost node to be back", peers[1].unsealed)
}

func TestMigrateAutoToShamir(t *testing.T) {
	s, _ := static(t, "one", nil)
	peers, recovery, root := threeAuto(t, s)
	for _, p := range peers {
		p.stop()
	}
	for _, p := range peers {
		p.restart(nil, s)
	}
	wrong, _ := hex.DecodeString(recovery[2])
	wrong[0] ^= 1
	peers[0].give([]string{recovery[0], recovery[1], hex.EncodeToString(wrong)}, migrating, 400, "unseal failed")
	peers[0].give(recovery, migrating, 200, `"sealed":false`)
	eventually(t, "the migration", func() bool { return peers[0].node.State().SealType == "shamir" })
	// The others hear of it and need no -migrate any more; the recovery keys are the unseal keys.
	eventually(t, "the others to know", func() bool { return !peers[1].node.State().Migration && !peers[2].node.State().Migration })
	peers[1].unseal(recovery)
	peers[2].restart(nil, nil)
	peers[2].unseal(recovery)
	peers[2].want(200, `"v":1`, "GET", "secret/data/k", root, "")
	eventually(t, "three voters", func() bool { return voters(peers[0], root) == 3 })
}

// Both seals are of one type: which one counts is seen by what opens.
func TestMigrateAutoToAuto(t *testing.T) {
	old, _ := static(t, "one", nil)
	peers := cluster(t, 1, use(old, nil))
	p := peers[0]
	recovery, root := p.initializeAuto()
	current, _ := static(t, "two", nil)

	// Without the old seal it opens nothing, and says so.
	p.restart(current, nil)
	p.give(recovery, "", 400, "unseal failed")

	p.restart(current, old)
	p.give(recovery, migrating, 200, `"sealed":false`)
	eventually(t, "the migration", func() bool { st := p.node.State(); return !st.Migration && st.Active })
	p.restart(current, old) // as it is still configured
	allUnsealed(t, peers)
	p.restart(current, nil)
	allUnsealed(t, peers)
	p.want(204, "", "PUT", "sys/seal", root, "")
	p.give(recovery, "", 200, `"sealed":false`)
}

func TestRotateTheSealsKey(t *testing.T) {
	old, key := static(t, "one", nil)
	peers := cluster(t, 1, use(old, nil))
	p := peers[0]
	_, root := p.initializeAuto()
	rotated, newest := static(t, "two", key)
	alone, err := seal.NewStatic(*newest, nil)
	if err != nil {
		t.Fatal(err)
	}
	both := &watched{Static: rotated}
	eventually(t, "the unseal key under the new key", func() bool {
		both.stale.Store(nil)
		p.restart(both, nil)
		eventually(t, "the active node to look", func() bool { return both.stale.Load() != nil })
		return !*both.stale.Load()
	})
	p.restart(alone, nil)
	allUnsealed(t, peers)
	p.want(200, `"id":"`+root, "GET", "auth/token/lookup-self", root, "")
}
