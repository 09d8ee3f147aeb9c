package compat

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"
)

// Status and error texts as clients compare them (https://developer.hashicorp.com/vault/api-docs#http-status-codes).
func TestErrors(t *testing.T) {
	s := startDev(t)
	limited := withPolicy(t, s, `path "secret/data/app" { capabilities = ["read"] }
path "secret/data/deny" { capabilities = ["deny"] }`).Token()
	for _, tc := range []struct {
		name, token, method, path, body string
		status                          int
		errors                          []string // the texts, or what they begin with
	}{
		{"no token", "", "GET", "secret/data/app", "", 403, []string{"permission denied"}},
		{"wrong token", "hvs.wrong", "GET", "secret/data/app", "", 403, []string{"2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"}},
		{"not granted", limited, "GET", "secret/data/other", "", 403, []string{"1 error occurred:\n\t* permission denied\n\n"}},
		{"denied", limited, "GET", "secret/data/deny", "", 403, []string{"1 error occurred:\n\t* permission denied\n\n"}},
		{"only read", limited, "POST", "secret/data/app", `{"data":{}}`, 403, []string{"1 error occurred:\n\t* permission denied\n\n"}},
		{"nothing there", limited, "GET", "secret/data/app", "", 404, []string{}},
		{"nothing to list", "root", "LIST", "secret/metadata/none", "", 404, []string{}},
		{"no such mount", "root", "GET", "none/app", "", 404, []string{`no handler for route "none/app". route entry not found.`}},
		{"no such mount, as anybody", limited, "GET", "none/app", "", 403, []string{"1 error occurred:\n\t* permission denied\n\n"}},
		{"unsupported operation", "root", "DELETE", "sys/policies/acl", "", 405, []string{"unsupported operation"}},
		{"not JSON", "root", "POST", "secret/data/app", `{"data"`, 400, []string{"failed to parse JSON input"}},
		{"data is no object", "root", "POST", "secret/data/app", `{"data":"x"}`, 400, []string{"Field validation failed: error converting input for field \"data\""}},
		{"no data", "root", "POST", "secret/data/app", `{}`, 400, []string{"no data provided"}},
		{"patch of nothing", "root", "PATCH", "secret/data/none", `{"data":{"a":1}}`, 404, []string{}},
		{"old path", "root", "GET", "secret/app", "", 404, nil},
		{"dots in the path", "root", "GET", "secret/data/../config", "", 400, []string{"the path holds an empty"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), tc.method, s.addr+"/v1/"+tc.path, strings.NewReader(tc.body))
			if err != nil {
				t.Fatal(err)
			}
			if tc.token != "" {
				req.Header.Set("X-Vault-Token", tc.token)
			}
			if tc.method == "PATCH" {
				req.Header.Set("Content-Type", "application/merge-patch+json")
			}
			resp, err := http.DefaultTransport.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, _ := io.ReadAll(resp.Body)
			if resp.StatusCode != tc.status || resp.Header.Get("Content-Type") != "application/json" || resp.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("status %d, want %d; headers %v; %s", resp.StatusCode, tc.status, resp.Header, body)
			}
			if tc.errors == nil {
				return
			}
			var answer struct{ Errors []string }
			if err := json.Unmarshal(body, &answer); err != nil || answer.Errors == nil || len(answer.Errors) != len(tc.errors) {
				t.Fatalf("body %s, want errors %q", body, tc.errors)
			}
			for i, want := range tc.errors {
				if !strings.HasPrefix(answer.Errors[i], want) {
					t.Errorf("error %q, want %q", answer.Errors[i], want)
				}
			}
			if tc.token != "" && bytes.Contains(body, []byte(tc.token)) {
				t.Error("the answer shows the token")
			}
		})
	}
}

// What health says by its code in each state, with and without the parameters that load balancers give.
func TestHealthCodes(t *testing.T) {
	s := startFile(t, "")
	code := func(query string, want int) {
		t.Helper()
		resp, err := http.Get(s.addr + "/v1/sys/health" + query)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("health%s: %d, want %d", query, resp.StatusCode, want)
		}
	}
	code("", 501)
	code("?uninitcode=299", 299)
	_, err := s.client(t, "any").Logical().Read("secret/data/a")
	refused(t, err, 503, "Vault is not initialized")
	root, _ := s.unsealed(t)
	code("", 200)
	code("?activecode=299", 299)
	if err := root.Sys().Seal(); err != nil {
		t.Fatal(err)
	}
	code("", 503)
	code("?sealedcode=200", 200)
	_, err = root.Logical().Read("secret/data/a")
	refused(t, err, 503, "Vault is sealed")
	if _, err := root.Sys().Unseal("not base64!"); err == nil {
		t.Error("a share that is none was taken")
	} else {
		refused(t, err, 400, "'key' must be a valid hex or base64 string")
	}
	status := must[*api.SealStatusResponse](t)(root.Sys().SealStatus())
	if status.Progress != 0 {
		t.Errorf("progress %d after no share", status.Progress)
	}
}

// Data survives a restart of the process, sealed in between; shares that do not belong open nothing.
func TestRestartNeedsTheShares(t *testing.T) {
	s := startFile(t, "")
	root, shares := s.unsealed(t)
	if err := root.Sys().Mount("secret", &api.MountInput{Type: "kv-v2"}); err != nil {
		t.Fatal(err)
	}
	must[*api.KVSecret](t)(root.KVv2("secret").Put(t.Context(), "a", map[string]any{"k": "v"}))
	if err := root.Sys().Seal(); err != nil {
		t.Fatal(err)
	}
	other := startFile(t, "")
	_, foreign := other.unsealed(t)
	var err error
	for _, share := range foreign[:3] {
		_, err = root.Sys().Unseal(share)
	}
	refused(t, err, 400, "unseal failed: the keys do not open this cluster's seal")
	for _, share := range []string{shares[0], shares[2], shares[4]} {
		must[*api.SealStatusResponse](t)(root.Sys().Unseal(share))
	}
	if got := must[*api.KVSecret](t)(root.KVv2("secret").Get(t.Context(), "a")); got.Data["k"] != "v" {
		t.Errorf("after the right shares: %v", got.Data)
	}
}
