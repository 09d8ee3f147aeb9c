package httpapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"google.golang.org/protobuf/encoding/protowire"

	"strongroom/internal/gateway"
	"strongroom/internal/metrics"
	"strongroom/internal/node"
)

// told is an event as a client sees it.
type told struct {
	ID, Source, Type, Time string
	Data                   struct {
		Event struct {
			ID       string
			Metadata map[string]string
		}
		EventType  string            `json:"event_type"`
		PluginInfo map[string]string `json:"plugin_info"`
	}
}

// String is what the writer of the event knows of it.
func (e told) String() string {
	m := e.Data.Event.Metadata
	return fmt.Sprintf("%s %s %s", e.Data.EventType, m["path"], m["current_version"])
}

type subscriber struct {
	t *testing.T
	*websocket.Conn
}

// dial subscribes at p; query begins with the type.
func (p *peer) dial(query, token string, client *http.Client) (*websocket.Conn, *http.Response, error) {
	return p.dialAt(gateway.SubscribePath+query, token, client)
}

func (p *peer) dialAt(path, token string, client *http.Client) (*websocket.Conn, *http.Response, error) {
	ctx, cancel := context.WithTimeout(p.t.Context(), 20*time.Second)
	defer cancel()
	return websocket.Dial(ctx, p.api.URL+"/v1/"+path,
		&websocket.DialOptions{HTTPHeader: http.Header{"X-Vault-Token": {token}}, HTTPClient: client})
}

func (p *peer) subscribe(query, token string) *subscriber {
	p.t.Helper()
	return p.subscribeAt(gateway.SubscribePath+query, token)
}

func (p *peer) subscribeAt(path, token string) *subscriber {
	p.t.Helper()
	conn, resp, err := p.dialAt(path, token, nil)
	if err != nil {
		p.t.Fatalf("%s: subscribe to %s: %v %v", p.config.NodeID, path, resp, err)
	}
	p.t.Cleanup(func() { conn.CloseNow() })
	return &subscriber{p.t, conn}
}

// next returns the next event, or why there is none.
func (s *subscriber) next() (e told, err error) {
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	defer cancel()
	kind, b, err := s.Read(ctx)
	if err != nil {
		return e, err
	}
	if kind != websocket.MessageText {
		s.t.Errorf("a message of kind %s, want text", kind)
	}
	return e, json.Unmarshal(b, &e)
}

func (s *subscriber) want(text string) told {
	s.t.Helper()
	e, err := s.next()
	if err != nil || e.String() != text {
		s.t.Fatalf("told %q, %v; want %q", e, err, text)
	}
	return e
}

// wantEnd waits for the end, past what was still under way.
func (s *subscriber) wantEnd(code websocket.StatusCode) {
	s.t.Helper()
	for {
		if _, err := s.next(); err != nil {
			if websocket.CloseStatus(err) != code {
				s.t.Fatalf("ended by %v, want code %d", err, code)
			}
			return
		}
	}
}

// token makes a policy of rules and a token that has it.
func (p *peer) token(root, name, rules string) string {
	p.t.Helper()
	body, err := json.Marshal(map[string]string{"policy": rules})
	if err != nil {
		p.t.Fatal(err)
	}
	p.want(204, "", "PUT", "sys/policies/acl/"+name, root, string(body))
	var out struct {
		Auth struct {
			ClientToken string `json:"client_token"`
		}
	}
	if err := json.Unmarshal([]byte(p.want(200, "", "POST", "auth/token/create", root, `{"policies":["`+name+`"]}`)), &out); err != nil {
		p.t.Fatal(err)
	}
	return out.Auth.ClientToken
}

const subscribing = `
path "sys/events/subscribe/kv*" { capabilities = ["read"] }
path "secret/data/app/*" {
  capabilities          = ["read", "list", "subscribe"]
  subscribe_event_types = ["kv-v2/data-*"]
}`

// TestEvents: every node tells of a change, in both forms, and what it tells can
// be read there at once.
func TestEvents(t *testing.T) {
	peers, _, root := three(t, calm)
	leader, other := standby(t, peers)
	for _, p := range []*peer{leader, other} {
		text, binary := p.subscribe("kv-v2/*?json=true", root), p.subscribe("kv%2A", root)
		none := p.subscribe("kv-v2/*?json=true&filter=data_path+%21%3D+secret/data/a", root)
		leader.want(200, "", "POST", "secret/data/a", root, `{"data":{"n":"`+p.config.NodeID+`"}}`)
		version := map[*peer]string{leader: "1", other: "3"}[p]
		e := text.want("kv-v2/data-write secret/data/a " + version)
		want := map[string]string{"mount_class": "secret", "mount_path": "secret/", "plugin": "kv", "mount_accessor": e.Data.PluginInfo["mount_accessor"]}
		if fmt.Sprint(e.Data.PluginInfo) != fmt.Sprint(want) || !strings.HasPrefix(want["mount_accessor"], "kv_") {
			t.Errorf("plugin_info %v", e.Data.PluginInfo)
		}
		if _, err := time.Parse(time.RFC3339Nano, e.Time); err != nil || e.Source != "vault://"+leader.config.NodeID || e.ID == "" || e.ID != e.Data.Event.ID || e.Type != "*" {
			t.Errorf("%+v, %v", e, err)
		}
		code, _, body := other.send("GET", "secret/data/a", root, nil, "X-Vault-Index", e.Data.Event.Metadata["vault_index"])
		if code != 200 || !strings.Contains(string(body), `"n":"`+p.config.NodeID) {
			t.Errorf("a read by vault_index: %d %s", code, body)
		}
		kind, b, err := binary.Read(t.Context())
		if err != nil || kind != websocket.MessageBinary || fieldOf(t, b, 3) != "kv-v2/data-write" || fieldOf(t, []byte(fieldOf(t, b, 4)), 3) != "secret/" {
			t.Errorf("protobuf: %s %x %v", kind, b, err)
		}
		leader.want(200, "", "POST", "secret/data/b", root, `{"data":{}}`)
		leader.want(204, "", "DELETE", "secret/data/a", root, "")
		leader.want(200, "", "POST", "secret/data/a", root, `{"data":{}}`) // two versions a turn
		if e, err := none.next(); err != nil || e.Data.Event.Metadata["path"] != "secret/data/b" {
			t.Errorf("the filter lets through %s, %v", e, err)
		}
	}
}

// fieldOf is a field of text, or a message, of a protobuf message.
func fieldOf(t *testing.T, b []byte, want protowire.Number) string {
	t.Helper()
	for len(b) > 0 {
		field, kind, n := protowire.ConsumeTag(b)
		if n < 0 || kind != protowire.BytesType {
			break
		}
		value, m := protowire.ConsumeBytes(b[n:])
		if m < 0 {
			break
		}
		if field == want {
			return string(value)
		}
		b = b[n+m:]
	}
	t.Errorf("no field %d", want)
	return ""
}

// TestEventsRefused: who may not subscribe is told so by the status of the
// handshake, in words that clients know, on every node.
func TestEventsRefused(t *testing.T) {
	peers, _, root := three(t, calm)
	leader, other := standby(t, peers)
	may := leader.token(root, "app", subscribing)
	for _, p := range []*peer{leader, other} {
		for _, c := range []struct {
			query, token string
			code         int
			text         string
		}{
			{"kv*", "", 403, "permission denied"},
			{"kv*", "hvs.wrong", 403, "permission denied"},
			{"*", may, 403, "permission denied"}, // its policy is for kv*
			{"kv*?filter=nothing+%3D%3D+x", may, 400, "which events do not have"},
			{"kv*?json=perhaps", may, 400, "json"},
		} {
			conn, resp, err := p.dial(c.query, c.token, nil)
			if err == nil {
				conn.CloseNow()
				t.Errorf("%s: %s was let in", p.config.NodeID, c.query)
				continue
			}
			b := make([]byte, 1000)
			n, _ := resp.Body.Read(b)
			if resp.StatusCode != c.code || !strings.Contains(string(b[:n]), c.text) || !strings.HasPrefix(string(b), `{"errors":[`) {
				t.Errorf("%s: %s: %d %s, want %d %q", p.config.NodeID, c.query, resp.StatusCode, b[:n], c.code, c.text)
			}
		}
		p.want(400, "WebSocket", "GET", "sys/events/subscribe/kv*", may, "")
		p.want(403, "permission denied", "GET", "sys/events/subscribe/*", may, "")
		p.want(200, "Tells of changes", "GET", "sys/events/subscribe/kv*?help=1", may, "")
	}
	resp, err := http.Get(leader.api.URL + "/v1/sys/events/subscribe/kv*") // without a token
	if err != nil || resp.StatusCode != 403 {
		t.Errorf("%v %v", resp, err)
	}
}

// TestEventsPolicies: nothing is told that the caller's policies do not allow at
// the moment of the event, and a token that has ended ends the subscription.
func TestEventsPolicies(t *testing.T) {
	peers, _, root := three(t, calm)
	leader, other := standby(t, peers)
	for i, p := range []*peer{leader, other} {
		name := fmt.Sprint("app", i)
		token := leader.token(root, name, subscribing)
		write := func(path string) { leader.want(200, "", "POST", "secret/data/"+path, root, `{"data":{}}`) }
		s := p.subscribe("kv-v2/*?json=true", token)
		write("hidden/a")
		leader.want(204, "", "POST", "secret/metadata/app/"+name, root, `{"max_versions":3}`) // another type
		write("app/" + name)
		s.want("kv-v2/data-write secret/data/app/" + name + " 1")
		leader.token(root, name, `path "sys/events/subscribe/*" { capabilities = ["read"] }`) // the policy is another now
		write("app/" + name)
		leader.token(root, name, subscribing)
		write("app/" + name)
		s.want("kv-v2/data-write secret/data/app/" + name + " 3")
		last := p.subscribe("kv-v2/*?json=true", token)
		leader.want(204, "", "POST", "auth/token/revoke", root, `{"token":"`+token+`"}`)
		write("app/" + name)
		s.wantEnd(websocket.StatusPolicyViolation)
		if e, err := last.next(); err == nil {
			t.Errorf("an ended token was told of %s", e)
		}
	}
}

// TestEventsFollowed: whoever may read something is told of its changes on every node without a policy that names events, and of nothing else.
func TestEventsFollowed(t *testing.T) {
	peers, _, root := three(t, calm)
	leader, other := standby(t, peers)
	token := leader.token(root, "reader", `path "secret/data/app/*" { capabilities = ["read"] }
path "secret/data/app/wrapped" {
	capabilities     = ["read"]
	min_wrapping_ttl = "1m"
}`)
	for i, p := range []*peer{leader, other} {
		name := fmt.Sprint("app", i)
		write := func(path string) { leader.want(200, "", "POST", "secret/data/"+path, root, `{"data":{}}`) }
		s := p.subscribeAt("sys/events/follow/kv-v2/*?json=true", token)
		write("hidden/a")
		write("app/wrapped")
		leader.want(204, "", "POST", "secret/config", root, `{"max_versions":3}`) // about nothing that is read
		write("app/" + name)
		s.want("kv-v2/data-write secret/data/app/" + name + " 1")
		for _, change := range []string{"delete", "undelete"} {
			leader.want(204, "", "POST", "secret/"+change+"/app/"+name, root, `{"versions":[1]}`)
			s.want("kv-v2/" + change + " secret/" + change + "/app/" + name + " 1")
		}
		leader.want(204, "", "DELETE", "secret/metadata/app/"+name, root, "")
		s.want("kv-v2/metadata-delete secret/metadata/app/" + name + " ")
	}
	leader.want(403, "permission denied", "GET", "sys/events/follow/kv*", "nobody", "")
	leader.want(400, "WebSocket", "GET", "sys/events/follow/kv*", token, "")
	leader.want(403, "permission denied", "GET", "sys/events/subscribe/kv*", token, "")
}

// calm lets nobody stand for election because the machine is busy: that would end
// the subscriptions that the test is about.
func calm(c *node.Config) { c.Raft.Heartbeat = 3 * time.Second }

// narrow keeps the kernel from taking in what nobody reads.
func narrow(_, _ string, c syscall.RawConn) (err error) {
	if failed := c.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096) }); failed != nil {
		return failed
	}
	return err
}

// TestEventsSlow: who takes nothing is cut off, and nobody waits for it.
func TestEventsSlow(t *testing.T) {
	p := cluster(t, 1)[0]
	shares, root := p.initialize()
	p.unseal(shares)
	eventually(t, "an active node", func() bool { return p.node.State().Active })
	p.want(204, "", "POST", "sys/mounts/secret", root, `{"type":"kv","options":{"version":"2"}}`)
	slow, _, err := p.dial("*?json=true", root, &http.Client{Transport: &http.Transport{DialContext: (&net.Dialer{Control: narrow}).DialContext}})
	if err != nil {
		t.Fatal(err)
	}
	defer slow.CloseNow()
	slow.SetReadLimit(-1)
	quick := p.subscribe("kv-v2/data-write?json=true", root)
	const writes = 400 // of events over 10 kB
	path := "secret/data/" + strings.Repeat("/long", 700)[1:]
	var reader sync.WaitGroup
	reader.Go(func() {
		for n := range writes {
			if e, err := quick.next(); err != nil || e.String() != fmt.Sprintf("kv-v2/data-write %s %d", path, n+1) {
				t.Errorf("event %d: %.60s, %v", n, e, err)
				return
			}
		}
	})
	var longest time.Duration
	for range writes {
		begun := time.Now()
		p.want(200, "", "POST", path, root, `{"data":{}}`)
		longest = max(longest, time.Since(begun))
	}
	reader.Wait()
	if longest > 2*time.Second {
		t.Errorf("a write took %s", longest)
	}
	eventually(t, "the slow subscriber is counted as cut off", func() bool {
		cut := 0.0
		p.node.Session().Usage(t.Context(), func(name string, value float64, _ ...metrics.Label) {
			if name == "events.cut_off" {
				cut = value
			}
		})
		return cut == 1
	})
	for n := 0; ; n++ {
		if _, _, err := slow.Read(t.Context()); err != nil {
			if n == writes {
				t.Error("the slow subscriber was told of everything")
			}
			return
		}
	}
}

// history is what writers were answered.
type history struct {
	mu   sync.Mutex
	done []string
}

func (h *history) note(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.done = append(h.done, fmt.Sprintf(format, args...))
}

// scribble makes a random change by p and notes it if it was acknowledged as made.
func (h *history) scribble(t *testing.T, r *rand.Rand, p *peer, root string) {
	key := fmt.Sprint("k", r.IntN(6))
	version := func(body string) string {
		var out struct{ Data struct{ Version int } }
		if err := json.Unmarshal([]byte(body), &out); err != nil {
			t.Error(err)
		}
		return fmt.Sprint(out.Data.Version)
	}
	switch r.IntN(6) {
	case 0: // refused: it is told to nobody
		if code, body := p.call("POST", "secret/data/"+key, root, `{"data":{},"options":{"cas":9999}}`); code != 400 {
			t.Errorf("%d %s", code, body)
		}
	case 1:
		if code, body := p.call("POST", "secret/metadata/m"+key, root, `{"max_versions":5}`); code == 204 {
			h.note("kv-v2/metadata-write secret/metadata/m%s 0", key)
		} else {
			t.Errorf("%d %s", code, body)
		}
	default:
		if code, body := p.call("POST", "secret/data/"+key, root, `{"data":{"a":"b"}}`); code == 200 {
			h.note("kv-v2/data-write secret/data/%s %s", key, version(body))
		} else {
			t.Errorf("%d %s", code, body)
		}
	}
}

// TestEventsAreTheHistory: writers change things at random through all nodes.
// Every subscriber, on whichever node, is told of exactly what was acknowledged,
// in one order, the same for all, in which versions of a secret follow each other.
func TestEventsAreTheHistory(t *testing.T) {
	peers, _, root := three(t, calm)
	standby(t, peers)
	var subs []*subscriber
	for i := range 6 {
		subs = append(subs, peers[i%3].subscribe("kv-v2/*?json=true", root))
	}
	var h history
	var writers sync.WaitGroup
	for w := range 6 {
		writers.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 7))
			for range 50 {
				h.scribble(t, r, peers[r.IntN(3)], root)
			}
		})
	}
	writers.Wait()
	peers[0].want(200, "", "POST", "secret/data/end", root, `{"data":{}}`)
	var first []string
	for i, s := range subs {
		var seen, ids []string
		versions := map[string]int{}
		for {
			e, err := s.next()
			if err != nil {
				t.Fatalf("subscriber %d after %d events: %v", i, len(seen), err)
			}
			if e.Data.Event.Metadata["path"] == "secret/data/end" {
				break
			}
			seen, ids = append(seen, e.String()), append(ids, e.ID)
			if path := e.Data.Event.Metadata["path"]; e.Data.EventType == "kv-v2/data-write" {
				if versions[path]++; e.Data.Event.Metadata["current_version"] != fmt.Sprint(versions[path]) {
					t.Fatalf("subscriber %d: %s, want version %d", i, e, versions[path])
				}
			}
		}
		if i == 0 {
			first = ids
		} else if !slices.Equal(first, ids) {
			t.Errorf("subscriber %d was told in another order", i)
		}
		slices.Sort(seen)
		want := slices.Sorted(slices.Values(h.done))
		if !slices.Equal(seen, want) {
			t.Errorf("subscriber %d was told of %d events, %d were acknowledged", i, len(seen), len(want))
		}
	}
}

// TestEventsFailover: when the active node ends, every subscription ends, so that
// nothing is missed unnoticed, and a new one goes on at the next node.
func TestEventsFailover(t *testing.T) {
	peers, _, root := three(t)
	leader, other := standby(t, peers)
	var subs []*subscriber
	for _, p := range peers {
		if p != leader {
			subs = append(subs, p.subscribe("kv-v2/*?json=true", root))
		}
	}
	leader.want(200, "", "POST", "secret/data/a", root, `{"data":{}}`)
	for _, s := range subs {
		s.want("kv-v2/data-write secret/data/a 1")
	}
	leader.stop()
	for _, s := range subs {
		s.wantEnd(websocket.StatusServiceRestart)
	}
	again := other.subscribe("kv-v2/*?json=true", root) // waits for the next leader
	other.want(200, "", "POST", "secret/data/a", root, `{"data":{}}`)
	again.want("kv-v2/data-write secret/data/a 2")
}

// TestEventsStepDown: the same where the active node lives on.
func TestEventsStepDown(t *testing.T) {
	peers, _, root := three(t)
	leader, other := standby(t, peers)
	here, there := leader.subscribe("*?json=true", root), other.subscribe("*?json=true", root)
	leader.want(204, "", "PUT", "sys/step-down", root, "")
	here.wantEnd(websocket.StatusServiceRestart)
	there.wantEnd(websocket.StatusServiceRestart)
}

// TestEventsSealed: a standby that is sealed lets go of its subscribers.
func TestEventsSealed(t *testing.T) {
	peers, _, root := three(t, calm)
	_, other := standby(t, peers)
	s := other.subscribe("*?json=true", root)
	other.want(204, "", "PUT", "sys/seal", root, "")
	s.wantEnd(websocket.StatusServiceRestart)
	if conn, resp, err := other.dial("*", root, nil); err == nil || resp.StatusCode != 503 {
		t.Errorf("a sealed node: %v %v %v", conn, resp, err)
	}
}
