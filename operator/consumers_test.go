package operator_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	vault "github.com/hashicorp/vault/api"

	"strongroom/api/v1beta1"
)

// The server is told what every kind uses and how it is, also of what never worked, and of nothing that is gone; no value is in it.
func testConsumers(t *testing.T, w *world, root *vault.Client, count int) {
	t.Helper()
	w.apply(t, resource("VaultSecret", "app", "missing", "{refreshAfter: 1s, "+inline("app")+", source: {kv: {path: secret/app/missing}}, target: {name: missing}}"))
	w.apply(t, resource("VaultSecret", "app", "brief", "{"+inline("app")+", source: {kv: {path: secret/app/one}}, target: {name: brief}}"))
	w.secretStatus(t, "app", "missing", v1beta1.ReasonNotFound)
	w.secretStatus(t, "app", "brief", v1beta1.ReasonValid)
	found := func(client *vault.Client, name string) map[string]string {
		t.Helper()
		answer, err := client.Logical().ReadWithDataWithContext(t.Context(), "sys/kubernetes/consumers", map[string][]string{"search": {name}})
		if err != nil {
			t.Fatal(err)
		}
		raw, err := json.Marshal(answer.Data["resources"])
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(raw), canary) {
			t.Errorf("a value: %s", raw)
		}
		var all []struct {
			Cluster, Kind, Namespace, Name, State, Version, Synced, Reporter string
			Paths                                                            []string
		}
		if err := json.Unmarshal(raw, &all); err != nil {
			t.Fatal(err)
		}
		told := map[string]string{}
		for _, c := range all {
			if c.Cluster != "prod" || c.Namespace != "app" || c.Reporter != "kubernetes-app-default" || (c.Synced == "") != (c.State != v1beta1.ReasonValid) {
				t.Errorf("told of %+v", c)
			}
			told[c.Kind+" "+c.Name] = fmt.Sprintf("%s %s %s", c.State, c.Version, strings.Join(c.Paths, ","))
		}
		return told
	}
	team := root.WithNamespace("team")
	eventually(t, 2*limit, func() string {
		for what, want := range map[string]string{
			"VaultSecret many":         "Valid", // of a folder and a secret
			"VaultSecret quiet":        "Valid  secret/data/quiet/q",
			"VaultSecret missing":      "NotFound  secret/data/app/missing",
			"VaultStaticSecret static": "Valid 2 secret/data/app/one",
			"VaultSecret s1":           "Valid",
			"VaultSecret brief":        "Valid 2 secret/data/app/one",
		} {
			_, name, _ := strings.Cut(what, " ")
			if got := found(root, "app/"+name)[what]; !strings.HasPrefix(got, want) {
				return fmt.Sprintf("%s: %q, want %q", what, got, want)
			}
		}
		if got := found(root, "app/many")["VaultSecret many"]; !strings.HasSuffix(got, " secret/data/app/many/,secret/data/app/one") {
			return "many: " + got
		}
		if got := found(team, "team")["VaultStaticSecret team"]; got != "Valid 2 secret/data/app/one" {
			return "in the server's namespace team: " + got
		}
		if got := len(found(root, "app/s")); got < count {
			return fmt.Sprintf("%d of %d", got, count)
		}
		return ""
	})
	w.kubectl(t, "", "delete", "vaultsecret", "-n", "app", "brief", "missing")
	eventually(t, limit, func() string {
		if left := len(found(root, "app/brief")) + len(found(root, "app/missing")); left > 0 {
			return fmt.Sprintf("%d are told of after their end", left)
		}
		return ""
	})
}
