package compat

import (
	"bufio"
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"

	"strongroom/test/cluster"
	"strongroom/test/oidctest"
)

// loginByBrowser runs `vault login -method=oidc` against addr and is the user in front of it: it opens the link that is printed, and
// returns what the browser shows in the end.
func loginByBrowser(t *testing.T, p *oidctest.Provider, addr, home, option string) (page, stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(binDir, "vault"), "login", "-method=oidc", "skip_browser=true", "role=dev", option)
	cmd.Env = append(os.Environ(), "HOME="+home, "VAULT_ADDR="+addr, "VAULT_MAX_RETRIES=0")
	var out, complaints bytes.Buffer
	cmd.Stdout = &out
	pipe := must[io.ReadCloser](t)(cmd.StderrPipe())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(pipe)
	for lines.Scan() {
		line := lines.Text()
		fmt.Fprintln(&complaints, line)
		if link := strings.TrimSpace(line); strings.HasPrefix(link, p.URL) {
			resp, err := p.Client().Get(link)
			if err != nil {
				t.Error(err)
				continue
			}
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			page = string(body)
			if kind := resp.Header.Get("Content-Type"); !strings.HasPrefix(kind, "text/plain") {
				t.Errorf("the browser gets %s", kind)
			}
			if resp.Header.Get("X-Content-Type-Options") != "nosniff" {
				t.Error("the browser may guess what the page is")
			}
		}
	}
	if err := cmd.Wait(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return page, out.String(), complaints.String(), cmd.ProcessState.ExitCode()
}

// freePort is a port of this machine that nobody has.
func freePort(t *testing.T) string {
	t.Helper()
	_, port, err := net.SplitHostPort(freeAddr(t))
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// Logins by browser, through a standby: the whole way from the command line to the provider and back, and the user's groups there decide
// about their policies here.
func TestOIDCLogin(t *testing.T) {
	c := cluster.NewReady(t, 3)
	p := oidctest.Start(t)
	root := must[*api.Client](t)(c.Nodes[0].Client(c.Keys.Root))
	port := freePort(t)
	if err := root.Sys().EnableAuthWithOptions("oidc", &api.EnableAuthOptions{Type: "oidc"}); err != nil {
		t.Fatal(err)
	}
	accessor := must[map[string]*api.AuthMount](t)(root.Sys().ListAuth())["oidc/"].Accessor
	for _, w := range []struct {
		path string
		data map[string]any
	}{
		{"auth/oidc/config", map[string]any{"oidc_discovery_url": p.URL, "oidc_discovery_ca_pem": p.CA, "oidc_client_id": oidctest.Client, "oidc_client_secret": oidctest.Secret, "default_role": "dev"}},
		{"auth/oidc/role/dev", map[string]any{"user_claim": "sub", "groups_claim": "groups", "allowed_redirect_uris": "http://localhost:" + port + "/oidc/callback", "token_policies": "base"}},
		{"identity/group", map[string]any{"name": "operators", "type": "external", "policies": "operate"}},
	} {
		if _, err := root.Logical().Write(w.path, w.data); err != nil {
			t.Fatal(err)
		}
	}
	group := must[*api.Secret](t)(root.Logical().Read("identity/group/name/operators"))
	if _, err := root.Logical().Write("identity/group-alias", map[string]any{"name": "ops", "mount_accessor": accessor, "canonical_id": group.Data["id"]}); err != nil {
		t.Fatal(err)
	}

	home := t.TempDir()
	standby := c.Nodes[1].Addr
	page, out, complaint, code := loginByBrowser(t, p, standby, home, "port="+port)
	if code != 0 || !strings.Contains(page, "Signed in via your OIDC provider") || !strings.Contains(out, "You are now authenticated") || !strings.Contains(out, `["operate"]`) {
		t.Fatalf("login: %d\n%s\n%s\npage: %s", code, out, complaint, page)
	}
	info, err := os.Stat(filepath.Join(home, ".vault-token"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the kept token: %v, %v", info, err)
	}

	// Who has left the group at the provider has left it here with the next login.
	p.SetGroups()
	if _, out, complaint, code = loginByBrowser(t, p, standby, home, "port="+port); code != 0 || strings.Contains(out, "operate") {
		t.Errorf("login after leaving the group: %d\n%s\n%s", code, out, complaint)
	}

	p.Refuse("access_denied")
	page, out, complaint, code = loginByBrowser(t, p, standby, home, "port="+port)
	if code != 2 || out != "" || !strings.Contains(complaint, "Vault login failed") || strings.Contains(page+complaint, "<script>") || !strings.Contains(page, "The login failed") {
		t.Errorf("a refused login: %d\n%s\n%s\npage: %s", code, out, complaint, page)
	}
}

// Logins with certificates at every node of a cluster: a standby forwards what the client has proved to it, and a client cannot claim it.
func TestCertificateLoginThroughStandby(t *testing.T) {
	dir := t.TempDir()
	writePair(t, dir, 1)
	addrs := []string{freeAddr(t), freeAddr(t), freeAddr(t)}
	c := cluster.NewWith(t, cluster.Options{Nodes: 3, Node: func(i int) string {
		return fmt.Sprintf("listener \"tcp\" {\n  address = %q\n  tls_cert_file = %q\n  tls_key_file = %q\n}\n", addrs[i], filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	}})
	if err := c.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	root := must[*api.Client](t)(c.Nodes[0].Client(c.Keys.Root))
	if err := root.Sys().EnableAuthWithOptions("cert", &api.EnableAuthOptions{Type: "cert"}); err != nil {
		t.Fatal(err)
	}
	known := writeClient(t, dir, "known")
	writeClient(t, dir, "stranger")
	if _, err := root.Logical().Write("auth/cert/certs/web", map[string]any{"certificate": known, "token_policies": "web", "token_ttl": "10m"}); err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode([]byte(known))
	cert := must[*x509.Certificate](t)(x509.ParseCertificate(block.Bytes))
	for i, addr := range addrs {
		client := tlsClient(t, "https://"+addr, dir, "known")
		login, err := client.Logical().Write("auth/cert/login", nil)
		if err != nil || login.Auth.Metadata["common_name"] != "known" {
			t.Fatalf("node %d: %v", i, err)
		}
		client.SetToken(login.Auth.ClientToken)
		if _, err := client.Auth().Token().RenewSelf(0); err != nil {
			t.Errorf("node %d: renewal: %v", i, err)
		}
		forged := tlsClient(t, "https://"+addr, dir, "stranger")
		forged.AddHeader("X-Strongroom-Peer", base64.StdEncoding.EncodeToString(cert.Raw))
		_, err = forged.Logical().Write("auth/cert/login", nil)
		refused(t, err, 400, "invalid certificate or no client certificate supplied")
	}
	out, complaint, code := (&server{addr: "https://" + addrs[2], home: t.TempDir()}).shell(t,
		fmt.Sprintf("vault login -method=cert -token-only -ca-cert=%[1]s/cert.pem -client-cert=%[1]s/known.pem -client-key=%[1]s/known-key.pem name=web", dir))
	if code != 0 || !strings.HasPrefix(out, "hvs.") {
		t.Errorf("vault login at a standby: %q, %q, %d", out, complaint, code)
	}
}

// A login in direct mode: the browser, which may be on another machine, comes to a standby, and the command line asks there for the outcome.
func TestOIDCLoginDirect(t *testing.T) {
	c := cluster.NewReady(t, 3)
	p := oidctest.Start(t)
	root := must[*api.Client](t)(c.Nodes[0].Client(c.Keys.Root))
	standby := c.Nodes[1].Addr
	if err := root.Sys().EnableAuthWithOptions("oidc", &api.EnableAuthOptions{Type: "oidc"}); err != nil {
		t.Fatal(err)
	}
	for path, data := range map[string]map[string]any{
		"auth/oidc/config":   {"oidc_discovery_url": p.URL, "oidc_discovery_ca_pem": p.CA, "oidc_client_id": oidctest.Client, "oidc_client_secret": oidctest.Secret},
		"auth/oidc/role/dev": {"user_claim": "sub", "allowed_redirect_uris": standby + "/v1/auth/oidc/oidc/callback", "callback_mode": "direct", "poll_interval": "1s"},
	} {
		if _, err := root.Logical().Write(path, data); err != nil {
			t.Fatal(err)
		}
	}
	page, out, complaint, code := loginByBrowser(t, p, standby, t.TempDir(), "callbackmode=direct")
	if code != 0 || !strings.Contains(page, "Signed in via your OIDC provider") || !strings.Contains(out, "You are now authenticated") {
		t.Errorf("login: %d\n%s\n%s\npage: %s", code, out, complaint, page)
	}
	p.Refuse("access_denied")
	page, out, complaint, code = loginByBrowser(t, p, standby, t.TempDir(), "callbackmode=direct")
	if code != 2 || out != "" || !strings.Contains(complaint, "The provider refused the login") || strings.Contains(page, "<") {
		t.Errorf("a refused login: %d\n%s\n%s\npage: %s", code, out, complaint, page)
	}
}
