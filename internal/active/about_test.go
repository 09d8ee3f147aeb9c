package active_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"strongroom/engine"
	"strongroom/internal/gateway"
)

// document is the OpenAPI document as token sees it.
func (s *server) document(token, query string) map[string]any {
	s.t.Helper()
	req := &gateway.Request{ID: "id", Operation: engine.Read, Path: "sys/internal/specs/openapi", Token: token}
	if query != "" {
		name, value, _ := strings.Cut(query, "=")
		req.Query = map[string][]string{name: {value}}
	}
	resp, err := s.serve(s.t.Context(), req)
	if err != nil {
		s.t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(resp.Raw.Body, &doc); err != nil {
		s.t.Fatal(err)
	}
	return doc
}

// Every path parameter is described, every operation has an id of its own, and
// every reference leads somewhere.
func TestOpenAPIIsWhole(t *testing.T) {
	s := start(t)
	s.must(s.root, engine.Update, "sys/mounts/secret", `{"type":"kv-v2"}`)
	s.must(s.root, engine.Update, "sys/auth/in/here", `{"type":"login"}`)
	for _, query := range []string{"", "generic_mount_paths=true"} {
		doc := s.document(s.root, query)
		paths := doc["paths"].(map[string]any)
		schemas := doc["components"].(map[string]any)["schemas"].(map[string]any)
		ids := map[string]string{}
		for path, item := range paths {
			described := map[string]bool{}
			for _, p := range list(item.(map[string]any)["parameters"]) {
				if p := p.(map[string]any); p["in"] == "path" {
					described[p["name"].(string)] = true
				}
			}
			for seg := range strings.SplitSeq(path, "/") {
				if name, ok := strings.CutPrefix(seg, "{"); ok && !described[strings.TrimSuffix(name, "}")] {
					t.Errorf("%s: parameter %s is not described", path, seg)
				}
			}
			for method, op := range item.(map[string]any) {
				o, ok := op.(map[string]any)
				if !ok {
					continue
				}
				id := o["operationId"].(string)
				if other, taken := ids[id]; taken {
					t.Errorf("%s %s and %s are both called %s", method, path, other, id)
				}
				ids[id] = path
				if body, ok := o["requestBody"].(map[string]any); ok {
					for _, c := range body["content"].(map[string]any) {
						ref := c.(map[string]any)["schema"].(map[string]any)["$ref"].(string)
						if schemas[strings.TrimPrefix(ref, "#/components/schemas/")] == nil {
							t.Errorf("%s %s: no schema %s", method, path, ref)
						}
					}
				}
			}
		}
		want := []string{"/secret/data/{path}", "/auth/in/here/login", "/auth/token/create", "/sys/mounts/{path}", "/sys/health", "/sys/unseal", "/sys/rekey/init"}
		if query != "" {
			want = []string{"/{secret_mount_path}/data/{path}", "/auth/{in_here_mount_path}/login", "/auth/token/create", "/sys/mounts/{path}"}
		}
		for _, p := range want {
			if paths[p] == nil {
				t.Errorf("%q: no path %s", query, p)
			}
		}
	}
	login := s.document(s.root, "")["paths"].(map[string]any)["/auth/in/here/login"].(map[string]any)
	if login["x-vault-unauthenticated"] != true {
		t.Errorf("login: %v", login)
	}
}

func list(v any) []any {
	out, _ := v.([]any)
	return out
}

// A caller is told of no mount that its policies do not reach.
func TestOpenAPIByPolicy(t *testing.T) {
	s := start(t)
	s.must(s.root, engine.Update, "sys/mounts/seen", `{"type":"kv"}`)
	s.must(s.root, engine.Update, "sys/mounts/hidden", `{"type":"kv"}`)
	s.must(s.root, engine.Update, "sys/policies/acl/p", `{"policy":"path \"seen/*\" { capabilities = [\"read\"] }\npath \"sys/internal/specs/openapi\" { capabilities = [\"read\"] }"}`)
	token := s.must(s.root, engine.Update, "auth/token/create", `{"policies":["p"],"no_default_policy":true}`).Auth.ClientToken
	seen, hidden := false, false
	for path := range s.document(token, "")["paths"].(map[string]any) {
		seen = seen || strings.HasPrefix(path, "/seen/")
		hidden = hidden || strings.Contains(path, "hidden")
	}
	if !seen || hidden {
		t.Errorf("seen: %v, hidden: %v", seen, hidden)
	}
	s.fails(engine.Denied, "permission denied", "", engine.Read, "sys/internal/specs/openapi", "")
}

// dataOf is the Data of a response, through JSON.
func dataOf(t *testing.T, resp *gateway.Response) map[string]any {
	t.Helper()
	b, err := json.Marshal(resp.Data)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// A mount takes its data along when it is moved, and an auth method its tokens.
func TestRemount(t *testing.T) {
	s := start(t)
	s.must(s.root, engine.Update, "sys/mounts/a", `{"type":"kv"}`)
	s.must(s.root, engine.Update, "sys/mounts/c", `{"type":"kv"}`)
	s.must(s.root, engine.Update, "sys/auth/login", `{"type":"login"}`)
	s.must(s.root, engine.Update, "a/x", `{"v":"1"}`)
	s.must(s.root, engine.Update, "c/x", `{"v":"2"}`)
	token, _ := s.login(`{}`)

	id := dataOf(t, s.must(s.root, engine.Update, "sys/remount", `{"from":"a","to":"b/deep"}`))["migration_id"].(string)
	if got := dataOf(t, s.must(s.root, engine.Read, "b/deep/x", "")); got["v"] != "1" {
		t.Errorf("moved: %v", got)
	}
	s.fails(engine.NotFound, "no handler for route", s.root, engine.Read, "a/x", "")
	info := dataOf(t, s.must(s.root, engine.Read, "sys/remount/status/"+id, ""))["migration_info"].(map[string]any)
	if info["status"] != "success" || info["source_mount"] != "a" || info["target_mount"] != "b/deep" {
		t.Errorf("status: %v", info)
	}
	s.must(s.root, engine.Update, "sys/remount", `{"from":"auth/login","to":"auth/other"}`)
	s.must(token, engine.Read, "auth/token/lookup-self", "")

	for body, why := range map[string]string{
		`{"from":"none","to":"d"}`:        "no matching mount",
		`{"from":"c","to":"b/deep/c"}`:    "already in use",
		`{"from":"c","to":"b"}`:           "already in use",
		`{"from":"c","to":"auth/c"}`:      "stays below auth/",
		`{"from":"auth/other","to":"c2"}`: "stays below auth/",
		`{"from":"sys","to":"s"}`:         "part of the server",
		`{"from":"c","to":"sys/c"}`:       "server's own",
		`{"from":"c","to":"d*"}`:          "invalid mount path",
		`{"from":"c"}`:                    "missing required field: to",
	} {
		s.fails(engine.Invalid, why, s.root, engine.Update, "sys/remount", body)
	}
	s.must(s.root, engine.List, "c/", "") // refused moves have changed nothing
}

func TestPluginCatalog(t *testing.T) {
	s := start(t)
	got := dataOf(t, s.must(s.root, engine.Read, "sys/plugins/catalog", ""))
	if names := list(got["secret"]); !slices.Contains(names, any("kv")) || slices.Contains(names, any("system")) {
		t.Errorf("secret: %v", names)
	}
	if one := dataOf(t, s.must(s.root, engine.Read, "sys/plugins/catalog/secret/kv", "")); one["builtin"] != true {
		t.Errorf("kv: %v", one)
	}
	s.fails(engine.NotFound, "", s.root, engine.Read, "sys/plugins/catalog/auth/kv", "")
	s.fails(engine.Invalid, "cannot be registered", s.root, engine.Update, "sys/plugins/catalog/secret/mine", `{"sha256":"aa","command":"x"}`)
}

func TestPasswordPolicies(t *testing.T) {
	s := start(t)
	s.fails(engine.NotFound, "", s.root, engine.List, "sys/policies/password", "")
	s.fails(engine.Invalid, "length", s.root, engine.Update, "sys/policies/password/Short", `{"policy":"length = 1"}`)
	s.must(s.root, engine.Update, "sys/policies/password/Mine", `{"policy":"length = 12\nrule \"charset\" { charset = \"abc\" }"}`)
	got := dataOf(t, s.must(s.root, engine.Read, "sys/policies/password/mine/generate", ""))["password"].(string)
	if len(got) != 12 || strings.Trim(got, "abc") != "" {
		t.Errorf("generated %q", got)
	}
	s.must(s.root, engine.Delete, "sys/policies/password/MINE", "")
	s.fails(engine.NotFound, "", s.root, engine.Read, "sys/policies/password/mine", "")
}

// What the calling token's policies grant is told as they are merged.
func TestResultantACL(t *testing.T) {
	s := start(t)
	s.must(s.root, engine.Update, "sys/policies/acl/p", `{"policy":"path \"a/b\" { capabilities = [\"read\"] }\npath \"c/*\" { capabilities = [\"list\"] }"}`)
	token := s.must(s.root, engine.Update, "auth/token/create", `{"policies":["p"],"no_default_policy":true}`).Auth.ClientToken
	got := dataOf(t, s.must(token, engine.Read, "sys/internal/ui/resultant-acl", ""))
	b, _ := json.Marshal(got)
	if want := `{"exact_paths":{"a/b":{"capabilities":["read"]}},"glob_paths":{"c/":{"capabilities":["list"]}},"root":false}`; string(b) != want {
		t.Errorf("got  %s\nwant %s", b, want)
	}
	if got := dataOf(t, s.must(s.root, engine.Read, "sys/internal/ui/resultant-acl", "")); got["root"] != true {
		t.Errorf("root: %v", got)
	}
}
