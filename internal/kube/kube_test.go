package kube

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// apiServer answers with TLS; its CA and where it is are in the pod.
func apiServer(t *testing.T, h http.HandlerFunc) (*httptest.Server, Pod) {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	dir := t.TempDir()
	pod := Pod{TokenFile: filepath.Join(dir, "token"), CAFile: filepath.Join(dir, "ca.crt"), Getenv: func(name string) string {
		host, port, _ := strings.Cut(strings.TrimPrefix(s.URL, "https://"), ":")
		return map[string]string{"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}[name]
	}}
	write(t, pod.CAFile, authority(s))
	write(t, pod.TokenFile, "first\n")
	write(t, filepath.Join(dir, "namespace"), "vault")
	return s, pod
}

func authority(s *httptest.Server) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Kubernetes renews a pod's files: each question reads them.
func TestInCluster(t *testing.T) {
	var bearer string
	_, pod := apiServer(t, func(w http.ResponseWriter, r *http.Request) {
		bearer = r.Header.Get("Authorization")
		var in TokenReview
		if r.URL.Path != ReviewPath || json.NewDecoder(r.Body).Decode(&in) != nil || in.Spec.Token != "t" || strings.Join(in.Spec.Audiences, "") != "a" {
			t.Errorf("asked %s for %v", r.URL, in)
		}
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, `{"status":{"authenticated":true,"audiences":["a"],"user":{"username":"u","extra":{%q:["vault-0"]}}}}`, ExtraPodName)
	})
	c, err := InCluster(pod)
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{"first", "second"} {
		write(t, pod.TokenFile, token+"\n")
		r, err := c.ReviewToken(t.Context(), "", "t", "a")
		if err != nil || !r.Authenticated || r.User.Extra[ExtraPodName][0] != "vault-0" || bearer != "Bearer "+token {
			t.Errorf("asked as %q: %+v, %v", bearer, r, err)
		}
	}
	if _, err := c.ReviewToken(t.Context(), "another", "t", "a"); err != nil || bearer != "Bearer another" {
		t.Errorf("asked as %q: %v", bearer, err)
	}
	if c.Namespace() != "vault" {
		t.Errorf("the namespace is %q", c.Namespace())
	}
	write(t, pod.TokenFile, " \n")
	if _, err := c.ReviewToken(t.Context(), "", "t", "a"); err == nil || !strings.Contains(err.Error(), "is empty") {
		t.Errorf("without a token: %v", err)
	}
	write(t, pod.CAFile, "no PEM")
	if _, err := c.ReviewToken(t.Context(), "x", "t", "a"); !errors.Is(err, ErrNoCA) {
		t.Errorf("without a CA: %v", err)
	}
	if _, err := InCluster(Pod{Getenv: func(string) string { return "" }}); !errors.Is(err, ErrNotInCluster) {
		t.Errorf("outside: %v", err)
	}
}

func TestErrorsSayWhatToMend(t *testing.T) {
	var status int
	var body string
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") }))
	defer elsewhere.Close()
	_, pod := apiServer(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", elsewhere.URL)
		w.WriteHeader(status)
		io.WriteString(w, body)
	})
	c, err := InCluster(pod)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		status int
		body   string
		want   string
	}{
		{403, "", "list pods in the namespace vault: bind a Role with the verb list on pods"},
		{401, "", "does not accept this server's credentials"},
		{302, "", "is not followed"},
		{500, "secret", "answered with status 500"},
		{200, "<html>", ErrNotKube.Error()},
		{200, `{"kind":"Status"}`, ErrNotKube.Error()},
		{200, `{"kind":"PodList","x":"` + strings.Repeat("x", maxPage) + `"}`, ErrNotKube.Error()},
		{200, `{"kind":"PodList","metadata":{"continue":"again"}}`, "narrow the label selector"},
	} {
		status, body = test.status, test.body
		_, err := c.Pods(t.Context(), "vault", "", "")
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%d %.40s: %v", test.status, test.body, err)
		}
	}
}

// Pages are read to the end; pods that do not run or are about to go are left out.
func TestPods(t *testing.T) {
	var asked []string
	_, pod := apiServer(t, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Path+" "+r.FormValue("labelSelector")+" "+r.FormValue("fieldSelector"))
		item := func(name, more, status string) string {
			return `{"metadata":{"name":"` + name + `"` + more + `},"status":{` + status + `}}`
		}
		const running = `"phase":"Running","hostIP":"10.0.0.9","podIP":"10.1.0.1"`
		if r.FormValue("continue") == "" {
			io.WriteString(w, `{"kind":"PodList","metadata":{"continue":"more"},"items":[`+item("a", "", running)+","+item("pending", "", `"phase":"Pending"`)+`]}`)
			return
		}
		io.WriteString(w, `{"kind":"PodList","items":[`+item("going", `,"deletionTimestamp":"2026-01-01T00:00:00Z"`, running)+","+
			item("no-address", "", `"phase":"Running"`)+","+item("b", "", running)+`]}`)
	})
	c, err := InCluster(pod)
	if err != nil {
		t.Fatal(err)
	}
	found, err := c.Pods(t.Context(), "a/b", "x=y", "z=1")
	if err != nil || len(found) != 2 || found[0] != (Found{"a", "10.1.0.1", "10.0.0.9"}) || found[1].Name != "b" {
		t.Errorf("%v, %v", found, err)
	}
	if len(asked) != 2 || asked[1] != "/api/v1/namespaces/a/b/pods x=y z=1" {
		t.Errorf("asked %q", asked)
	}
}

func TestKubeconfig(t *testing.T) {
	var bearer string
	s, _ := apiServer(t, func(w http.ResponseWriter, r *http.Request) {
		bearer = r.Header.Get("Authorization")
		io.WriteString(w, `{"kind":"PodList"}`)
	})
	dir := t.TempDir()
	path := filepath.Join(dir, "config")
	write(t, filepath.Join(dir, "token"), "from a file")
	config := func(user string) string {
		return `
current-context: here
contexts: [{name: here, context: {cluster: c, user: u, namespace: ns}}]
clusters: [{name: c, cluster: {server: "` + s.URL + `", certificate-authority-data: ` + base64.StdEncoding.EncodeToString([]byte(authority(s))) + `}}]
users: [{name: u, user: ` + user + `}]
`
	}
	for user, want := range map[string]string{"{token: t}": "Bearer t", "{tokenFile: token}": "Bearer from a file", "{}": ""} {
		write(t, path, config(user))
		c, err := Kubeconfig(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Pods(t.Context(), c.Namespace(), "", ""); err != nil || bearer != want || c.Namespace() != "ns" {
			t.Errorf("%s: asked as %q in %q: %v", user, bearer, c.Namespace(), err)
		}
	}
	for text, want := range map[string]string{
		"token: [hidden":                     "is not one",
		"current-context: nowhere":           "names no context",
		"contexts: [{name: \"\"}]":           "no cluster with a server",
		config("{exec: {command: aws}}"):     "which is not run",
		config("{client-certificate: gone}"): "no such file",
		config("{client-certificate-data: " + base64.StdEncoding.EncodeToString([]byte("hidden")) + "}"): "client certificate",
	} {
		write(t, path, text)
		if _, err := Kubeconfig(path); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestParseUsername(t *testing.T) {
	if a, err := ParseUsername("system:serviceaccount:ns:sa"); err != nil || a != (Account{"ns", "sa"}) {
		t.Errorf("%v, %v", a, err)
	}
	for _, user := range []string{"", "admin", "system:serviceaccount:", "system:serviceaccount:ns:", "system:serviceaccount::sa", "system:serviceaccount:ns:sa:x"} {
		if _, err := ParseUsername(user); !errors.Is(err, ErrNotServiceAccount) {
			t.Errorf("%q: %v", user, err)
		}
	}
}

func TestRelabelPod(t *testing.T) {
	status := http.StatusOK
	_, pod := apiServer(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		const want = `[{"op":"test","path":"/metadata/labels/a","value":"1"},{"op":"replace","path":"/metadata/labels/a","value":"2"}]`
		if r.Method != http.MethodPatch || r.URL.Path != "/api/v1/namespaces/vault/pods/vault-0" || r.Header.Get("Content-Type") != "application/json-patch+json" || string(body) != want {
			t.Errorf("asked %s %s %s", r.Method, r.URL, body)
		}
		w.WriteHeader(status)
		io.WriteString(w, `{"kind": "Pod"}`)
	})
	c, err := InCluster(pod)
	if err != nil {
		t.Fatal(err)
	}
	for _, status = range []int{http.StatusOK, http.StatusUnprocessableEntity, http.StatusNotFound, http.StatusForbidden} {
		err := c.RelabelPod(t.Context(), "vault", "vault-0", "a", "1", "2")
		if _, refused := errors.AsType[*StatusError](err); refused != (status == http.StatusForbidden) || err != nil && !refused {
			t.Errorf("status %d: %v", status, err)
		}
	}
}

func TestLabelPod(t *testing.T) {
	labels := map[string]string{"app": "x"}
	forgetful := false
	_, pod := apiServer(t, func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			Metadata struct{ Labels map[string]string }
		}
		if r.Method != http.MethodPatch || r.URL.Path != "/api/v1/namespaces/vault/pods/vault-0" || r.Header.Get("Content-Type") != "application/merge-patch+json" || json.NewDecoder(r.Body).Decode(&in) != nil {
			t.Errorf("asked %s %s", r.Method, r.URL)
		}
		if !forgetful {
			maps.Copy(labels, in.Metadata.Labels)
		}
		json.NewEncoder(w).Encode(map[string]any{"kind": "Pod", "metadata": map[string]any{"labels": labels}})
	})
	c, err := InCluster(pod)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.LabelPod(t.Context(), "vault", "vault-0", map[string]string{"a": "1"}); err != nil || labels["a"] != "1" || labels["app"] != "x" {
		t.Errorf("%v, %v", labels, err)
	}
	forgetful = true
	if err := c.LabelPod(t.Context(), "vault", "vault-0", map[string]string{"a": "2"}); !errors.Is(err, ErrNotKube) {
		t.Errorf("an answer without the label: %v", err)
	}
}
