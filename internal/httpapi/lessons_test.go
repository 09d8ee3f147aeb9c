package httpapi_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"strongroom/engine/kv"
	"strongroom/internal/httpapi"
	"strongroom/internal/mount"
	"strongroom/internal/node"
)

// lone is an open server of one node in memory, asked without a network.
type lone struct {
	t       testing.TB
	handler http.Handler
	root    string
	share   string // the only one
}

func alone(t testing.TB, config httpapi.Config, logger hclog.Logger) *lone {
	t.Helper()
	config.MaxDuration = 10 * time.Second
	if config.MaxBody == 0 {
		config.MaxBody = 4 << 20
	}
	n := node.New(node.Config{NodeID: "lone", StorageType: "inmem", Types: map[string]mount.Type{"kv": {Factory: kv.Factory}},
		Limits: mount.Limits{Default: time.Hour, Max: time.Hour}, Logger: logger})
	h := httpapi.New(n, config, logger)
	if err := n.Start(h.Forwarded()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	res, err := n.Init(t.Context(), node.InitRequest{Shares: 1, Threshold: 1})
	if err != nil {
		t.Fatal(err)
	}
	s := &lone{t: t, handler: h, root: string(res.RootToken), share: hex.EncodeToString(res.Shares[0])}
	if err := n.Unseal(t.Context(), res.Shares[0], false); err != nil {
		t.Fatal(err)
	}
	return s
}

// ask sends one request; its path is taken as it stands, below /v1/.
func (s *lone) ask(method, path, token, body string, header ...string) *httptest.ResponseRecorder {
	s.t.Helper()
	u, err := url.Parse("http://localhost/v1/" + path)
	if err != nil {
		s.t.Fatal(err)
	}
	r := httptest.NewRequest("GET", "/", strings.NewReader(body))
	r.Method, r.URL = method, u
	if token != "" {
		r.Header.Set("X-Vault-Token", token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return w
}

func (s *lone) want(code int, text, method, path, token, body string, header ...string) *httptest.ResponseRecorder {
	s.t.Helper()
	w := s.ask(method, path, token, body, header...)
	described.check(s.t, method, path, w.Code, w.Header(), w.Body.Bytes())
	if w.Code != code || !strings.Contains(w.Body.String(), text) {
		s.t.Errorf("%s %s %.60s: %d %s; want %d with %q", method, path, body, w.Code, w.Body, code, text)
	}
	return w
}

// What the holders of key shares do is neither begun, seen, nor given up by whoever
// has no token; where a listener is opened to them as of old, it is still not given
// up, and a share counts only with the nonce of what it is for.
func TestLessonCeremoniesNeedATokenAndANonce(t *testing.T) {
	s := alone(t, httpapi.Config{}, hclog.NewNullLogger())
	weak := s.token("weak", `path "sys/*" { capabilities = ["create", "read", "update", "delete"] }`)
	for _, path := range []string{"sys/rekey/init", "sys/rekey/update", "sys/rekey/verify", "sys/rekey-recovery-key/init", "sys/generate-root/attempt", "sys/generate-root/update"} {
		for _, method := range []string{"GET", "PUT", "DELETE"} {
			for _, token := range []string{"", "hvs.none", weak} { // weak lacks sudo
				s.want(403, "permission denied", method, path, token, "{}")
			}
		}
	}
	begun := func(path string) (out rekeyReply) {
		t.Helper()
		if err := json.Unmarshal(s.want(200, "nonce", "PUT", path, s.root, `{"secret_shares":1,"secret_threshold":1}`).Body.Bytes(), &out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	st := begun("sys/rekey/init")
	s.want(400, "nonce", "PUT", "sys/rekey/update", s.root, shareBody(s.share, ""))
	s.want(204, "", "DELETE", "sys/rekey/init", s.root, "")
	begun("sys/generate-root/attempt")
	s.want(400, "nonce", "PUT", "sys/generate-root/update", s.root, shareBody(s.share, st.Nonce))

	open := alone(t, httpapi.Config{Public: httpapi.Public{Rekey: true, GenerateRoot: true}}, hclog.NewNullLogger())
	for _, path := range []string{"sys/rekey/init", "sys/generate-root/attempt"} {
		open.want(200, "nonce", "PUT", path, "", `{"secret_shares":1,"secret_threshold":1}`)
		open.want(403, "permission denied", "DELETE", path, "", "")
		open.want(200, `"started":true`, "GET", path, "", "")
		open.want(204, "", "DELETE", path, open.root, "")
	}
	open.want(403, "permission denied", "DELETE", "sys/rekey/verify", "", "")
}

// token is one with a policy of these rules.
func (s *lone) token(name, rules string) string {
	s.t.Helper()
	s.want(204, "", "PUT", "sys/policies/acl/"+name, s.root, fmt.Sprintf(`{"policy":%q}`, rules))
	var out struct {
		Auth struct {
			Token string `json:"client_token"`
		}
	}
	w := s.want(200, "", "POST", "auth/token/create", s.root, fmt.Sprintf(`{"policies":[%q]}`, name))
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
		s.t.Fatal(err)
	}
	return out.Auth.Token
}

// A body is bounded in all that its parsing costs, and before anybody is known.
func TestLessonBodiesAreBounded(t *testing.T) {
	s := alone(t, httpapi.Config{JSON: httpapi.JSONLimits{Entries: 50, Elements: 60}}, hclog.NewNullLogger())
	list := func(n int, each, between, open, end string) string {
		return `{"data":` + open + strings.TrimSuffix(strings.Repeat(each+between, n), between) + end + `}`
	}
	for _, c := range []struct{ name, body string }{
		{"max_json_depth", `{"data":` + strings.Repeat(`[`, 300) + strings.Repeat(`]`, 300) + `}`},
		{"max_json_depth", strings.Repeat(`{"a":`, 100_000)},
		{"max_json_string_value_length", `{"data":{"k":"` + strings.Repeat("x", 1<<20+1) + `"}}`},
		{"max_json_string_value_length", `{"data":{"` + strings.Repeat("k", 1<<20+1) + `":1}}`},
		{"max_json_object_entry_count", list(51, `"k":1`, ",", "{", "}")},
		{"max_json_array_element_count", list(61, `1`, ",", "[", "]")},
		{"max_json_array_element_count", list(61, `1`, ",", `{"a":[0,{}],"b":[`, "]}")},
	} {
		s.want(400, c.name, "POST", "sys/policies/acl/p", s.root, c.body)
	}
	s.want(413, "max_request_size", "POST", "sys/unseal", "", `{"key":"`+strings.Repeat("k", 1<<20)+`"}`)
	s.want(413, "max_request_size", "POST", "secret/data/x", s.root, strings.Repeat(" ", 4<<20+1))
	for _, body := range []string{list(50, `"k":1`, ",", "{", "}"), list(60, `",[{"`, ",", "[", "]"), `{"policy":"\"` + strings.Repeat(`{[,\\\"`, 1000) + `"}`} {
		if w := s.ask("POST", "sys/policies/acl/p", s.root, body); strings.Contains(w.Body.String(), "max_json") {
			t.Errorf("%.40s is refused: %s", body, w.Body)
		}
	}
}

// One path for policy, router and storage: what could be read as another is refused.
func TestLessonPathsHaveOneSpelling(t *testing.T) {
	s := alone(t, httpapi.Config{}, hclog.NewNullLogger())
	s.want(204, "", "POST", "sys/mounts/secret", s.root, `{"type":"kv"}`)
	s.want(204, "", "POST", "secret/deny/a", s.root, `{"k":"kept"}`)
	tok := s.token("some", `path "secret/*" { capabilities = ["read", "list", "update", "create"] }
path "secret/deny/*" { capabilities = ["deny"] }
path "secret/deny" { capabilities = ["deny"] }`)
	for _, path := range []string{"secret/./deny/a", "secret/x/../deny/a", "secret//deny/a", "secret/deny//a", "/secret/deny/a", "secret/%2e/deny/a", "secret/x/%2e%2e/deny/a",
		"secret/%2E%2E/secret/deny/a", "secret/%2fdeny/a", "secret%2f%2fdeny/a", "secret/x/..%2fdeny/a", "secret/deny/a//", "secret/..", "secret/deny/%00a", "secret/deny/a%0a", "secret/%ff"} {
		for _, method := range []string{"GET", "LIST", "PUT", "DELETE"} {
			if w := s.ask(method, path, tok, `{"k":"v"}`); w.Code != 400 || strings.Contains(w.Body.String(), "kept") {
				t.Errorf("%s %s: %d %s", method, path, w.Code, w.Body)
			}
		}
	}
	// An encoded slash is a slash: to the policy as to the engine. Twice encoded, it is a name with "%2f" in it, to both.
	s.want(403, "permission denied", "GET", "secret%2fdeny%2fa", tok, "")
	s.want(403, "permission denied", "GET", "secret/%64eny/a", tok, "")
	s.want(404, "", "GET", "secret/deny%252fa", tok, "")
}

// LIST asks the same rules as every other operation, with and without a slash.
func TestLessonListHonoursDeny(t *testing.T) {
	s := alone(t, httpapi.Config{}, hclog.NewNullLogger())
	s.want(204, "", "POST", "sys/mounts/secret", s.root, `{"type":"kv"}`)
	s.want(204, "", "POST", "secret/deny/a", s.root, `{"k":"v"}`)
	for _, rule := range []string{`secret/deny`, `secret/deny/`, `secret/deny*`, `secret/+/`, `secret/+`} {
		tok := s.token("some", `path "secret/*" { capabilities = ["read", "list"] }
path "`+rule+`" { capabilities = ["deny"] }`)
		for _, path := range []string{"secret/deny", "secret/deny/"} {
			s.want(403, "permission denied", "LIST", path, tok, "")
			s.want(403, "permission denied", "GET", path+"?list=true", tok, "")
			s.want(403, "permission denied", "SCAN", path, tok, "")
		}
	}
}

// lines is a log that is read while it is written.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Neither an answer, an error nor the log repeats what was sent.
func TestLessonBadInputIsNeverEchoed(t *testing.T) {
	var log lines
	s := alone(t, httpapi.Config{}, hclog.New(&hclog.LoggerOptions{Level: hclog.Trace, Output: &log}))
	const hush = "hunter2xyz"
	for _, c := range [][3]string{
		{"PUT", "sys/policies/acl/p", `{"policy":` + hush},
		{"POST", "auth/token/create", `{"ttl":"` + hush + `"}`}, {"POST", "auth/token/create", `{"num_uses":"` + hush + `"}`},
		{"POST", "sys/wrapping/unwrap", `{"token":"` + hush + `"}`}, {"POST", "auth/token/lookup", `{"token":"` + hush + `"}`},
		{"POST", "sys/tools/hash", `{"input":"` + hush + `"}`}, {"PUT", "sys/unseal", `{"key":"` + hush + `"}`}, {"PUT", "sys/unseal", `{"key":["` + hush + `"]}`},
		{"PUT", "sys/rekey/init", `{"secret_shares":"` + hush + `"}`}, {"PUT", "sys/rekey/update", `{"key":"` + hush + `"}`}, {"POST", "secret/data/x", `{"data":"` + hush + `"}`},
		{"POST", "sys/storage/raft/bootstrap/answer", `{"answer":"` + hush + `"}`}, {"PUT", "sys/init", `{"pgp_keys":["` + hush + `"]}`},
		{"POST", "sys/decode-token", `{"encoded_token":"` + hush + `","otp":"` + hush + `"}`},
	} {
		for _, token := range []string{s.root, hush, ""} {
			if w := s.ask(c[0], c[1], token, c[2]); strings.Contains(w.Body.String(), hush) {
				t.Errorf("%s %s %s: %d %s", c[0], c[1], c[2], w.Code, w.Body)
			}
		}
	}
	if strings.Contains(log.String(), hush) || strings.Contains(log.String(), s.root) {
		t.Errorf("the log repeats what was sent:\n%s", log.String())
	}
}

// Nothing that a browser is given is a page: what is kept, and what an error says,
// stays JSON, whatever was asked for.
func TestLessonNoHTMLFromSecretsOrErrors(t *testing.T) {
	s := alone(t, httpapi.Config{}, hclog.NewNullLogger())
	const script = "<script>alert(1)</script>"
	s.want(204, "", "POST", "sys/mounts/secret", s.root, `{"type":"kv"}`)
	s.want(204, "", "POST", "secret/x", s.root, `{"k":"`+script+`"}`)
	for _, path := range []string{"secret/x", "secret/%3Cscript%3E", "none/%3Cscript%3E", "sys/health", "sys/policies/acl/%3Cscript%3E", "auth/token/lookup-self"} {
		w := s.ask("GET", path, s.root, "", "Accept", "text/html")
		if ct := w.Header().Get("Content-Type"); ct != "application/json" || w.Header().Get("X-Content-Type-Options") != "nosniff" || w.Header().Get("Content-Security-Policy") == "" {
			t.Errorf("%s: %v", path, w.Header())
		}
		if w.Code != 200 && strings.Contains(w.Body.String(), "<script") {
			t.Errorf("%s: %s", path, w.Body)
		}
	}
}

// With require_request_header nothing is answered that a browser could be made to ask.
func TestLessonRequestHeader(t *testing.T) {
	s := alone(t, httpapi.Config{RequireHeader: true}, hclog.NewNullLogger())
	s.want(412, "X-Vault-Request", "GET", "auth/token/lookup-self", s.root, "")
	s.want(412, "X-Vault-Request", "GET", "sys/health", "", "")
	s.want(200, "root", "GET", "auth/token/lookup-self", s.root, "", "X-Vault-Request", "true")
}
