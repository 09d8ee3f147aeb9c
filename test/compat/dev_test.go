package compat

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/hashicorp/vault/api"
)

// What people and scripts rely on of -dev: the address, the token, its file, secret/ and the two lines of the banner.
func TestDevelopmentServer(t *testing.T) {
	s := startDev(t)
	out := s.output()
	for _, line := range []string{`(?m)^Unseal Key: [A-Za-z0-9+/]+=*$`, `(?m)^Root Token: root$`, `(?m)^    \$ export VAULT_ADDR='` + regexp.QuoteMeta(s.addr) + `'$`,
		`(?m)^ +Storage: inmem$`, `(?m)^ +Api Address: ` + regexp.QuoteMeta(s.addr) + `$`} {
		if !regexp.MustCompile(line).MatchString(out) {
			t.Errorf("no line %s in the banner:\n%s", line, out)
		}
	}
	file := filepath.Join(s.home, ".vault-token")
	if token := string(must[[]byte](t)(os.ReadFile(file))); token != "root" {
		t.Errorf("~/.vault-token holds %q", token)
	}
	if info := must[os.FileInfo](t)(os.Stat(file)); info.Mode().Perm() != 0o600 {
		t.Errorf("~/.vault-token has mode %v", info.Mode())
	}
	root := s.client(t, "root")
	mounts := must[map[string]*api.MountOutput](t)(root.Sys().ListMounts())
	if m := mounts["secret/"]; m == nil || m.Type != "kv" || m.Options["version"] != "2" {
		t.Errorf("secret/ is %+v", m)
	}
	health := must[*api.HealthResponse](t)(root.Sys().Health())
	if !health.Initialized || health.Sealed || health.Standby {
		t.Errorf("health: %+v", health)
	}
	// The key in the banner unseals it again.
	if err := root.Sys().Seal(); err != nil {
		t.Fatal(err)
	}
	key := regexp.MustCompile(`Unseal Key: (\S+)`).FindStringSubmatch(out)[1]
	if status := must[*api.SealStatusResponse](t)(root.Sys().Unseal(key)); status.Sealed {
		t.Errorf("after the key of the banner: %+v", status)
	}
	must[*api.Secret](t)(root.Auth().Token().LookupSelf())
}

func TestDevelopmentServerFlags(t *testing.T) {
	s := startDev(t, "-dev-no-kv", "-dev-no-store-token")
	if _, err := os.Stat(filepath.Join(s.home, ".vault-token")); !os.IsNotExist(err) {
		t.Errorf("-dev-no-store-token: %v", err)
	}
	if m := must[map[string]*api.MountOutput](t)(s.client(t, "root").Sys().ListMounts()); m["secret/"] != nil {
		t.Error("-dev-no-kv mounted secret/")
	}
}

// A key that the configuration does not have is warned of by its name and line, and the server starts.
func TestUnknownConfigurationKey(t *testing.T) {
	s := startFile(t, "flavour = \"mint\"\nlistener \"tcp\" {\n  address = \"127.0.0.1:0\"\n  tls_disable = true\n  tls_dissable = true\n}\n")
	for _, name := range []string{"flavour", "tls_dissable"} {
		if re := regexp.MustCompile(`\[WARN\].*unknown or unsupported field ` + name + ` found in configuration at \S+strongroom\.hcl:\d+`); !re.MatchString(s.output()) {
			t.Errorf("no warning of %s:\n%s", name, s.output())
		}
	}
}

func TestServerRefusesToStart(t *testing.T) {
	s := &server{home: t.TempDir(), addr: "http://127.0.0.1:1"}
	s.runSteps(t, []step{
		{run: "vault server", code: 1, stderr: "Error: no configuration: name a file or directory with -config=PATH, or start a development server with -dev\n"},
		{run: "vault server -config=none.hcl", code: 1, stderr: "Error: configuration: stat none.hcl: no such file or directory\n"},
		{run: "echo 'listener \"tcp\" { tls_disable = true }' >a.hcl; vault server -config=a.hcl", code: 1, stderr: "Error: no storage is configured{any}\n"},
		{run: "vault server -dev -dev-listen-address=nowhere", code: 1, stderr: "Error: -dev-listen-address: {any}\n"},
		{run: "vault server -flavour", code: 1, stderr: "Error: {any}-flavour{any}\n"},
	})
}
