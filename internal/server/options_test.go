package server

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestParseOptions(t *testing.T) {
	tests := []struct {
		args []string
		env  map[string]string
		want Options
	}{
		{args: []string{"-config=a.hcl", "-config", "dir"}, want: Options{ConfigPaths: []string{"a.hcl", "dir"}, DevListenAddress: "127.0.0.1:8200"}},
		{args: []string{"-dev"}, want: Options{Dev: true, DevListenAddress: "127.0.0.1:8200"}},
		{args: []string{"--dev", "-dev-root-token-id=root", "-dev-listen-address=0.0.0.0:1234", "-dev-no-store-token", "-dev-no-kv", "-log-level=DEBUG", "-log-format=json"},
			want: Options{Dev: true, DevRootTokenID: "root", DevListenAddress: "0.0.0.0:1234", DevNoStoreToken: true, DevNoKV: true, Log: Logging{Level: "debug", Format: "json"}}},
		{args: []string{"-dev-tls", "-dev-tls-san=a.example", "-dev-tls-san", "10.0.0.1", "-dev-tls-cert-dir=d"},
			want: Options{Dev: true, DevTLS: true, DevTLSCertDir: "d", DevTLSSANs: []string{"a.example", "10.0.0.1"}, DevListenAddress: "127.0.0.1:8200"}},
		{args: []string{"-dev"}, env: map[string]string{"VAULT_DEV_ROOT_TOKEN_ID": "r", "VAULT_DEV_LISTEN_ADDRESS": "127.0.0.1:1"},
			want: Options{Dev: true, DevRootTokenID: "r", DevListenAddress: "127.0.0.1:1"}},
		{args: []string{"-dev", "-dev-root-token-id=flag"}, env: map[string]string{"VAULT_DEV_ROOT_TOKEN_ID": "r"},
			want: Options{Dev: true, DevRootTokenID: "flag", DevListenAddress: "127.0.0.1:8200"}},
		// What Vault's container image passes whatever the mode.
		{args: []string{"-config=/vault/config", "-dev-root-token-id=", "-dev-listen-address=0.0.0.0:8200"},
			want: Options{ConfigPaths: []string{"/vault/config"}, DevListenAddress: "0.0.0.0:8200"}},
	}
	for _, test := range tests {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			t.Setenv("VAULT_DEV_ROOT_TOKEN_ID", test.env["VAULT_DEV_ROOT_TOKEN_ID"])
			t.Setenv("VAULT_DEV_LISTEN_ADDRESS", test.env["VAULT_DEV_LISTEN_ADDRESS"])
			got, err := ParseOptions(test.args, io.Discard)
			if err != nil || !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v, %v\nwant %+v", got, err, test.want)
			}
		})
	}
}

func TestParseOptionsErrors(t *testing.T) {
	for args, want := range map[string]string{
		"":                                   "no configuration: name a file or directory with -config=PATH, or start a development server with -dev",
		"-dev extra":                         `unexpected argument "extra"`,
		"-recovery -config=a":                "-recovery: recovery mode is not in this release",
		"-exit-on-core-shutdown -config=a":   "-exit-on-core-shutdown: this release always exits",
		"-dev -log-level=loud":               "must be trace, debug, info, warn or error",
		"-dev -log-format=xml":               "must be one of standard, json",
		"-dev -dev-listen-address=127.0.0.1": "-dev-listen-address: \"127.0.0.1\" is not host:port",
		"-nonsense":                          `"server -h" lists the options`,
	} {
		if _, err := ParseOptions(strings.Fields(args), io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", args, err, want)
		}
	}
}

func TestHelp(t *testing.T) {
	var out bytes.Buffer
	if _, err := ParseOptions([]string{"-h"}, &out); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("got %v", err)
	}
	for _, word := range []string{"Usage: strongroom server", "-dev-root-token-id token", "-config path"} {
		if !strings.Contains(out.String(), word) {
			t.Errorf("the help lacks %q:\n%s", word, out.String())
		}
	}
}

func TestDevConfig(t *testing.T) {
	write(t, map[string]string{"conf/x.hcl": "ui = false\nstorage \"file\" { path = \"d\" }\nlog_level = \"debug\"\nmax_lease_ttl = \"1h\""})
	o := Options{Dev: true, DevListenAddress: "127.0.0.1:8400", ConfigPaths: []string{"conf"}, Log: Logging{Level: "trace"}}
	c, warnings, err := o.Config()
	if err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], "conf/x.hcl:2:1 has no effect") {
		t.Fatal(warnings, err)
	}
	l := c.Listeners[0]
	if c.Storage.Type != "inmem" || l.Address != "127.0.0.1:8400" || !l.TLS.Disable || c.APIAddr != "http://127.0.0.1:8400" || c.ClusterAddr != "https://127.0.0.1:8401" ||
		c.UI || c.Log.Level != "trace" || c.MaxLeaseTTL.Hours() != 1 {
		t.Errorf("got %+v", c)
	}
}

func TestDevTLSConfig(t *testing.T) {
	write(t, nil)
	o := Options{Dev: true, DevTLS: true, DevListenAddress: "127.0.0.1:0", DevTLSCertDir: "tls", DevTLSSANs: []string{"vault.example"}}
	c, _, err := o.Config()
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join("tls", "vault-key.pem")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key: %v, %v", info, err)
	}
	addr, _ := serve(t, c.Listeners[0])
	config := pool(t, "tls")
	for _, name := range []string{"vault.example", "localhost", "127.0.0.1"} {
		if _, err := get("https://"+addr, tlsFor(config, name)); err != nil {
			t.Errorf("called %s: %v", name, err)
		}
	}
	if _, err := get("https://"+addr, tlsFor(config, "other.example")); err == nil {
		t.Error("the certificate is for any name")
	}
}
