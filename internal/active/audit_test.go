package active_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"strongroom/engine"
	"strongroom/engine/kv"
	"strongroom/internal/active"
	"strongroom/internal/audit"
	"strongroom/internal/gateway"
	"strongroom/internal/mount"
	"strongroom/internal/storage"
)

// collector is an HTTP audit device that keeps what it takes, and takes what it
// is told to.
type collector struct {
	*httptest.Server
	mu      sync.Mutex
	refuses func(record string) bool // nil: nothing
	kept    []string
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var lines []string
	for s := bufio.NewScanner(r.Body); s.Scan(); {
		if lines = append(lines, s.Text()); c.refuses != nil && c.refuses(s.Text()) {
			w.WriteHeader(http.StatusInsufficientStorage)
			return
		}
	}
	c.kept = append(c.kept, lines...)
}

func (c *collector) refuse(how func(string) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refuses = how
}

// take returns what was recorded since the last call.
func (c *collector) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	kept := c.kept
	c.kept = nil
	return kept
}

// audited is start with an audit log, which declares one device, the collector.
func audited(t *testing.T) (*server, *collector, *audit.Log) {
	t.Helper()
	s := start(t)
	c := &collector{}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	log, err := audit.Open([]audit.Spec{{Path: "c", Type: "http", Options: map[string]string{"uri": c.URL}}}, audit.Options{AllowAPI: true, Node: "node-1"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	s.s.Close()
	s.s = openAudited(t, s.store, log, false)
	s.prepare()
	c.take()
	return s, c, log
}

func openAudited(t *testing.T, store storage.Store, log *audit.Log, standby bool) *active.Session {
	t.Helper()
	sess, err := active.Open(t.Context(), active.Config{Store: store, Node: &fakeNode{}, Logger: hclog.NewNullLogger(), Audit: log, Standby: standby,
		Limits: mount.Limits{Default: 768 * time.Hour, Max: 768 * time.Hour},
		Types:  map[string]mount.Type{"kv": {Factory: kv.Factory}, "login": {Auth: true, Factory: func(engine.Env) (engine.Engine, error) { return login{}, nil }}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sess.Close)
	return sess
}

// record is what the tests look at.
type record struct {
	Type  string
	Error string
	Auth  struct {
		DisplayName   string `json:"display_name"`
		PolicyResults struct{ Allowed bool }
	}
	Request struct {
		ID, Operation, Path string
		MountType           string         `json:"mount_type"`
		ClientToken         string         `json:"client_token"`
		RemoteAddress       string         `json:"remote_address"`
		Data                map[string]any `json:"data"`
	}
	Response struct {
		Auth map[string]any
		Data map[string]any
	}
}

func records(t *testing.T, lines []string) (out []record) {
	t.Helper()
	for _, l := range lines {
		var r record
		if err := json.Unmarshal([]byte(l), &r); err != nil {
			t.Fatalf("%v: %s", err, l)
		}
		out = append(out, r)
	}
	return out
}

// said is each record in one line: type, operation, path, and whether it tells of an error.
func said(t *testing.T, lines []string) (out []string) {
	for _, r := range records(t, lines) {
		text := r.Type + " " + r.Request.Operation + " " + r.Request.Path
		if r.Error != "" {
			text += " ERROR"
		}
		out = append(out, text)
	}
	return out
}

func TestEverythingIsRecorded(t *testing.T) {
	s, c, _ := audited(t)
	want := func(lines ...string) {
		t.Helper()
		if got := said(t, c.take()); !slices.Equal(got, lines) {
			t.Errorf("recorded %q\nwant %q", got, lines)
		}
	}
	s.must(s.root, engine.Update, "secret/data/new", `{"data":{"k":"v"}}`)
	want("request create secret/data/new", "response create secret/data/new")
	s.must(s.root, engine.Read, "secret/data/new", "")
	want("request read secret/data/new", "response read secret/data/new")
	s.must(s.root, engine.List, "secret/metadata", "")
	want("request list secret/metadata", "response list secret/metadata")
	tok, _ := s.login(`{"policies":"reader"}`)
	want("request update auth/login/login", "response update auth/login/login")
	for _, refused := range []struct {
		token string
		op    engine.Operation
		path  string
	}{
		{tok, engine.Read, "secret/data/other"}, {tok, engine.Update, "secret/data/app/db"}, {"", engine.Read, "secret/data/app/db"}, {"hvs.x", engine.Read, "secret/data/app/db"},
		{s.root, engine.Read, "nowhere/at/all"}, {s.root, engine.Delete, "sys/capabilities-self"}, {s.root, engine.Delete, "sys/policy/default"},
	} {
		if _, err := s.do(refused.token, refused.op, refused.path, ""); err == nil {
			t.Errorf("%+v is served", refused)
		}
		got := said(t, c.take())
		if len(got) != 2 || !strings.HasPrefix(got[0], "request ") || !strings.HasPrefix(got[1], "response ") || !strings.HasSuffix(got[1], refused.path+" ERROR") {
			t.Errorf("%+v: recorded %q", refused, got)
		}
	}
	if _, err := s.serve(t.Context(), &gateway.Request{ID: "h", Operation: engine.Read, Path: "secret/data/x", Token: s.root, Query: map[string][]string{"help": {"1"}}}); err != nil {
		t.Fatal(err)
	}
	want("request read secret/data/x", "response read secret/data/x")
	if err := s.s.Authorize(t.Context(), &gateway.Request{ID: "s", Operation: engine.Read, Path: "sys/storage/raft/snapshot", Token: s.root}); err != nil {
		t.Fatal(err)
	}
	want("request read sys/storage/raft/snapshot", "response read sys/storage/raft/snapshot")
	acted := 0
	outside := &gateway.Request{ID: "o", Operation: engine.Update, Path: "sys/rekey/update", Body: []byte(`{"key":"a share"}`), Remote: netip.MustParseAddrPort("10.0.0.9:1")}
	if err := s.s.Record(t.Context(), outside, func() (json.RawMessage, error) { acted++; return json.RawMessage(`{"keys":["a share"]}`), nil }); err != nil || acted != 1 {
		t.Fatalf("acted %d times, %v", acted, err)
	}
	lines := c.take()
	if got := records(t, lines); len(got) != 2 || got[1].Response.Data["keys"] == nil || got[0].Request.RemoteAddress != "10.0.0.9" || strings.Contains(strings.Join(lines, ""), "a share") {
		t.Errorf("recorded %q", lines)
	}
}

// The answer to the request that enables the first device is the first record;
// what disables the last one has no record of its answer.
func TestEnableAndDisable(t *testing.T) {
	s := start(t)
	log, err := audit.Open(nil, audit.Options{AllowAPI: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	s.s.Close()
	s.s = openAudited(t, s.store, log, false)
	path := filepath.Join(t.TempDir(), "audit.log")
	s.must(s.root, engine.Update, "sys/audit/file", fmt.Sprintf(`{"type":"file","options":{"file_path":%q}}`, path))
	got := data(t, s.must(s.root, engine.Read, "sys/audit", ""))
	if one, ok := got["file/"].(map[string]any); !ok || one["type"] != "file" || one["options"].(map[string]any)["file_path"] != path {
		t.Errorf("sys/audit: %v", got)
	}
	hash := data(t, s.must(s.root, engine.Update, "sys/audit-hash/file", `{"input":"x"}`))["hash"].(string)
	s.must(s.root, engine.Delete, "sys/audit/file", "")
	s.must(s.root, engine.Read, "sys/audit", "")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"response update sys/audit/file", "request read sys/audit", "response read sys/audit", "request update sys/audit-hash/file", "response update sys/audit-hash/file", "request delete sys/audit/file"}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if got := said(t, lines); !slices.Equal(got, want) {
		t.Errorf("recorded %q", got)
	}
	if got := records(t, lines)[3].Request.Data["input"]; got != hash {
		t.Errorf("the hash of the log is %v, that of sys/audit-hash %v", got, hash)
	}
	s.fails(engine.Invalid, "the audit device cannot be enabled", s.root, engine.Update, "sys/audit/x", `{"type":"file","options":{"file_path":"/etc/x"}}`)
	s.fails(engine.Invalid, "unknown audit backend", s.root, engine.Update, "sys/audit-hash/file", `{"input":"x"}`)
	reader := s.must(s.root, engine.Update, "auth/token/create", `{"policies":["default"]}`).Auth.ClientToken
	for _, path := range []string{"sys/audit", "sys/internal/audit/search", "sys/config/auditing/request-headers"} {
		s.fails(engine.Denied, "permission denied", reader, engine.Read, path, "")
	}
}

// With no device able to record, nothing happens and nothing is answered.
func TestUnrecordedIsNotServed(t *testing.T) {
	s, c, _ := audited(t)
	twice := s.must(s.root, engine.Update, "auth/token/create", `{"policies":["root"],"num_uses":2}`).Auth.ClientToken
	c.refuse(func(string) bool { return true })
	before := dump(t, s.store)
	for _, try := range []struct {
		token string
		op    engine.Operation
		path  string
		body  string
	}{
		{s.root, engine.Read, "secret/data/app/db", ""}, {s.root, engine.List, "secret/metadata/app", ""}, {s.root, engine.Update, "secret/data/app/db", `{"data":{"k":"w"}}`},
		{"", engine.Update, "auth/login/login", `{"policies":"reader"}`}, {twice, engine.Read, "secret/data/app/db", ""}, {"nobody", engine.Read, "secret/data/app/db", ""},
		{s.root, engine.Update, "sys/seal", ""}, {s.root, engine.Update, "auth/token/create", "{}"},
	} {
		s.fails(engine.Internal, "no audit device could record the request", try.token, try.op, try.path, try.body)
	}
	err := s.s.Record(t.Context(), &gateway.Request{Path: "sys/rekey/init", Operation: engine.Update}, func() (json.RawMessage, error) {
		t.Error("it acts unrecorded")
		return nil, nil
	})
	if err == nil {
		t.Error("an unrecorded ceremony is no error")
	}
	if err := s.s.Authorize(t.Context(), &gateway.Request{Operation: engine.Read, Path: "sys/storage/raft/snapshot", Token: s.root}); err == nil {
		t.Error("an unrecorded snapshot is no error")
	}
	if after := dump(t, s.store); after != before {
		t.Errorf("something was written:\n%s\nbefore:\n%s", after, before)
	}
	// Requests are recorded, answers are not: what was done stays, and is not told.
	c.refuse(func(line string) bool { return strings.Contains(line, `"type":"response"`) })
	s.fails(engine.Internal, "no audit device could record the answer, so it is withheld", s.root, engine.Update, "secret/data/app/db", `{"data":{"k":"w"}}`)
	s.fails(engine.Internal, "no audit device could record the request", s.root, engine.Read, "secret/data/app/db", "")
	s.fails(engine.Internal, "so it is withheld", "", engine.Update, "auth/login/login", `{"policies":"reader"}`)
	s.fails(engine.Internal, "so it is withheld", s.root, engine.Delete, "sys/policy/default", "") // its error too
	c.refuse(nil)
	if got := data(t, s.must(s.root, engine.Read, "secret/data/app/db", "")); got["data"].(map[string]any)["k"] != "w" {
		t.Errorf("the write reads back as %v", got)
	}
	s.must(twice, engine.Read, "secret/data/app/db", "") // it was not spent on what was refused
	s.must(twice, engine.Read, "secret/data/app/db", "")
	s.fails(engine.Denied, "invalid token", twice, engine.Read, "secret/data/app/db", "")
}

// dump is all keys with their versions.
func dump(t *testing.T, store storage.Store) string {
	t.Helper()
	var b strings.Builder
	for k, err := range store.Keys(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		v, err := store.Version(t.Context(), k)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&b, k, v)
	}
	return b.String()
}

// A standby records what it serves on its own devices; what it cannot record,
// or does not serve, the active node does.
func TestStandbyRecords(t *testing.T) {
	s, c, log := audited(t)
	tok, _ := s.login(`{"policies":"reader"}`)
	c.take()
	active := s.s
	s.s = openAudited(t, s.store, log, true)
	s.must(tok, engine.Read, "secret/data/app/db", "")
	if got := said(t, c.take()); !slices.Equal(got, []string{"request read secret/data/app/db", "response read secret/data/app/db"}) {
		t.Errorf("recorded %q", got)
	}
	s.fails(engine.Denied, "permission denied", tok, engine.Read, "secret/data/other", "")
	if got := said(t, c.take()); len(got) != 2 || !strings.HasSuffix(got[1], "ERROR") {
		t.Errorf("recorded %q", got)
	}
	for _, path := range []string{"secret/data/app/db", "sys/seal"} {
		if _, err := s.do(s.root, engine.Update, path, "{}"); !errors.Is(err, storage.ErrNotLeader) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if got := c.take(); len(got) != 0 {
		t.Errorf("recorded what the active node serves: %q", got)
	}
	c.refuse(func(string) bool { return true })
	if _, err := s.do(tok, engine.Read, "secret/data/app/db", ""); !errors.Is(err, storage.ErrNotLeader) {
		t.Errorf("a read that cannot be recorded here: %v", err)
	}
	if err := s.s.Record(t.Context(), &gateway.Request{Path: "sys/seal", Operation: engine.Update}, func() (json.RawMessage, error) { return nil, nil }); engine.KindOf(err) != engine.Internal || errors.Is(err, storage.ErrNotLeader) {
		t.Errorf("what only this node can do: %v", err)
	}
	s.s = active
}

// Requests that run again because others wrote first are recorded once.
func TestConflictsAreRecordedOnce(t *testing.T) {
	s, c, _ := audited(t)
	var done sync.WaitGroup
	const writers, writes = 8, 25
	for range writers {
		done.Go(func() {
			for range writes {
				if _, err := s.do(s.root, engine.Update, "secret/data/same", `{"data":{"k":"v"}}`); err != nil {
					t.Error(err)
				}
			}
		})
	}
	done.Wait()
	if got := c.take(); len(got) != 2*writers*writes {
		t.Errorf("%d records of %d requests", len(got), writers*writes)
	}
}

// What a mount's tuning says is in plain, and headers that are asked for.
func TestPlainKeysAndHeaders(t *testing.T) {
	s, c, _ := audited(t)
	s.must(s.root, engine.Update, "sys/mounts/secret/tune", `{"audit_non_hmac_request_keys":["user"],"audit_non_hmac_response_keys":["user","created_time"]}`)
	s.must(s.root, engine.Update, "sys/config/auditing/request-headers/X-Trace", `{}`)
	s.must(s.root, engine.Update, "sys/config/auditing/request-headers/X-Secret", `{"hmac":true}`)
	s.must(s.root, engine.Delete, "sys/config/auditing/request-headers/user-agent", "")
	s.fails(engine.Invalid, "hmac=true only", s.root, engine.Update, "sys/config/auditing/request-headers/x-vault-token", `{}`)
	s.fails(engine.Invalid, "Could not find header", s.root, engine.Read, "sys/config/auditing/request-headers/user-agent", "")
	if got := data(t, s.must(s.root, engine.Read, "sys/config/auditing/request-headers", ""))["headers"].(map[string]any); len(got) != 4 || got["x-secret"].(map[string]any)["hmac"] != true {
		t.Errorf("headers: %v", got)
	}
	c.take()
	header := http.Header{"X-Trace": {"trace-1"}, "X-Secret": {"hidden"}, "User-Agent": {"agent-1"}, "X-Vault-Token": {s.root}}
	for op, body := range map[engine.Operation]string{engine.Update: `{"data":{"user":"in-plain","password":"hidden"}}`, engine.Read: ""} {
		s.must(s.root, engine.Update, "secret/data/u", `{"data":{"user":"in-plain","password":"hidden"}}`)
		c.take()
		if _, err := s.serve(t.Context(), &gateway.Request{ID: "i", Operation: op, Path: "secret/data/u", Token: s.root, Header: header, Body: []byte(body)}); err != nil {
			t.Fatal(err)
		}
		all := strings.Join(c.take(), "\n")
		plain := map[engine.Operation]int{engine.Update: 2, engine.Read: 1}[op] // in both records of a write
		if strings.Count(all, `"user":"in-plain"`) != plain || strings.Contains(all, "hidden") || strings.Contains(all, "agent-1") || strings.Contains(all, s.root) ||
			strings.Count(all, `"x-trace":["trace-1"]`) != 2 || strings.Count(all, `"created_time":"2`) != 1 {
			t.Errorf("%s: recorded %s", op, all)
		}
	}
}

// Random requests with markers in all their values, tokens and answers: no
// marker and no token is in any record. (Names are not hashed: sys/capabilities
// answers with the paths it was asked about as names.)
func TestLessonNoSecretInTheAuditLog(t *testing.T) {
	s, c, _ := audited(t)
	r := rand.New(rand.NewPCG(3, 4))
	var value func(deep int) any
	value = func(deep int) any {
		switch n := r.IntN(5); {
		case n == 0 && deep > 0:
			return map[string]any{"a": value(deep - 1), "b": value(deep - 1)}
		case n == 1 && deep > 0:
			return []any{value(deep - 1), value(deep - 1)}
		}
		return fmt.Sprintf("MARKER-%d", r.Uint32())
	}
	tokens := []string{s.root, "hvs.MARKER-no-token"}
	paths := []string{"secret/data/a", "secret/data/b", "secret/metadata/a", "secret/config", "secret/delete/a", "sys/policy/p", "sys/policies/acl/q", "sys/mounts/m", "sys/auth/m",
		"sys/tools/hash", "sys/audit/x", "sys/audit-hash/c", "auth/token/lookup", "auth/token/revoke", "auth/token/renew", "auth/login/login", "sys/config/auditing/request-headers/x", "nowhere/x"}
	fields := []string{"data", "options", "policy", "token", "path", "paths", "type", "input", "config", "cas", "versions", "ttl", "custom_metadata", "max_versions", "accessor", "increment", "hmac"}
	for range 1500 {
		body := map[string]any{}
		for range r.IntN(5) {
			body[fields[r.IntN(len(fields))]] = value(3)
		}
		text, _ := json.Marshal(body)
		op := []engine.Operation{engine.Update, engine.Update, engine.Read, engine.List, engine.Delete, engine.Patch}[r.IntN(6)]
		resp, err := s.serve(t.Context(), &gateway.Request{ID: "id", Operation: op, Path: paths[r.IntN(len(paths))], Token: tokens[r.IntN(len(tokens))], Body: text,
			Query: map[string][]string{fields[r.IntN(len(fields))]: {fmt.Sprint(value(0))}}, Header: http.Header{"X-Vault-Token": {s.root}, "Authorization": {"Bearer " + s.root}, "User-Agent": {"test"}}})
		if err == nil && resp.Auth != nil {
			tokens = append(tokens, resp.Auth.ClientToken)
		}
		if made, err := s.do(s.root, engine.Update, "auth/token/create", `{"ttl":"1h"}`); err != nil {
			t.Fatal(err)
		} else if r.IntN(50) == 0 {
			tokens = append(tokens, made.Auth.ClientToken, made.Auth.Token.Accessor)
		}
		for _, line := range c.take() {
			for _, secret := range append(tokens[:len(tokens):len(tokens)], "MARKER") {
				if strings.Contains(line, secret) {
					t.Fatalf("%q is in %s", secret, line)
				}
			}
		}
	}
}

// The search for the UI: what a file device of this node holds, and a record of
// the search that does not hold it again.
func TestAuditSearch(t *testing.T) {
	s, c, _ := audited(t)
	s.must(s.root, engine.Update, "sys/audit/file", fmt.Sprintf(`{"type":"file","options":{"file_path":%q}}`, filepath.Join(t.TempDir(), "audit.log")))
	for range 3 {
		s.must(s.root, engine.Read, "secret/data/app/db", "")
	}
	s.fails(engine.Denied, "", "", engine.Read, "secret/data/app/db", "")
	c.take()
	found := func(query map[string][]string) map[string]any {
		t.Helper()
		resp, err := s.serve(t.Context(), &gateway.Request{ID: "search", Operation: engine.Read, Path: "sys/internal/audit/search", Token: s.root, Query: query})
		if err != nil {
			t.Fatal(err)
		}
		return data(t, resp)
	}
	got := found(map[string][]string{"path_prefix": {"secret/"}, "type": {"response"}, "limit": {"2"}})
	if len(got["records"].([]any)) != 2 || got["next"] == "" || got["node_id"] != "node-1" || got["device"] != "file/" {
		t.Errorf("found %v", got)
	}
	got = found(map[string][]string{"path_prefix": {"secret/"}, "type": {"response"}, "cursor": {got["next"].(string)}})
	if len(got["records"].([]any)) != 2 || got["next"] != "" {
		t.Errorf("then %v", got)
	}
	if got := found(map[string][]string{"errors_only": {"true"}, "type": {"request"}, "from": {"1"}, "to": {"2100-01-01T00:00:00Z"}}); len(got["records"].([]any)) != 1 {
		t.Errorf("errors: %v", got)
	}
	for _, r := range records(t, c.take()) {
		if r.Type == "response" && r.Request.Path == "sys/internal/audit/search" {
			if _, isNumber := r.Response.Data["records"].(float64); !isNumber {
				t.Errorf("the search's own record holds %v", r.Response.Data)
			}
		}
	}
	for _, bad := range []string{"from", "limit", "cursor", "device"} {
		_, err := s.serve(t.Context(), &gateway.Request{Operation: engine.Read, Path: "sys/internal/audit/search", Token: s.root, Query: map[string][]string{bad: {"-?-"}}})
		if engine.KindOf(err) != engine.Invalid {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
