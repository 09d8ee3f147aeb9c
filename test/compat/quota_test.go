package compat

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
)

// TestRateLimit: a client over the rate is refused in Vault's words, told when to come again, and exempt paths go on.
func TestRateLimit(t *testing.T) {
	s := startDev(t)
	root := s.client(t, "root")
	must[*api.Secret](t)(root.Logical().Write("secret/data/a", map[string]any{"data": map[string]any{"a": "b"}}))
	must[*api.Secret](t)(root.Logical().Write("sys/quotas/config", map[string]any{"enable_rate_limit_response_headers": true}))
	must[*api.Secret](t)(root.Logical().Write("sys/quotas/rate-limit/kv", map[string]any{"path": "secret", "rate": 3, "interval": "1h"}))
	got := must[*api.Secret](t)(root.Logical().Read("sys/quotas/rate-limit/kv"))
	if text := fmt.Sprint(got.Data); text != "map[block_interval:0 group_by:ip inheritable:false interval:3600 name:kv path:secret/ rate:3 role: secondary_rate:0 type:rate-limit]" {
		t.Error(text)
	}
	if got := must[*api.Secret](t)(root.Logical().List("sys/quotas/rate-limit")); fmt.Sprint(got.Data["keys"]) != "[kv]" {
		t.Error(got.Data)
	}
	for i := range 5 {
		req := must[*http.Request](t)(http.NewRequestWithContext(t.Context(), http.MethodGet, s.addr+"/v1/secret/data/a", nil))
		req.Header.Set("X-Vault-Token", []string{"root", "wrong"}[i/4]) // nobody learns whether a token is good
		resp := must[*http.Response](t)(http.DefaultClient.Do(req))
		resp.Body.Close()
		hd := resp.Header
		if want := map[bool]int{true: http.StatusOK, false: http.StatusTooManyRequests}[i < 3]; resp.StatusCode != want {
			t.Errorf("request %d: %d, want %d", i, resp.StatusCode, want)
		}
		if hd.Get("X-Ratelimit-Limit") != "3" || hd.Get("X-Ratelimit-Remaining") != strconv.Itoa(max(2-i, 0)) || hd.Get("X-Ratelimit-Reset") == "" {
			t.Errorf("request %d: %v", i, hd)
		}
		if wait, err := strconv.Atoi(hd.Get("Retry-After")); (err == nil) != (i >= 3) || i >= 3 && (wait < 1000 || wait > 1200) {
			t.Errorf("request %d: Retry-After %q", i, hd.Get("Retry-After"))
		}
	}
	_, err := root.Logical().Read("secret/data/a")
	refused(t, err, http.StatusTooManyRequests, `request path "secret/data/a": rate limit quota exceeded`)
	must[*api.Secret](t)(root.Logical().Write("sys/quotas/config", map[string]any{"rate_limit_exempt_paths": "secret/data/*"}))
	must[*api.Secret](t)(root.Logical().Read("secret/data/a"))
	must[*api.Secret](t)(root.Logical().Delete("sys/quotas/rate-limit/kv"))
	if got, err := root.Logical().Read("sys/quotas/rate-limit/kv"); got != nil || err != nil {
		t.Error(got, err)
	}
	for path, data := range map[string]map[string]any{
		"invalid mount path":     {"path": "none/", "rate": 1},
		"rate must be":           {"path": "secret/", "rate": 0},
		"inheritable":            {"path": "secret/", "rate": 1, "inheritable": true},
		"a role is one of":       {"path": "secret/", "rate": 1, "role": "x"},
		"group_by must be":       {"path": "secret/", "rate": 1, "group_by": "moon"},
		"secondary_rate is for":  {"path": "secret/", "rate": 1, "secondary_rate": 2},
		"only one \"*\"":         {"path": "secret/*/a", "rate": 1},
		"must be a number":       {"path": "secret/", "rate": "many"},
		"error converting input": {"path": "secret/", "rate": 1, "interval": "-1s"},
	} {
		_, err := root.Logical().Write("sys/quotas/rate-limit/bad", data)
		refused(t, err, http.StatusBadRequest, path)
	}
}

// TestLeaseCount: there are never more tokens than may be, those from before count too, and each end makes room at once.
func TestLeaseCount(t *testing.T) {
	s := startDev(t)
	root := s.client(t, "root")
	create := func() (*api.Secret, error) {
		return root.Logical().Write("auth/token/create", map[string]any{"ttl": "1h", "policies": "default"})
	}
	before := must[*api.Secret](t)(create())
	must[*api.Secret](t)(root.Logical().Write("sys/quotas/lease-count/tokens", map[string]any{"path": "auth/token/", "max_leases": 3}))
	counted := func(want string) {
		t.Helper()
		eventually(t, 20*time.Second, func() error {
			got, err := root.Logical().Read("sys/quotas/lease-count/tokens")
			if err == nil && fmt.Sprint(got.Data["counter"]) != want {
				err = fmt.Errorf("%v counted, want %s", got.Data["counter"], want)
			}
			return err
		})
	}
	counted("1")
	must[*api.Secret](t)(create())
	must[*api.Secret](t)(create())
	_, err := create()
	refused(t, err, http.StatusTooManyRequests, `request path "auth/token/create": lease count quota exceeded`)
	must[*api.Secret](t)(root.Logical().Write("auth/token/create", map[string]any{"ttl": "1h"})) // a root token: the way out is not counted
	counted("3")
	if err := root.Auth().Token().RevokeTree(before.Auth.ClientToken); err != nil {
		t.Fatal(err)
	}
	must[*api.Secret](t)(create())
	counted("3")
	must[*api.Secret](t)(root.Logical().Write("sys/quotas/lease-count/tokens", map[string]any{"max_leases": 2}))
	counted("3") // counted anew
	_, err = create()
	refused(t, err, http.StatusTooManyRequests, "lease count quota exceeded")
	must[*api.Secret](t)(root.Logical().Delete("sys/quotas/lease-count/tokens"))
	must[*api.Secret](t)(create())
	_, err = root.Logical().Write("sys/quotas/lease-count/none", map[string]any{"max_leases": 0})
	refused(t, err, http.StatusBadRequest, "max_leases must be more than 0")
}

// TestScan: with its own capability, and page by page.
func TestScan(t *testing.T) {
	s := startDev(t)
	root := s.client(t, "root")
	for _, path := range []string{"a", "b/c", "b/d/e"} {
		must[*api.Secret](t)(root.Logical().Write("secret/data/"+path, map[string]any{"data": map[string]any{}}))
	}
	if err := root.Sys().PutPolicy("lister", `path "secret/metadata/*" { capabilities = ["list"] }`); err != nil {
		t.Fatal(err)
	}
	if err := root.Sys().PutPolicy("scanner", `path "secret/metadata/*" { capabilities = ["scan"] }`); err != nil {
		t.Fatal(err)
	}
	for policy, want := range map[string]int{"lister": http.StatusForbidden, "scanner": http.StatusOK} {
		made := must[*api.Secret](t)(root.Logical().Write("auth/token/create", map[string]any{"policies": policy}))
		code, text := s.fetch(t, "secret/metadata/?scan=true", made.Auth.ClientToken)
		if code != want || want == http.StatusOK && !strings.Contains(text, `{"keys":["a","b/c","b/d/e"]}`) {
			t.Errorf("%s: %d %s", policy, code, text)
		}
	}
	if _, text := s.fetch(t, "secret/metadata/b?scan=true&after=c&limit=1", "root"); !strings.Contains(text, `{"keys":["d/e"]}`) {
		t.Error(text)
	}
}

// TestRoleQuota: a limit of a role holds for its logins alone.
func TestRoleQuota(t *testing.T) {
	s := startDev(t)
	root := s.client(t, "root")
	if err := root.Sys().EnableAuthWithOptions("approle", &api.EnableAuthOptions{Type: "approle"}); err != nil {
		t.Fatal(err)
	}
	ids := map[string]any{}
	for _, role := range []string{"dev", "prod"} {
		must[*api.Secret](t)(root.Logical().Write("auth/approle/role/"+role, map[string]any{"bind_secret_id": false, "secret_id_bound_cidrs": "127.0.0.0/8"}))
		ids[role] = must[*api.Secret](t)(root.Logical().Read("auth/approle/role/" + role + "/role-id")).Data["role_id"]
	}
	login := func(role string) error {
		_, err := s.client(t, "").Logical().Write("auth/approle/login", map[string]any{"role_id": ids[role]})
		return err
	}
	must[*api.Secret](t)(root.Logical().Write("sys/quotas/rate-limit/dev", map[string]any{"path": "auth/approle", "role": "dev", "rate": 2, "interval": "1h"}))
	must[*api.Secret](t)(root.Logical().Write("sys/quotas/lease-count/prod", map[string]any{"path": "auth/approle/", "role": "prod", "max_leases": 1}))
	for i, want := range []int{0, 0, http.StatusTooManyRequests} {
		if err := login("dev"); want == 0 && err != nil {
			t.Errorf("dev %d: %v", i, err)
		} else if want != 0 {
			refused(t, err, want, "rate limit quota exceeded")
		}
	}
	if err := login("prod"); err != nil {
		t.Error(err)
	}
	refused(t, login("prod"), http.StatusTooManyRequests, "lease count quota exceeded")
}
