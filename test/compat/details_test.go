package compat

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

// answer is what a client without a library sees.
type answer struct {
	code   int
	header http.Header
	body   string
	fields map[string]any
}

// ask sends one request as it stands; header alternates names and values.
func (s *server) ask(t *testing.T, method, path, body string, header ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.addr+"/v1/"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	out := answer{code: resp.StatusCode, header: resp.Header, body: string(text), fields: map[string]any{}}
	if len(text) > 0 {
		if err := json.Unmarshal(text, &out.fields); err != nil {
			t.Fatalf("%s %s: %v\n%s", method, path, err, text)
		}
	}
	return out
}

// Status codes and bodies as Vault's API documentation has them
// (https://developer.hashicorp.com/vault/api-docs, …/secret/kv/kv-v2).
func TestDocumentedAnswers(t *testing.T) {
	s := startDev(t)
	const token, patch = "X-Vault-Token", "application/merge-patch+json"
	for _, c := range []struct {
		name, method, path, body string
		code                     int
		has                      []string // parts of the body
		header                   []string
	}{
		{"PUT is POST", "PUT", "secret/data/a", `{"data":{"k":"1"}}`, 200, []string{`"version":1`, `"mount_type":"kv"`}, nil},
		{"POST", "POST", "secret/data/a", `{"data":{"k":"2"}}`, 200, []string{`"version":2`}, nil},
		{"Bearer", "GET", "secret/data/a", "", 200, []string{`"k":"2"`}, []string{token, "", "Authorization", "Bearer root"}},
		{"CAS mismatch", "POST", "secret/data/a", `{"options":{"cas":1},"data":{}}`, 400, []string{"check-and-set parameter did not match the current version"}, nil},
		{"nothing there", "GET", "secret/data/none", "", 404, []string{`{"errors":[]}`}, nil},
		{"nothing to list", "LIST", "secret/metadata/none", "", 404, []string{`{"errors":[]}`}, nil},
		{"nothing to list, by GET", "GET", "secret/metadata/none?list=true", "", 404, []string{`{"errors":[]}`}, nil},
		{"LIST", "LIST", "secret/metadata", "", 200, []string{`"keys":["a"]`}, nil},
		{"LIST by GET", "GET", "secret/metadata?list=true", "", 200, []string{`"keys":["a"]`}, nil},
		{"PATCH of JSON", "PATCH", "secret/data/a", `{"data":{"x":1}}`, 415, []string{`"errors":[`}, []string{"Content-Type", "application/json"}},
		{"PATCH", "PATCH", "secret/data/a", `{"data":{"x":1}}`, 200, []string{`"version":3`}, []string{"Content-Type", patch}},
		{"delete", "DELETE", "secret/data/a", "", 204, nil, nil},
		{"a deleted version", "GET", "secret/data/a", "", 404, []string{`"data":null`, `"deletion_time":"2`, `"version":3`, `"destroyed":false`}, nil},
		{"an older one", "GET", "secret/data/a?version=2", "", 200, []string{`"k":"2"`}, nil},
		{"destroy", "PUT", "secret/destroy/a", `{"versions":[3]}`, 204, nil, nil},
		{"a destroyed version", "GET", "secret/data/a?version=3", "", 404, []string{`"data":null`, `"destroyed":true`}, nil},
		{"unknown parameters are warned of", "POST", "secret/config", `{"max_versions":5,"what":1}`, 200, []string{"Endpoint ignored these unrecognized parameters: [what]"}, nil},
		{"mounts", "GET", "sys/mounts", "", 200, []string{`"secret/":{`}, nil},
		{"no method of HTTP's", "BREW", "secret/data/a", "", 405, []string{`"errors":[`}, nil},
		{"no such help", "GET", "secret/data/a?help=1", "", 200, []string{`"help":`}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := s.ask(t, c.method, c.path, c.body, append([]string{token, "root"}, c.header...)...)
			if got.code != c.code {
				t.Errorf("status %d, want %d: %s", got.code, c.code, got.body)
			}
			for _, part := range c.has {
				if !strings.Contains(got.body, part) {
					t.Errorf("%s lacks %s", got.body, part)
				}
			}
			if got.header.Get("Cache-Control") != "no-store" || len(got.body) > 0 && got.header.Get("Content-Type") != "application/json" {
				t.Errorf("headers %v", got.header)
			}
		})
	}
}

// Where Vault's documentation shows the data beside "data" too, clients read either.
func TestDataAtTheTop(t *testing.T) {
	s := startDev(t)
	for path, fields := range map[string][]string{
		"sys/mounts": {"secret/", "sys/"}, "sys/auth": {"token/"}, "sys/policy": {"policies", "keys"}, "sys/policies/acl": {"keys"}, "sys/policy/default": {"name", "rules"},
		"sys/mounts/secret/tune": {"max_lease_ttl"}, "sys/audit": {}, "sys/key-status": {"term", "install_time"}, "sys/mounts/secret": {"type", "accessor"},
		"sys/auth/token/tune": {"default_lease_ttl"},
	} {
		got := s.ask(t, "GET", path, "", "X-Vault-Token", "root")
		data, _ := got.fields["data"].(map[string]any)
		if got.code != 200 || data == nil {
			t.Errorf("%s: %d %s", path, got.code, got.body)
		}
		for _, f := range fields {
			if got.fields[f] == nil || data[f] == nil {
				t.Errorf("%s: %q is not both in data and beside it: %s", path, f, got.body)
			}
		}
	}
}

// A batch token has no cubbyhole, and is told so.
func TestBatchTokenHasNoCubbyhole(t *testing.T) {
	s := startDev(t)
	made := s.ask(t, "POST", "auth/token/create", `{"type":"batch","policies":["default"]}`, "X-Vault-Token", "root")
	auth, _ := made.fields["auth"].(map[string]any)
	batch, _ := auth["client_token"].(string)
	for _, method := range []string{"POST", "GET", "LIST", "DELETE"} {
		if got := s.ask(t, method, "cubbyhole/x", `{"k":"v"}`, "X-Vault-Token", batch); got.code != 400 || !strings.Contains(got.body, `cubbyhole operations are only supported by \"service\" type tokens`) {
			t.Errorf("%s: %d %s", method, got.code, got.body)
		}
	}
}
