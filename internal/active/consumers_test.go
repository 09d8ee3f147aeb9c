package active_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"strongroom/engine"
	"strongroom/internal/consumer"
	"strongroom/internal/gateway"
)

// consumers are what an answer names, and what it says besides.
func consumers(t *testing.T, resp *gateway.Response) (names string, about map[string]any) {
	t.Helper()
	raw, err := json.Marshal(resp.Data)
	if err != nil {
		t.Fatal(err)
	}
	var out struct {
		Resources []consumer.Resource
		Total     int
	}
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &about); err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, r := range out.Resources {
		all = append(all, fmt.Sprintf("%s/%s/%s/%s by %s", r.Cluster, r.Kind, r.Namespace, r.Name, r.Reporter))
	}
	return strings.Join(all, ", "), about
}

func resource(name string, paths ...string) string {
	p, _ := json.Marshal(paths)
	return fmt.Sprintf(`{"kind":"VaultSecret","namespace":"shop","name":%q,"paths":%s,"state":"Valid","version":"1","synced":"2026-01-02T03:04:05Z"}`, name, p)
}

func reportOf(cluster, instance string, reset bool, resources ...string) string {
	return fmt.Sprintf(`{"cluster":%q,"instance":%q,"reset":%t,"resources":[%s]}`, cluster, instance, reset, strings.Join(resources, ","))
}

// TestConsumers: a login tells of what it may use, with no policy for that, and of nothing else; who may read that is
// shown all, who looks after a secret its own, and nobody else anything.
func TestConsumers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t)
		s.prepare()
		s.must(s.root, engine.Update, "sys/mounts/old", `{"type":"kv"}`)
		for name, rules := range map[string]string{
			"keeper": `path "secret/metadata/app/*" { capabilities = ["read"] }`, "viewer": `path "sys/kubernetes/consumers" { capabilities = ["read"] }`,
			"asker": `path "sys/kubernetes/consumers/secret/data/app/*" { capabilities = ["read"] }`, "wrapped": `path "secret/metadata/app/*" { capabilities = ["read"] min_wrapping_ttl = "1m" }`,
			"issuer": `path "pki/issue/web" { capabilities = ["update"] }`, "old": `path "old/app" { capabilities = ["read"] }`, "writer": `path "old/app" { capabilities = ["update"] }`,
		} {
			s.must(s.root, engine.Update, "sys/policies/acl/"+name, `{"policy":`+quote(rules)+`}`)
		}
		as := func(policies string) string {
			token, _ := s.login(`{"policies":"` + policies + `","ttl":"10h"}`)
			return token
		}
		reporter := as("reader,issuer,old")
		out := data(t, s.must(reporter, engine.Update, "sys/kubernetes/report", reportOf("prod", "i", true,
			resource("app", "secret/data/app/db"), resource("team", "secret/data/app/"), resource("tls", "pki/issue/web"), resource("v1", "old/app"),
			resource("foreign", "secret/data/other"), resource("half", "secret/data/other", "secret/data/app/x"), resource("", "secret/data/app/db"))))
		if out["accepted"] != float64(5) || out["dropped"] != float64(1) || out["invalid"] != float64(1) || out["held"] != float64(5) || out["known"] != true || out["renew_seconds"] != float64(300) {
			t.Errorf("answer: %v", out)
		}
		const mine = "prod/VaultSecret/shop/"
		for _, test := range []struct{ policies, path, want string }{
			{"viewer", "sys/kubernetes/consumers", "app, half, team, tls, v1"},
			{"keeper", "sys/kubernetes/consumers/secret/data/app/db", "app, team"},
			{"asker", "sys/kubernetes/consumers/secret/data/app/db", "app, team"},
			{"writer", "sys/kubernetes/consumers/old/app", "v1"},
			{"keeper", "sys/kubernetes/consumers/secret/data/app/none", "team"},
			// Denied: readers of the value, of another folder, of wrapped metadata, of what is no KV; and the whole list without a policy.
			{"reader", "sys/kubernetes/consumers/secret/data/app/db", "-"},
			{"keeper", "sys/kubernetes/consumers/secret/data/other", "-"},
			{"keeper", "sys/kubernetes/consumers/secret/metadata/app/db", "-"},
			{"wrapped", "sys/kubernetes/consumers/secret/data/app/db", "-"},
			{"old", "sys/kubernetes/consumers/old/app", "-"},
			{"issuer", "sys/kubernetes/consumers/pki/issue/web", "-"},
			{"keeper", "sys/kubernetes/consumers", "-"},
			{"viewer", "sys/kubernetes/consumers/secret/data/app/db", "-"},
		} {
			if test.want == "-" {
				s.fails(engine.Denied, "permission denied", as(test.policies), engine.Read, test.path, "")
				continue
			}
			got, about := consumers(t, s.must(as(test.policies), engine.Read, test.path, ""))
			var names []string
			for name := range strings.SplitSeq(test.want, ", ") {
				names = append(names, mine+name+" by login-me")
			}
			if want := strings.Join(names, ", "); got != want || about["total"] != float64(len(names)) || about["since"] == "" {
				t.Errorf("%s at %s: %s %v, want %s", test.policies, test.path, got, about, want)
			}
		}

		s.fails(engine.Denied, "", "", engine.Update, "sys/kubernetes/report", reportOf("prod", "i", true))
		s.fails(engine.Invalid, "cluster and instance", reporter, engine.Update, "sys/kubernetes/report", reportOf("", "i", true))
		s.fails(engine.Invalid, "cluster and instance", reporter, engine.Update, "sys/kubernetes/report", `{"cluster":"a\u0000b","instance":"i","reset":true}`)
		s.fails(engine.Invalid, "must be a list", reporter, engine.Update, "sys/kubernetes/report", `{"cluster":"a","instance":"b","resources":{"name":3}}`)
		s.fails(engine.Invalid, "at most 1000", reporter, engine.Update, "sys/kubernetes/report", reportOf("prod", "i", true, strings.Split(strings.Repeat(resource("x", "a")+";", 1001), ";")[:1001]...))
		s.fails(engine.Invalid, "limit", s.root, engine.Read, "sys/kubernetes/consumers", `{"limit":0}`)
		s.must(s.root, engine.Update, "sys/namespaces/ns", "")
		s.must(s.root, engine.Update, "ns/sys/kubernetes/report", reportOf("prod", "i", true, resource("inner", "secret/data/a")))
		if got, _ := consumers(t, s.must(s.root, engine.Read, "ns/sys/kubernetes/consumers", "")); got != mine+"inner by root" {
			t.Errorf("another namespace shows %s", got)
		}
		if got, _ := consumers(t, s.must(s.root, engine.Read, "sys/kubernetes/consumers", "")); strings.Contains(got, "inner") {
			t.Errorf("the root shows a namespace's: %s", got)
		}

		s.s.Close()
		s.reopen()
		if got, _ := consumers(t, s.must(s.root, engine.Read, "sys/kubernetes/consumers", "")); got != "" {
			t.Errorf("after a failover: %s", got)
		}
		if out := data(t, s.must(reporter, engine.Update, "sys/kubernetes/report", reportOf("prod", "i", false))); out["known"] != false {
			t.Errorf("a renewal after a failover: %v", out)
		}
	})
}

// TestReportWritesNothing: what is reported is in no store, and one audit record each way tells of it however much it is.
func TestReportWritesNothing(t *testing.T) {
	s, records, _ := audited(t)
	before := 0
	for range keysOf(t, s.store) {
		before++
	}
	records.take()
	s.must(s.root, engine.Update, "sys/kubernetes/report", reportOf("prod", "i", true, resource("a", "secret/data/a"), resource("b", "secret/data/b")))
	after := 0
	for range keysOf(t, s.store) {
		after++
	}
	if n := len(records.take()); before != after || n != 2 {
		t.Errorf("%d keys before and %d after; %d records", before, after, n)
	}
}
