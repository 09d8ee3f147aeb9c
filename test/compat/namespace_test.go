package compat

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/hashicorp/vault/api"
)

// The stock client makes namespaces, hands one over, and everybody in it logs in and reads, by header and by path.
func TestGoClientNamespaces(t *testing.T) {
	s := startDev(t)
	root := s.client(t, "root")
	made := must[*api.Secret](t)(root.Logical().Write("sys/namespaces/team-a", map[string]any{"custom_metadata": map[string]any{"owner": "ada"}})).Data
	if id, _ := made["id"].(string); len(id) != 5 || made["path"] != "team-a/" || fmt.Sprint(made["custom_metadata"]) != "map[owner:ada]" {
		t.Fatalf("created: %v", made)
	}
	a := root.WithNamespace("team-a")
	nested := must[*api.Secret](t)(a.Logical().Write("sys/namespaces/sub", nil)).Data
	if nested["path"] != "team-a/sub/" {
		t.Errorf("nested: %v", nested)
	}
	must[*api.Secret](t)(root.Logical().Write("sys/namespaces/team-b", nil))

	// userpass in the nested one: its own mounts, users and policies.
	sub := root.WithNamespace("team-a/sub/")
	for _, err := range []error{
		sub.Sys().Mount("secret", &api.MountInput{Type: "kv-v2"}),
		sub.Sys().EnableAuthWithOptions("userpass", &api.EnableAuthOptions{Type: "userpass"}),
		sub.Sys().PutPolicy("reader", `path "secret/data/*" { capabilities = ["create", "update", "read"] }`),
		root.WithNamespace("team-b").Sys().Mount("secret", &api.MountInput{Type: "kv-v2"}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	// What its sign-in page offers is told without a token, there alone.
	//lint:ignore SA1019 clients in the field still call it
	if err := sub.Sys().TuneMount("auth/userpass", api.MountConfigInput{ListingVisibility: "unauth", Description: new("Staff")}); err != nil {
		t.Fatal(err)
	}
	for ns, want := range map[string]string{"team-a/sub": "map[auth:map[userpass/:map[description:Staff options:<nil> type:userpass]] secret:map[]]", "team-a": "map[auth:map[] secret:map[]]", "": "map[auth:map[] secret:map[]]"} {
		if got := must[*api.Secret](t)(s.client(t, "").WithNamespace(ns).Logical().Read("sys/internal/ui/mounts")).Data; fmt.Sprint(got) != want {
			t.Errorf("mounts of %q without a token: %v, want %s", ns, got, want)
		}
	}
	must[*api.Secret](t)(sub.Logical().Write("auth/userpass/users/bob", map[string]any{"password": "pw", "token_policies": "reader"}))
	login := must[*api.Secret](t)(s.client(t, "").WithNamespace("team-a/sub").Logical().Write("auth/userpass/login/bob", map[string]any{"password": "pw"})).Auth
	if !strings.HasPrefix(login.ClientToken, "hvs.") || !strings.HasSuffix(login.ClientToken, "."+nested["id"].(string)) || login.EntityID == "" {
		t.Fatalf("login: %+v", login)
	}
	bob := s.client(t, login.ClientToken)
	in := bob.WithNamespace("team-a/sub")
	must[*api.KVSecret](t)(in.KVv2("secret").Put(t.Context(), "app", map[string]any{"k": "v"}))
	for name, read := range map[string]func() (*api.Secret, error){
		"header":          func() (*api.Secret, error) { return in.Logical().Read("secret/data/app") },
		"path":            func() (*api.Secret, error) { return bob.Logical().Read("team-a/sub/secret/data/app") },
		"header and path": func() (*api.Secret, error) { return bob.WithNamespace("team-a").Logical().Read("sub/secret/data/app") },
	} {
		if got, err := read(); err != nil || got.Data["data"].(map[string]any)["k"] != "v" {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	for _, ns := range []string{"", "team-a", "team-b"} {
		_, err := bob.WithNamespace(ns).Logical().Read("secret/data/app")
		refused(t, err, 403, "permission denied")
	}
	_, err := bob.WithNamespace("nowhere").Sys().ListMounts()
	refused(t, err, 404, "no handler for route")
	_, err = bob.WithNamespace("team-a/../team-b").Logical().Read("secret/data/app")
	refused(t, err, 400, "X-Vault-Namespace")
	self := must[*api.Secret](t)(in.Auth().Token().LookupSelf()).Data
	if self["namespace_path"] != "team-a/sub/" {
		t.Errorf("lookup-self: %v", self)
	}

	// What the root alone has.
	_, err = a.Sys().ListAudit()
	refused(t, err, 404, "unsupported path")
	_, err = a.Sys().Health()
	refused(t, err, 404, "unsupported path")
	must[*api.SealStatusResponse](t)(a.Sys().SealStatus())
	doc := must[*api.Secret](t)(a.Logical().Read("sys/internal/ui/namespaces")).Data
	if fmt.Sprint(doc["keys"]) != "[sub/]" {
		t.Errorf("ui/namespaces: %v", doc)
	}

	// A wrapped answer opens for who holds it, wherever he asks.
	wrapping := root.WithNamespace("team-a/sub")
	wrapping.SetWrappingLookupFunc(func(string, string) string { return "2m" })
	w := must[*api.Secret](t)(wrapping.Logical().Read("secret/data/app")).WrapInfo
	if !strings.HasSuffix(w.Token, "."+nested["id"].(string)) {
		t.Errorf("wrap_info: %+v", w)
	}
	if got := must[*api.Secret](t)(s.client(t, w.Token).Logical().Unwrap("")); got.Data["data"].(map[string]any)["k"] != "v" {
		t.Errorf("unwrapped: %v", got.Data)
	}
	namespaceEvents(t, s, root)

	// Closed at once, gone soon.
	_, err = root.Logical().Delete("sys/namespaces/team-a")
	refused(t, err, 400, "child namespaces")
	must[*api.Secret](t)(a.Logical().Delete("sys/namespaces/sub"))
	eventually(t, 20*time.Second, func() error {
		if _, err := a.Logical().Delete("sys/namespaces/sub"); err != nil {
			return err
		}
		got, err := a.Logical().List("sys/namespaces")
		if err == nil && got != nil {
			err = fmt.Errorf("there still is %v", got.Data)
		}
		if err == nil {
			_, err = a.Logical().Write("sys/namespaces/sub", nil)
		}
		return err
	})
	_, err = in.Logical().Read("secret/data/app")
	refused(t, err, 403, "permission denied")
}

// namespaceEvents has the root follow what happens below team-b, by the path form and by patterns.
func namespaceEvents(t *testing.T, s *server, root *api.Client) {
	t.Helper()
	for _, path := range []string{"/v1/team-b/sys/events/subscribe/kv%2A?json=true", "/v1/sys/events/subscribe/kv%2A?json=true&namespaces=team-%2A"} {
		conn, _, err := websocket.Dial(t.Context(), s.addr+path, &websocket.DialOptions{HTTPHeader: http.Header{"X-Vault-Token": {"root"}}})
		if err != nil {
			t.Fatal(path, err)
		}
		must[*api.KVSecret](t)(root.WithNamespace("team-b").KVv2("secret").Put(t.Context(), "app", map[string]any{"k": "v"}))
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		_, b, err := conn.Read(ctx)
		cancel()
		var e operatorEvent
		if err != nil || json.Unmarshal(b, &e) != nil || strings.Trim(e.Data.Namespace, "/") != "team-b" {
			t.Errorf("%s: %s, %v", path, b, err)
		}
		conn.CloseNow()
	}
}

// The commands, as Vault documents them.
func TestCommandsNamespaces(t *testing.T) {
	s := startDev(t)
	s.runSteps(t, []step{
		{run: "export VAULT_TOKEN=root; vault namespace create -custom-metadata=owner=ada team-a", stdout: "Key                Value\n---                -----\ncustom_metadata    map[owner:ada]\nid                 {any}\npath               team-a/\n"},
		{run: "export VAULT_TOKEN=root; vault namespace create -namespace=team-a -field=path sub", stdout: "team-a/sub/{rest}"},
		{run: "export VAULT_TOKEN=root; vault namespace list", stdout: "Keys\n----\nteam-a/\n"},
		{run: "export VAULT_TOKEN=root; vault namespace list -ns=team-a -format=json", stdout: "[\n  \"sub/\"\n]\n"},
		{run: "export VAULT_TOKEN=root VAULT_NAMESPACE=team-a; vault secrets enable -path=secret kv-v2 && vault kv put -mount=secret app k=v >/dev/null && vault kv get -mount=secret -field=k app", stdout: "Success! Enabled the kv-v2 secrets engine at: secret/\nv{rest}"},
		{run: "export VAULT_TOKEN=root; vault kv get -mount=team-a/secret -field=k app", stdout: "v{rest}"},
		{run: "export VAULT_TOKEN=root; vault namespace patch -remove-custom-metadata=owner -field=custom_metadata team-a", stdout: "map[]{rest}"},
		{run: "export VAULT_TOKEN=root; key=$(vault namespace lock -field=unlock_key team-a) && ! vault kv get -ns=team-a -mount=secret app 2>/dev/null && vault namespace unlock -unlock-key=$key team-a", stdout: "Success! The namespace is unlocked\n"},
		{run: "export VAULT_TOKEN=root; vault namespace delete -ns=team-a sub", stdout: "Success! Namespace deleted at: sub/\n"},
	})
}
