package kubernetes

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"strongroom/engine"
	"strongroom/test/kubetest"
)

// TestRealTokenReview logs in by a real API server's TokenRequest, RBAC and
// TokenReview.
func TestRealTokenReview(t *testing.T) {
	cp := kubetest.New(t)
	kubectl := func(args ...string) string {
		t.Helper()
		out, err := cp.Kubectl(t.Context(), args...).CombinedOutput()
		if err != nil {
			t.Fatalf("kubectl %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	for _, ns := range []string{"vault", "longhorn-system", "elsewhere"} {
		kubectl("create", "namespace", ns)
		if err := cp.WaitServiceAccount(t.Context(), ns, "default"); err != nil {
			t.Fatal(err)
		}
	}
	kubectl("create", "serviceaccount", "vault", "-n=vault")
	kubectl("create", "serviceaccount", "passing", "-n=longhorn-system")
	kubectl("create", "clusterrolebinding", "reviewer", "--clusterrole=system:auth-delegator", "--serviceaccount=vault:vault")
	token := func(ns, name string, more ...string) string {
		t.Helper()
		return kubectl(append([]string{"create", "token", name, "-n=" + ns}, more...)...)
	}
	uid := kubectl("get", "serviceaccount", "default", "-n=longhorn-system", "-o=jsonpath={.metadata.uid}")

	f := mountMethod(t)
	config := func(reviewer string) {
		t.Helper()
		f.must(t, engine.Update, "config", object{"kubernetes_host": cp.URL, "kubernetes_ca_cert": string(cp.CA), "token_reviewer_jwt": reviewer})
	}
	role := object{"bound_service_account_names": "default,passing", "bound_service_account_namespaces": "longhorn-system", "policies": "p", "ttl": "24h"}
	f.must(t, engine.Create, "role/r", role)
	role["audience"] = "strongroom"
	f.must(t, engine.Create, "role/audience", role)
	good := func(what, role, jwt string) {
		t.Helper()
		g, err := f.login(role, jwt)
		if err != nil {
			t.Errorf("%s: %v", what, err)
		} else if g.Alias != uid || g.Metadata["service_account_uid"] != uid || g.DisplayName != "longhorn-system-default" {
			t.Errorf("%s: %+v", what, g)
		}
	}
	bad := func(what, role, jwt string, kind engine.Kind, want string) {
		t.Helper()
		_, err := f.login(role, jwt)
		wantError(t, what, err, kind, want)
	}

	jwt := token("longhorn-system", "default")
	config(token("vault", "vault"))
	good("reviewer", "r", jwt)
	bad("wrong namespace", "r", token("elsewhere", "default"), engine.Denied, "namespace not authorized")
	forged := newSigner(t).token(t, "longhorn-system", "default", nil)
	bad("forged", "r", forged, engine.Denied, "lookup failed: ")
	bound := token("longhorn-system", "default", "--audience=strongroom")
	good("audience", "audience", bound)
	bad("audience on a role without", "r", bound, engine.Denied, "lookup failed: ")
	bad("no audience on a role with", "audience", jwt, engine.Denied, "invalid audience (aud) claim")
	// The API server remembers for ten seconds what it has reviewed: another
	// token of the service account shows its end sooner.
	passing := token("longhorn-system", "passing")
	if _, err := f.login("r", token("longhorn-system", "passing", "--duration=11m")); err != nil {
		t.Errorf("before its deletion: %v", err)
	}
	kubectl("delete", "serviceaccount", "passing", "-n=longhorn-system")
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		_, err := f.login("r", passing)
		if err == nil && time.Now().Before(deadline) {
			continue
		}
		wantError(t, "deleted service account", err, engine.Denied, "lookup failed: ")
		break
	}

	f.must(t, engine.Update, "config", object{"kubernetes_host": cp.URL, "kubernetes_ca_cert": string(cp.CA), "token_reviewer_jwt": token("vault", "default"), "local_token_verification": true})
	good("by the cluster's keys", "r", jwt)
	good("by the cluster's keys, with an audience", "audience", bound)
	bad("forged, by the cluster's keys", "r", forged, engine.Denied, "none of the cluster's keys")
	bad("made for somebody else, by the cluster's keys", "r", bound, engine.Denied, "made for somebody else")

	config(token("vault", "default"))
	bad("reviewer without rights", "r", jwt, engine.Upstream, "bind the cluster role system:auth-delegator")
	config(forged)
	bad("reviewer of another cluster", "r", jwt, engine.Upstream, "does not accept token_reviewer_jwt")

	config("")
	bad("own token without rights", "r", jwt, engine.Denied, "bind the cluster role system:auth-delegator")
	bad("own forged token", "r", forged, engine.Denied, "permission denied")
	if err := os.WriteFile(filepath.Join(f.dir, "token"), []byte(token("vault", "vault")), 0o600); err != nil {
		t.Fatal(err)
	}
	good("the pod's own token", "r", jwt)
	if err := os.Remove(filepath.Join(f.dir, "token")); err != nil {
		t.Fatal(err)
	}
	kubectl("create", "clusterrolebinding", "own", "--clusterrole=system:auth-delegator", "--serviceaccount=longhorn-system:default")
	good("own token", "r", jwt)
}
