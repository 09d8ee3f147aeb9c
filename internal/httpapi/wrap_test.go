package httpapi_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// ask sends a request with headers and decodes the answer.
func (p *peer) ask(method, path, token, body string, headers map[string]string) (int, map[string]any) {
	p.t.Helper()
	req, err := http.NewRequest(method, p.api.URL+"/v1/"+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("X-Vault-Token", token)
	for name, value := range headers {
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(b, &out); err != nil {
		p.t.Fatalf("%s %s: %d %s", method, path, resp.StatusCode, b)
	}
	return resp.StatusCode, out
}

// A standby answers reads by itself, but not those whose answer is to be kept.
func TestWrappingOnStandbys(t *testing.T) {
	peers, _, root := three(t)
	peers[0].want(200, "", "POST", "secret/data/a", root, `{"data":{"v":"s3cret"}}`)
	code, got := peers[1].ask("GET", "secret/data/a", root, "", map[string]string{"X-Vault-Wrap-TTL": "2m"})
	info, _ := got["wrap_info"].(map[string]any)
	if code != 200 || info == nil || got["data"] != nil || got["auth"] != nil {
		t.Fatalf("a wrapped read on a standby: %d %v", code, got)
	}
	if _, err := time.Parse(time.RFC3339Nano, info["creation_time"].(string)); err != nil || info["ttl"] != 120.0 || info["creation_path"] != "secret/data/a" || info["accessor"] == "" {
		t.Errorf("wrap_info: %v", info)
	}
	if _, has := info["wrapped_accessor"]; has {
		t.Errorf("wrap_info of an answer without a token: %v", info)
	}
	token := info["token"].(string)
	peers[2].want(200, `"creation_path":"secret/data/a"`, "POST", "sys/wrapping/lookup", "", `{"token":"`+token+`"}`)
	peers[2].want(200, `"v":"s3cret"`, "PUT", "sys/wrapping/unwrap", token, "")
	peers[1].want(400, "wrapping token is not valid or does not exist", "PUT", "sys/wrapping/unwrap", token, "")
	for value, text := range map[string]string{"-5": "negative", "1ms": "at least a second", "soon": "a duration"} {
		code, got := peers[0].ask("GET", "secret/data/a", root, "", map[string]string{"X-Vault-Wrap-TTL": value})
		if code != 400 || !strings.Contains(got["errors"].([]any)[0].(string), text) {
			t.Errorf("X-Vault-Wrap-TTL %s: %d %v", value, code, got)
		}
	}
	if code, got := peers[0].ask("GET", "secret/data/a", root, "", map[string]string{"X-Vault-Wrap-TTL": "0", "X-Vault-Wrap-Format": "jwt"}); code != 200 || got["wrap_info"] != nil {
		t.Errorf("X-Vault-Wrap-TTL 0: %d %v", code, got)
	}
	if code, got := peers[0].ask("GET", "secret/data/a", root, "", map[string]string{"X-Vault-Wrap-TTL": "60", "X-Vault-Wrap-Format": "jwt"}); code != 400 {
		t.Errorf("a JWT: %d %v", code, got)
	}
}
