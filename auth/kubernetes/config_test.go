package kubernetes

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"strongroom/engine"
)

// wantError demands an error of kind whose text has want in it.
func wantError(t *testing.T, what string, err error, kind engine.Kind, want string) {
	t.Helper()
	if err == nil || engine.KindOf(err) != kind || !strings.Contains(err.Error(), want) {
		t.Errorf("%s: error %v of kind %d, want %q of kind %d", what, err, engine.KindOf(err), want, kind)
	}
}

func TestConfig(t *testing.T) {
	f := mountMethod(t)
	if _, err := f.Do(engine.Read, "config", nil); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("before the first write: %v", err)
	}
	srv := newAPIServer(t)
	key := newSigner(t).publicPEM(t)
	resp := f.must(t, engine.Update, "config", object{
		"kubernetes_host": "https://kubernetes.default.svc", "kubernetes_ca_cert": srv.ca(), "token_reviewer_jwt": "opaque-token\n",
		"pem_keys": []string{key, srv.ca()}, "issuer": "me", "disable_iss_validation": false, "disable_local_ca_jwt": "true",
	})
	if resp != nil {
		t.Errorf("warned of nothing: %v", resp.Warnings)
	}
	got := f.must(t, engine.Read, "config", nil).Data
	want := object{
		"kubernetes_host": "https://kubernetes.default.svc", "kubernetes_ca_cert": strings.TrimSpace(srv.ca()),
		"pem_keys": []string{strings.TrimSpace(key), strings.TrimSpace(srv.ca())}, "issuer": "me", "disable_iss_validation": false,
		"disable_local_ca_jwt": true, "use_annotations_as_alias_metadata": false, "token_reviewer_jwt_set": true,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}

	// A write replaces all of it.
	f.must(t, engine.Update, "config", object{"kubernetes_host": "https://10.0.0.1:6443/k8s/"})
	got = f.must(t, engine.Read, "config", nil).Data
	want = object{
		"kubernetes_host": "https://10.0.0.1:6443/k8s/", "kubernetes_ca_cert": "", "pem_keys": []string{}, "issuer": "", "disable_iss_validation": true,
		"disable_local_ca_jwt": false, "use_annotations_as_alias_metadata": false, "token_reviewer_jwt_set": false,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
}

func TestConfigErrors(t *testing.T) {
	f := mountMethod(t)
	key := pemOf("EC PRIVATE KEY", []byte("x"))
	for _, c := range []struct {
		body object
		want string
	}{
		{object{}, "no host provided: give kubernetes_host"},
		{object{"kubernetes_host": "kubernetes.default.svc"}, "kubernetes_host must be the URL"},
		{object{"kubernetes_host": "10.0.0.1:6443"}, "kubernetes_host must be the URL"},
		{object{"kubernetes_host": "ftp://h"}, "kubernetes_host must be the URL"},
		{object{"kubernetes_host": "https://"}, "kubernetes_host must be the URL"},
		{object{"kubernetes_host": "https://h?x=1"}, "kubernetes_host must be the URL"},
		{object{"kubernetes_host": "https://h\x7f"}, "kubernetes_host must be the URL"},
		{object{"kubernetes_host": "https://me:pass@h"}, "must not hold a user"},
		{object{"kubernetes_host": "https://h", "kubernetes_ca_cert": "@ca.crt"}, "no PEM certificate in it; give the whole PEM file"},
		{object{"kubernetes_host": "https://h", "kubernetes_ca_cert": key}, "it holds a EC PRIVATE KEY"},
		{object{"kubernetes_host": "https://h", "kubernetes_ca_cert": pemOf("CERTIFICATE", []byte("x"))}, "certificate 1 cannot be read"},
		{object{"kubernetes_host": "https://h", "kubernetes_ca_cert": newAPIServer(t).ca() + "junk"}, "something that is not PEM follows certificate 1"},
		{object{"kubernetes_host": "https://h", "token_reviewer_jwt": "a b"}, "token_reviewer_jwt holds spaces"},
		{object{"kubernetes_host": "https://h", "pem_keys": []string{"x"}}, "pem_keys: entry 1 is not one PEM block"},
		{object{"kubernetes_host": "https://h", "pem_keys": []string{key}}, "pem_keys: entry 1 is a EC PRIVATE KEY"},
		{object{"kubernetes_host": "https://h", "pem_keys": []string{pemOf("PUBLIC KEY", []byte("x"))}}, "pem_keys: entry 1"},
	} {
		_, err := f.Do(engine.Update, "config", c.body)
		wantError(t, fmt.Sprint(c.body), err, engine.Invalid, c.want)
	}
}

func TestConfigDefaultHost(t *testing.T) {
	f := mountMethod(t)
	f.env["KUBERNETES_SERVICE_HOST"], f.env["KUBERNETES_SERVICE_PORT"] = "fd00::1", "443"
	f.must(t, engine.Update, "config", object{})
	if got := f.must(t, engine.Read, "config", nil).Data.(object)["kubernetes_host"]; got != "https://[fd00::1]:443" {
		t.Errorf("host %v", got)
	}
}

func TestConfigWarnings(t *testing.T) {
	f := mountMethod(t)
	expires := time.Now().Add(48 * time.Hour).UTC()
	token := newSigner(t).token(t, "vault", "vault", object{"exp": expires.Unix()})
	resp := f.must(t, engine.Update, "config", object{"kubernetes_host": "http://h", "token_reviewer_jwt": token, "use_annotations_as_alias_metadata": true})
	text := strings.Join(resp.Warnings, "\n")
	for _, want := range []string{"not https", "no effect yet", "expires at " + expires.Format(time.RFC3339)} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in the warnings:\n%s", want, text)
		}
	}
	if strings.Contains(text, token) {
		t.Error("a warning shows the token")
	}
	if err := os.WriteFile(filepath.Join(f.dir, "token"), []byte(newSigner(t).token(t, "vault", "vault", nil)), 0o600); err != nil {
		t.Fatal(err)
	}
	if resp := f.must(t, engine.Update, "config", object{"kubernetes_host": "https://h", "token_reviewer_jwt": token}); resp != nil && len(resp.Warnings) > 0 {
		t.Errorf("a token of the pod's own account is warned of: %q", resp.Warnings)
	}
}

func TestSecretDoesNotPrint(t *testing.T) {
	c := &config{ReviewerJWT: "hidden"}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		if s := fmt.Sprintf(format, *c) + fmt.Sprintf(format, c.ReviewerJWT); strings.Contains(s, "hidden") || strings.Contains(s, "68696464656e") {
			t.Errorf("%s prints %s", format, s)
		}
	}
}
