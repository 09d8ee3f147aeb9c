package compat

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"

	"strongroom/test/cluster"
)

// ask sends a request as a browser or curl does.
func ask(t *testing.T, method, url string, headers ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

// TestBrowserSettings sets CORS with Vault's client and headers of the UI, and asks every node as a browser does.
func TestBrowserSettings(t *testing.T) {
	c := cluster.NewWith(t, cluster.Options{Nodes: 2, Config: "ui = true\nuser_lockout \"all\" {\n lockout_threshold = 7\n}\n"})
	if err := c.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	leader, err := c.Leader(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	client, err := leader.Client(c.Keys.Root)
	if err != nil {
		t.Fatal(err)
	}
	preflight := func(n *cluster.Node, origin string) *http.Response {
		resp, _ := ask(t, "OPTIONS", n.Addr+"/v1/secret/a", "Origin", origin, "Access-Control-Request-Method", "LIST", "Access-Control-Request-Headers", "x-vault-token")
		return resp
	}
	if got := preflight(leader, "https://app.example.com").Header.Get("Access-Control-Allow-Origin"); got != "" {
		t.Errorf("before it is set, %q is allowed", got)
	}
	sys := client.Sys()
	if err := sys.ConfigureCORS(&api.CORSRequest{AllowedOrigins: []string{"not an origin"}}); err == nil {
		t.Error("a wrong origin was taken")
	}
	if err := sys.ConfigureCORS(&api.CORSRequest{AllowedOrigins: []string{"https://app.example.com"}, AllowedHeaders: []string{"X-Custom"}, Enabled: true}); err != nil {
		t.Fatal(err)
	}
	status, err := sys.CORSStatus()
	if err != nil || !status.Enabled || !slices.Contains(status.AllowedHeaders, "X-Custom") || !slices.Contains(status.AllowedHeaders, "X-Vault-Token") {
		t.Errorf("%+v, %v", status, err)
	}
	if _, err := client.Logical().Write("sys/config/ui/headers/x-frame-options", map[string]any{"values": []string{"SAMEORIGIN"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Logical().Write("sys/config/ui/headers/X-Vault-A", map[string]any{"values": "b"}); err == nil {
		t.Error("a header of the server's own was taken")
	}
	for _, n := range c.Nodes { // each sees what is set once it has applied that far
		until(t, func(ctx context.Context) error {
			if got := preflight(n, "https://app.example.com"); got.StatusCode != http.StatusNoContent {
				return fmt.Errorf("%s answers a preflight with %d", n.Name, got.StatusCode)
			}
			return nil
		})
		allowed := preflight(n, "https://app.example.com").Header
		if allowed.Get("Access-Control-Allow-Origin") != "https://app.example.com" || !strings.Contains(allowed.Get("Access-Control-Allow-Headers"), "X-Custom") ||
			!strings.Contains(allowed.Get("Access-Control-Allow-Methods"), "LIST") || allowed.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: %v", n.Name, allowed)
		}
		if resp := preflight(n, "https://evil.org"); resp.StatusCode != http.StatusForbidden || resp.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s lets another origin in: %d %v", n.Name, resp.StatusCode, resp.Header)
		}
		resp, _ := ask(t, "GET", n.Addr+"/v1/auth/token/lookup-self", "Origin", "https://app.example.com", "X-Vault-Token", c.Keys.Root)
		if resp.StatusCode != 200 || resp.Header.Get("Access-Control-Allow-Origin") != "https://app.example.com" || !slices.Contains(resp.Header.Values("Vary"), "Origin") {
			t.Errorf("%s: %d %v", n.Name, resp.StatusCode, resp.Header)
		}
		until(t, func(context.Context) error {
			if resp, _ := ask(t, "GET", n.Addr+"/ui/"); !slices.Equal(resp.Header.Values("X-Frame-Options"), []string{"SAMEORIGIN"}) {
				return fmt.Errorf("%s serves its UI with %v", n.Name, resp.Header)
			}
			return nil
		})
		until(t, func(context.Context) error { // a standby that has just joined lets the active node answer
			_, body := ask(t, "GET", n.Addr+"/v1/sys/config/state/sanitized", "X-Vault-Token", c.Keys.Root)
			var state struct {
				Data struct {
					Storage struct{ Type string }
					Lockout map[string]map[string]any `json:"user_lockout"`
					APIAddr string                    `json:"api_addr"`
				}
			}
			if err := json.Unmarshal([]byte(body), &state); err != nil || state.Data.APIAddr != n.Addr || state.Data.Storage.Type != "raft" || state.Data.Lockout["all"]["lockout_threshold"] != 7.0 {
				return fmt.Errorf("%s: %s %w", n.Name, body, err)
			}
			return nil
		})
	}
	list, err := client.Logical().List("sys/config/ui/headers")
	if err != nil || list == nil || len(list.Data["keys"].([]any)) != 1 || list.Data["keys"].([]any)[0] != "X-Frame-Options" {
		t.Errorf("%+v, %v", list, err)
	}
	if _, err := client.Logical().Delete("sys/config/ui/headers/X-Frame-Options"); err != nil {
		t.Error(err)
	}
	if read, err := client.Logical().Read("sys/config/ui/headers/X-Frame-Options"); err != nil || read != nil {
		t.Errorf("after it was deleted: %v, %v", read, err)
	}
	if err := sys.DisableCORS(); err != nil {
		t.Fatal(err)
	}
	if status, err = sys.CORSStatus(); err != nil || status.Enabled {
		t.Errorf("%+v, %v", status, err)
	}
}
