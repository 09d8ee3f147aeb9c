package tlssecret

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"strongroom/internal/kube"
)

// api is an API server that keeps Secrets, with versions.
type api struct {
	mu      sync.Mutex
	objects map[string]map[string]any
	version int
	puts    int
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	name := path.Base(r.URL.Path)
	var object map[string]any
	if r.Method != http.MethodGet {
		if json.NewDecoder(r.Body).Decode(&object) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		name = object["metadata"].(map[string]any)["name"].(string)
	}
	old, there := a.objects[name]
	switch {
	case r.Method == http.MethodGet && !there:
		w.WriteHeader(http.StatusNotFound)
		return
	case r.Method == http.MethodGet:
		object = old
	case r.Method == http.MethodPost && there, r.Method == http.MethodPut && object["metadata"].(map[string]any)["resourceVersion"] != old["metadata"].(map[string]any)["resourceVersion"]:
		w.WriteHeader(http.StatusConflict)
		return
	default:
		a.version++
		a.puts++
		object["metadata"].(map[string]any)["resourceVersion"] = strconv.Itoa(a.version)
		a.objects[name] = object
	}
	json.NewEncoder(w).Encode(object)
}

func newAPI(t *testing.T) (*api, *kube.Client) {
	t.Helper()
	a := &api{objects: map[string]map[string]any{}}
	s := httptest.NewServer(a)
	t.Cleanup(s.Close)
	return a, kube.New(kube.Config{URL: s.URL})
}

func request() Request {
	return Request{Namespace: "vault", Name: "vault-tls", Names: Names{DNS: []string{"vault.vault.svc", "*.vault-internal"}, IP: []net.IP{net.IPv4(127, 0, 0, 1)}},
		Valid: 8760 * time.Hour, RenewBefore: 2920 * time.Hour}
}

// at runs ensure at a time and checks that what there is then works: whoever trusts any of the bundles in trusting gets a connection.
func at(t *testing.T, client *kube.Client, r Request, now time.Time, trusting ...[]byte) (Result, []byte) {
	t.Helper()
	out, err := ensure(t.Context(), client, r, now)
	if err != nil {
		t.Fatal(err)
	}
	s, err := client.Secret(t.Context(), r.Namespace, r.Name)
	if err != nil || s.Type != "kubernetes.io/tls" {
		t.Fatalf("%+v, %v", s, err)
	}
	if s.Data[caKeysKey] != nil || bytes.Count(s.Data[keyKey], []byte("BEGIN")) != 1 {
		t.Fatal("the key of the authority is in the Secret that servers mount")
	}
	for _, bundle := range append(trusting, s.Data[caKey]) {
		if err := handshake(bundle, s.Data[certKey], s.Data[keyKey], now); err != nil {
			t.Errorf("on %s: %v", now.Format(time.DateOnly), err)
		}
	}
	return out, s.Data[caKey]
}

// handshake connects by every name, trusting bundle.
func handshake(bundle, cert, key []byte, now time.Time) error {
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(bundle)
	clock := func() time.Time { return now }
	for _, name := range []string{"vault.vault.svc", "vault-2.vault-internal", "127.0.0.1"} {
		client, server := net.Pipe()
		go func() {
			_ = tls.Server(server, &tls.Config{Certificates: []tls.Certificate{pair}, Time: clock, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}).Handshake() // the client sees its failure
			server.Close()
		}()
		c := tls.Client(client, &tls.Config{RootCAs: pool, ServerName: name, Time: clock, Certificates: []tls.Certificate{pair}, MaxVersion: tls.VersionTLS12})
		err := c.Handshake()
		client.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

func TestEnsure(t *testing.T) {
	a, client := newAPI(t)
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	r := request()
	first, bundle := at(t, client, r, now)
	if _, ok := first.Cert.PublicKey.(*ecdsa.PublicKey); !ok || first.Reason == "" || first.Trusted != 1 || !first.Cert.NotAfter.Equal(now.Add(r.Valid)) {
		t.Errorf("%+v", first)
	}
	puts := a.puts
	if again, _ := at(t, client, r, now.Add(time.Hour)); again.Reason != "" || !again.Cert.Equal(first.Cert) || a.puts != puts {
		t.Errorf("a good certificate was replaced: %+v", again)
	}
	if early, _ := at(t, client, r, first.Cert.NotAfter.Add(-r.RenewBefore-time.Minute)); early.Reason != "" {
		t.Errorf("renewed too early: %+v", early)
	}
	renewed, _ := at(t, client, r, first.Cert.NotAfter.Add(-r.RenewBefore+time.Minute), bundle)
	if renewed.Cert.Equal(first.Cert) || !strings.Contains(renewed.Reason, "ends on 2027-11-24") {
		t.Errorf("not renewed: %+v", renewed)
	}
	now = first.Cert.NotAfter
	r.Names.DNS = append(r.Names.DNS, "vault.example.com")
	if wider, _ := at(t, client, r, now, bundle); wider.Reason != "the names have changed" || len(wider.Cert.DNSNames) != 3 {
		t.Errorf("%+v", wider)
	}
	r.Names.DNS[0], r.Names.DNS[2] = r.Names.DNS[2], r.Names.DNS[0]
	if same, _ := at(t, client, r, now); same.Reason != "" {
		t.Errorf("the order of names is no difference: %+v", same)
	}
	r.Force = true
	if forced, _ := at(t, client, r, now, bundle); forced.Reason != "asked for" {
		t.Errorf("%+v", forced)
	}
}

// A cluster that lives for thirty years, looked after every four weeks. Clients that renew their copy of ca.crt once a quarter never lose it.
func TestAuthoritiesFollowEachOther(t *testing.T) {
	_, client := newAPI(t)
	start := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	r := request()
	_, copied := at(t, client, r, start)
	first, most := copied, 0
	const month = 4 * 7 * 24 * time.Hour
	for i := range 30 * 13 {
		now := start.Add(time.Duration(i) * month)
		out, bundle := at(t, client, r, now, copied)
		most = max(most, out.Trusted)
		if i%3 == 0 {
			copied = bundle
		}
		if left := out.Cert.NotAfter.Sub(now); left < r.RenewBefore-month {
			t.Fatalf("on %s the certificate has only %s left", now.Format(time.DateOnly), left)
		}
	}
	if most != 2 {
		t.Errorf("there were up to %d authorities at a time", most)
	}
	if bytes.Equal(first, copied) {
		t.Error("the first authority is still the only one")
	}
}

func TestWhatWasLostIsMadeAgain(t *testing.T) {
	a, client := newAPI(t)
	now, r := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC), request()
	_, bundle := at(t, client, r, now)
	delete(a.objects, "vault-tls-ca")
	out, both := at(t, client, r, now)
	if out.Reason != "its authority is gone" || out.Trusted != 2 || !bytes.Contains(both, bytes.TrimSpace(bundle)) {
		t.Errorf("without the authority: %+v", out)
	}
	delete(a.objects, "vault-tls")
	if out, _ = at(t, client, r, now, both); out.Reason != "there was none" || out.Trusted != 1 {
		t.Errorf("without the certificate: %+v", out)
	}
	a.objects["vault-tls"]["data"].(map[string]any)[keyKey] = "bm9uc2Vuc2U="
	if out, _ = at(t, client, r, now); out.Reason != "the old one was damaged" {
		t.Errorf("with a damaged key: %+v", out)
	}
	a.objects["vault-tls-ca"]["data"].(map[string]any)[caKeysKey] = "bm9uc2Vuc2U="
	if _, err := ensure(t.Context(), client, r, now); err == nil || !strings.Contains(err.Error(), "vault/vault-tls-ca is damaged") || strings.Contains(err.Error(), "nonsense") {
		t.Errorf("with a damaged authority: %v", err)
	}
}

func TestWhatOthersMadeStays(t *testing.T) {
	for _, name := range []string{"vault-tls", "vault-tls-ca"} {
		a, client := newAPI(t)
		mine := &kube.Secret{Namespace: "vault", Name: name, Type: "Opaque", Data: map[string][]byte{"tls.crt": []byte("mine")}}
		if err := client.PutSecret(t.Context(), mine); err != nil {
			t.Fatal(err)
		}
		if _, err := Ensure(t.Context(), client, request()); !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), "vault/"+name) {
			t.Errorf("%s: %v", name, err)
		}
		if a.puts != 1 {
			t.Errorf("%s: something was written", name)
		}
	}
}

// Many at once end with one certificate of one authority.
func TestManyAtOnce(t *testing.T) {
	a, client := newAPI(t)
	var all sync.WaitGroup
	var mu sync.Mutex
	serials := map[string]int{}
	for range 8 {
		all.Go(func() {
			out, err := Ensure(t.Context(), client, request())
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			serials[out.Cert.SerialNumber.String()]++
		})
	}
	all.Wait()
	if len(serials) != 1 || a.puts != 2 {
		t.Errorf("%d certificates, %d writes", len(serials), a.puts)
	}
}

func TestCommand(t *testing.T) {
	a := &api{objects: map[string]map[string]any{}}
	s := httptest.NewServer(a)
	defer s.Close()
	config := filepath.Join(t.TempDir(), "config")
	text := "current-context: c\ncontexts: [{name: c, context: {cluster: c, namespace: vault}}]\nclusters: [{name: c, cluster: {server: \"" + s.URL + "\"}}]\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) (int, string) {
		var out bytes.Buffer
		code := Main(context.Background(), args, &out, &out)
		return code, out.String()
	}
	good := []string{"ensure", "-kubeconfig", config, "-secret=vault-tls", "-dns-name=vault.vault.svc, *.vault-internal", "-dns-name=vault", "-ip-address=127.0.0.1,::1"}
	if code, out := run(good...); code != 0 || !strings.Contains(out, "Secret vault/vault-tls was made (there was none)") || !strings.Contains(out, "for vault.vault.svc, *.vault-internal, vault, 127.0.0.1, ::1.") {
		t.Errorf("%d: %s", code, out)
	}
	if code, out := run(good...); code != 0 || !strings.Contains(out, "is good, nothing was changed") {
		t.Errorf("%d: %s", code, out)
	}
	for want, args := range maps.All(map[string][]string{
		"-secret is missing":                   {"ensure"},
		"the one subcommand is \"tls ensure\"": {"remove"},
		"say by which names":                   {"ensure", "-secret=x"},
		"\"x\" is no IP address":               {"ensure", "-secret=x", "-ip-address=x"},
		"-renew-before must be":                {"ensure", "-secret=x", "-dns-name=a", "-valid=1h", "-renew-before=2h"},
		"unexpected argument":                  {"ensure", "-secret=x", "more"},
		"\"tls ensure -h\" lists the options":  {"ensure", "-nonsense"},
	}) {
		if code, out := run(args...); code != 1 || !strings.Contains(out, want) {
			t.Errorf("%q: %d, %s", args, code, out)
		}
	}
	if code, out := run("ensure", "-h"); code != 0 || !strings.Contains(out, "-renew-before") || !strings.Contains(out, "get, create and update") {
		t.Errorf("%d: %s", code, out)
	}
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	if code, out := run("ensure", "-secret=x", "-dns-name=a"); code != 2 || !strings.Contains(out, "name a kubeconfig") {
		t.Errorf("%d: %s", code, out)
	}
}
