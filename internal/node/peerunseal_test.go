package node

import (
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"strongroom/internal/kube"
	"strongroom/internal/storage/raftstore"
	"strongroom/test/kubetest"
)

func TestStatefulSet(t *testing.T) {
	for name, want := range map[string]string{"vault-0": "vault", "my-vault-12": "my-vault", "vault": "", "-0": "", "vault-": "", "vault-01": "", "vault-+1": "",
		"vault-x": "", "vault-0-x": "", "": "", "vault-99999999999": ""} {
		set, ok := statefulSet(name)
		if ok != (want != "") || ok && set != want {
			t.Errorf("%s is of %q, %t", name, set, ok)
		}
	}
}

func TestPodOfMember(t *testing.T) {
	want := pod{Namespace: "vault", ServiceAccount: "vault", Name: "vault"}
	who := pod{"vault", "vault", "vault-1", "u"}
	at := func(id, address string) raftstore.Server { return raftstore.Server{ID: id, Address: address} }
	for _, test := range []struct {
		name   string
		by     PeerUnseal
		member raftstore.Server
		err    string
	}{
		{"by id", PeerUnseal{}, at("vault-1", "10.0.0.1:8201"), ""},
		{"another id", PeerUnseal{}, at("vault-0", "vault-1.vault-internal:8201"), "not the one of the node"},
		{"by address", PeerUnseal{PodByAddress: true}, at("uuid", "vault-1.vault-internal:8201"), ""},
		{"by a short address", PeerUnseal{PodByAddress: true}, at("uuid", "vault-1:8201"), ""},
		{"another address", PeerUnseal{PodByAddress: true}, at("vault-1", "vault-10.vault-internal:8201"), "cluster address"},
		{"no address", PeerUnseal{PodByAddress: true}, at("vault-1", "vault-1"), "cluster address"},
	} {
		err := test.by.check(who, want, test.member)
		if (err == nil) != (test.err == "") || err != nil && (!errors.Is(err, errRefused) || !strings.Contains(err.Error(), test.err)) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

// A member is answered once a second, and does not use up another's turn.
func TestUnsealerAllows(t *testing.T) {
	var u unsealer
	start := time.Now()
	for _, test := range []struct {
		id    string
		after time.Duration
		want  bool
	}{{"a", 0, true}, {"a", unsealGap - 1, false}, {"b", unsealGap - 1, true}, {"a", unsealGap, true}} {
		if got := u.allow(test.id, start.Add(test.after)); got != test.want {
			t.Errorf("%s after %v: %t", test.id, test.after, got)
		}
	}
}

func FuzzUnsealRequest(f *testing.F) {
	f.Add(`{"token":"a.b.c"}`)
	f.Add(`{"token":"a b"}`)
	f.Add(`{"token":`)
	f.Add(`[]`)
	f.Fuzz(func(t *testing.T, body string) {
		token, err := readUnsealRequest(strings.NewReader(body))
		if err != nil {
			if token != "" || !errors.Is(err, errRefused) {
				t.Errorf("%q with %v", token, err)
			}
			return
		}
		if token == "" || len(token) > maxToken || strings.ContainsAny(token, " \r\n") {
			t.Errorf("took %q", token)
		}
	})
}

func TestUnsealRequestIsBounded(t *testing.T) {
	if _, err := readUnsealRequest(strings.NewReader(`{"token":"` + strings.Repeat("a", maxToken) + `"}`)); !errors.Is(err, errRefused) {
		t.Errorf("a token that is too long: %v", err)
	}
}

// TestRealPods tells pods apart by the tokens of a real API server.
func TestRealPods(t *testing.T) {
	cp := kubetest.New(t)
	kubectl := func(args ...string) string {
		t.Helper()
		out, err := cp.Kubectl(t.Context(), args...).Output()
		if err != nil {
			if exit, ok := errors.AsType[*exec.ExitError](err); ok {
				t.Fatalf("kubectl %v: %v\n%s", args, err, exit.Stderr)
			}
			t.Fatal(err)
		}
		return strings.TrimSpace(string(out))
	}
	const audience = "strongroom-peer-unseal"
	for _, ns := range []string{"vault", "elsewhere"} {
		kubectl("create", "namespace", ns)
		for _, account := range []string{"vault", "other"} {
			kubectl("create", "serviceaccount", account, "-n="+ns)
		}
	}
	token := func(ns, account, podName string, more ...string) string {
		t.Helper()
		args := append([]string{"create", "token", account, "-n=" + ns}, more...)
		if podName != "" {
			if cp.Kubectl(t.Context(), "get", "pod", podName, "-n="+ns).Run() != nil {
				kubectl("run", podName, "-n="+ns, "--image=none", `--overrides={"spec":{"serviceAccountName":"`+account+`"}}`)
			}
			args = append(args, "--bound-object-kind=Pod", "--bound-object-name="+podName)
		}
		return kubectl(args...)
	}
	client, err := kube.Kubeconfig(cp.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	own := token("vault", "vault", "vault-0", "--audience="+audience)
	p := &PeerUnseal{Reviewer: client, Audience: audience, Token: func() (string, error) { return own, nil }}
	member := raftstore.Server{ID: "vault-1", Address: "10.0.0.1:8201"}
	decide := func(token string) error {
		who, err := p.identify(t.Context(), token)
		if err != nil {
			return err
		}
		want, err := p.wanted(t.Context())
		if err != nil {
			return err
		}
		return p.check(who, want, member)
	}
	right := token("vault", "vault", "vault-1", "--audience="+audience)
	if err := decide(right); err != nil {
		t.Errorf("the member's own pod: %v", err)
	}
	for _, test := range []struct{ name, token, err string }{
		{"another pod of the set", own, "not the one of the node"},
		{"no pod", token("vault", "vault", "", "--audience="+audience), "not bound to a pod"},
		{"another audience", token("vault", "vault", "vault-1"), "does not accept the token"},
		{"another namespace", token("elsewhere", "vault", "vault-1", "--audience="+audience), "namespace"},
		{"another service account", token("vault", "other", "other-1", "--audience="+audience), "service account"},
		{"another set", token("vault", "vault", "web-1", "--audience="+audience), "none of the StatefulSet"},
		{"garbage", right[:len(right)-4] + "AAAA", "does not accept the token"},
	} {
		if err := decide(test.token); !errors.Is(err, errRefused) || !strings.Contains(err.Error(), test.err) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	// A token dies with its pod; the API server remembers a review for some seconds, so a token it has not seen is shown.
	unseen := token("vault", "vault", "vault-1", "--audience="+audience, "--duration=11m")
	kubectl("delete", "pod", "vault-1", "-n=vault", "--grace-period=0", "--force")
	if err := decide(unseen); !errors.Is(err, errRefused) {
		t.Errorf("a deleted pod: %v", err)
	}
	podsAreFound(t, client, kubectl, cp.Kubeconfig)
}

// podsAreFound resolves an auto_join by a real API server, as pods come and go.
func podsAreFound(t *testing.T, client *kube.Client, kubectl func(...string) string, kubeconfig string) {
	t.Helper()
	target, err := AutoJoin(`provider=k8s namespace=vault label_selector="run in (vault-0,web-1)" kubeconfig="`+filepath.ToSlash(kubeconfig)+`"`, "http", 8300, nil)
	if err != nil {
		t.Fatal(err)
	}
	found := func() string {
		t.Helper()
		targets, err := target.Resolve(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, f := range targets {
			all = append(all, f.LeaderAPIAddr)
		}
		return strings.Join(all, " ")
	}
	if got := found(); got != "" {
		t.Errorf("pods that do not run are found: %s", got)
	}
	for name, ip := range map[string]string{"vault-0": "10.1.0.1", "web-1": "fd00::2"} {
		kubectl("patch", "pod", name, "-n=vault", "--subresource=status", "--type=merge", `-p={"status":{"phase":"Running","podIP":"`+ip+`","podIPs":[{"ip":"`+ip+`"}]}}`)
	}
	if got := found(); got != "http://10.1.0.1:8300 http://[fd00::2]:8300" {
		t.Errorf("found %s", got)
	}
	kubectl("delete", "pod", "web-1", "-n=vault", "--grace-period=0", "--force")
	if got := found(); got != "http://10.1.0.1:8300" {
		t.Errorf("after a pod has gone: %s", got)
	}
	if all, err := client.Pods(t.Context(), "", "", "metadata.name=vault-0"); err != nil || len(all) != 1 || all[0].Name != "vault-0" {
		t.Errorf("by a field, in all namespaces: %v, %v", all, err)
	}
}
