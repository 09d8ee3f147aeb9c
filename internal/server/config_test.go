package server

import (
	"crypto/tls"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"strongroom/internal/metrics"
)

// write makes name in a temporary directory, which becomes the working directory, so that messages show plain names.
func write(t *testing.T, files map[string]string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"VAULT_API_ADDR", "VAULT_CLUSTER_ADDR", "VAULT_RAFT_NODE_ID", "VAULT_RAFT_PATH", "VAULT_LOG_LEVEL", "VAULT_LOG_FORMAT", "VAULT_LOG_FILE",
		"VAULT_UI", "VAULT_DISABLE_MLOCK", "VAULT_K8S_NAMESPACE", "VAULT_K8S_POD_NAME"} {
		t.Setenv(name, "")
	}
}

const full = `
ui            = true
api_addr      = "https://vault-0.example.com:8200/"
cluster_addr  = "http://10.0.0.1:8201"
cluster_name  = "primary"
disable_mlock = 1
log_level     = "WARN"
log_format    = "json"
pid_file      = "/run/strongroom.pid"
default_lease_ttl = 3600
max_lease_ttl     = "7d"

storage "raft" {
  path    = "/data"
  node_id = "vault-0"
  performance_multiplier = 1
  snapshot_threshold     = "1000"
  retry_join {
    leader_api_addr     = "https://vault-1.example.com:8200"
    leader_ca_cert_file = "/tls/ca.pem"
  }
  retry_join {
    leader_api_addr = "https://vault-2.example.com:8200"
    leader_ca_cert  = <<EOF
-----BEGIN CERTIFICATE-----
AAAA
-----END CERTIFICATE-----
EOF
  }
}

listener "tcp" {
  address       = "[::]:8200"
  tls_cert_file = "/tls/cert.pem"
  tls_key_file  = "/tls/key.pem"
  tls_min_version = "tls13"
  max_request_size = -1
  max_request_duration = "30s"
  http_read_timeout = "45s"
  x_forwarded_for_authorized_addrs = ["10.0.0.0/8", "192.0.2.7"]
  telemetry { unauthenticated_metrics_access = "true" }
}

listener "tcp" {
  address     = "127.0.0.1:8300"
  tls_disable = "1"
}
`

const fullJSON = `{
  "ui": true, "api_addr": "https://vault-0.example.com:8200/", "cluster_addr": "http://10.0.0.1:8201", "cluster_name": "primary",
  "disable_mlock": 1, "log_level": "WARN", "log_format": "json", "pid_file": "/run/strongroom.pid",
  "default_lease_ttl": 3600, "max_lease_ttl": "7d", "telemetry": null,
  "storage": {"raft": {"path": "/data", "node_id": "vault-0", "performance_multiplier": 1, "snapshot_threshold": "1000",
    "retry_join": [
      {"leader_api_addr": "https://vault-1.example.com:8200", "leader_ca_cert_file": "/tls/ca.pem"},
      {"leader_api_addr": "https://vault-2.example.com:8200",
       "leader_ca_cert": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}]}},
  "listener": [
    {"tcp": {"address": "[::]:8200", "tls_cert_file": "/tls/cert.pem", "tls_key_file": "/tls/key.pem", "tls_min_version": "tls13",
      "max_request_size": -1, "max_request_duration": "30s", "http_read_timeout": "45s",
      "x_forwarded_for_authorized_addrs": "10.0.0.0/8,192.0.2.7",
      "telemetry": {"unauthenticated_metrics_access": "true"}}},
    {"tcp": {"address": "127.0.0.1:8300", "tls_disable": "1"}}]
}`

func TestLoadConfig(t *testing.T) {
	write(t, map[string]string{"a.hcl": full, "b.json": fullJSON})
	second := newListener()
	second.Address, second.ClusterAddress, second.TLS.Disable = "127.0.0.1:8300", "127.0.0.1:8301", true
	first := newListener()
	first.Address, first.ClusterAddress = "[::]:8200", "[::]:8201"
	first.TLS = ListenerTLS{CertFile: "/tls/cert.pem", KeyFile: "/tls/key.pem", MinVersion: tls.VersionTLS13}
	first.MaxRequestSize, first.MaxRequestDuration, first.HTTP.Read = math.MaxInt64, 30*time.Second, 45*time.Second
	first.XForwardedFor.Authorized = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.7/32")}
	first.UnauthenticatedMetrics = true
	want := &Config{Telemetry: metrics.Options{Retention: 24 * time.Hour},
		UI: true, APIAddr: "https://vault-0.example.com:8200", ClusterAddr: "https://10.0.0.1:8201", ClusterName: "primary", DisableMlock: true,
		Log: Logging{Level: "warn", Format: "json"}, PIDFile: "/run/strongroom.pid", DefaultLeaseTTL: time.Hour, MaxLeaseTTL: 7 * 24 * time.Hour,
		Storage: Storage{
			Type: "raft", Path: "/data", NodeID: "vault-0", PerformanceMultiplier: 1, SnapshotThreshold: 1000, MaxEntrySize: 1 << 20,
			RetryJoin: []RetryJoin{
				{LeaderAPIAddr: "https://vault-1.example.com:8200", LeaderCACertFile: "/tls/ca.pem"},
				{LeaderAPIAddr: "https://vault-2.example.com:8200", LeaderCACert: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"},
			},
		},
		Listeners: []Listener{first, second},
	}
	inert := []string{"performance_multiplier", "snapshot_threshold"}
	for _, file := range []string{"a.hcl", "b.json"} {
		got, warnings, err := LoadConfig(file)
		if err != nil || len(warnings) != len(inert) {
			t.Fatalf("%s: warnings %q, error %v", file, warnings, err)
		}
		for i, warning := range warnings {
			if !strings.HasPrefix(warning, inert[i]+" at "+file) || !strings.HasSuffix(warning, " has no effect: this release does not do it") {
				t.Errorf("%s: warning %s", file, warning)
			}
		}
		got.Storage.at = position{}
		for i := range got.Listeners {
			got.Listeners[i].at = position{}
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %+v\nwant %+v", file, got, want)
		}
	}
}

func TestDefaults(t *testing.T) {
	write(t, map[string]string{"v.hcl": "storage \"raft\" { path = \"d\" }\nlistener \"tcp\" { tls_disable = true }\nmax_lease_ttl = \"1h\"\ndisable_mlock = true"})
	c, warnings, err := LoadConfig("v.hcl")
	if err != nil || len(warnings) > 0 {
		t.Fatal(warnings, err)
	}
	l := c.Listeners[0]
	for _, check := range []struct{ what, got, want any }{
		{"address", l.Address, "127.0.0.1:8200"},
		{"cluster address", l.ClusterAddress, "127.0.0.1:8201"},
		{"api_addr", c.APIAddr, "http://127.0.0.1:8200"},
		{"cluster_addr", c.ClusterAddr, "https://127.0.0.1:8201"},
		{"log level", c.Log.Level, "info"},
		{"log format", c.Log.Format, "standard"},
		{"max lease", c.MaxLeaseTTL, time.Hour},
		{"default lease never above max", c.DefaultLeaseTTL, time.Hour},
		{"request size", l.MaxRequestSize, int64(33554432)},
		{"request duration", l.MaxRequestDuration, 90 * time.Second},
		{"TLS", l.TLS.MinVersion, uint16(tls.VersionTLS12)},
	} {
		if check.got != check.want {
			t.Errorf("%s: got %v, want %v", check.what, check.got, check.want)
		}
	}
}

func TestDirectoriesMerge(t *testing.T) {
	write(t, map[string]string{
		"conf/10.hcl":     "ui = true\nlog_level = \"debug\"\nstorage \"file\" { path = \"old\" }\nlistener \"tcp\" { tls_disable = true }",
		"conf/20.json":    `{"log_level": "error", "storage": {"raft": {"path": "new"}}, "listener": {"tcp": {"address": "127.0.0.1:9000", "tls_disable": true}}}`,
		"conf/README.txt": "not a configuration",
		"last.hcl":        "cluster_name = \"x\"",
	})
	c, _, err := LoadConfig("conf", "last.hcl")
	if err != nil {
		t.Fatal(err)
	}
	if !c.UI || c.Log.Level != "error" || c.Storage.Type != "raft" || c.Storage.Path != "new" || c.ClusterName != "x" || len(c.Listeners) != 2 {
		t.Errorf("got %+v", c)
	}
}

func TestEnvironmentOverridesFiles(t *testing.T) {
	write(t, map[string]string{"v.hcl": full})
	for name, value := range map[string]string{
		"VAULT_API_ADDR": "http://10.1.1.1:8200", "VAULT_CLUSTER_ADDR": "https://vault-0.vault-internal:8201", "VAULT_RAFT_NODE_ID": "n7",
		"VAULT_RAFT_PATH": "/elsewhere", "VAULT_LOG_LEVEL": "trace", "VAULT_LOG_FORMAT": "standard",
	} {
		t.Setenv(name, value)
	}
	c, _, err := LoadConfig("v.hcl")
	if err != nil {
		t.Fatal(err)
	}
	if c.APIAddr != "http://10.1.1.1:8200" || c.ClusterAddr != "https://vault-0.vault-internal:8201" || c.Storage.NodeID != "n7" ||
		c.Storage.Path != "/elsewhere" || c.Log != (Logging{Level: "trace", Format: "standard"}) {
		t.Errorf("got %+v", c)
	}
	t.Setenv("VAULT_API_ADDR", "vault-0:8200")
	if _, _, err := LoadConfig("v.hcl"); err == nil || !strings.HasPrefix(err.Error(), "environment: VAULT_API_ADDR: a full address is needed here") {
		t.Errorf("got %v", err)
	}
}

func TestWarnings(t *testing.T) {
	write(t, map[string]string{"vault.hcl": `storage "inmem" {}
listener "tcp" {
  tls_disabel = true
  tls_disable = true
  tls_min_version = "tls10"
  telemetry { nonsense = 1 }
}
telemetry { prometheus_retention_time = "30s" }
cache_size = 10
api_adr = "x"
`})
	_, warnings, err := LoadConfig("vault.hcl")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"unknown or unsupported field tls_disabel found in configuration at vault.hcl:3:3",
		"tls_min_version at vault.hcl:5:3 allows a TLS version that is broken: use tls12 or tls13",
		"unknown or unsupported field nonsense found in configuration at vault.hcl:6:15",
		"cache_size at vault.hcl:9:1 has no effect: there is nothing of the kind in this server",
		"unknown or unsupported field api_adr found in configuration at vault.hcl:10:1",
		"memory is not locked in this release, so keep it off the disk: turn swap off or encrypt it, and say so with disable_mlock = true",
	}
	if !reflect.DeepEqual(warnings, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(warnings, "\n"), strings.Join(want, "\n"))
	}
}

func TestWarningsOfJSONHavePositions(t *testing.T) {
	write(t, map[string]string{"v.json": "{\"disable_mlock\": true,\n \"storage\": {\"inmem\": {\"x\": 1}},\n \"listener\": [ { \"tcp\": { \"tls_disable\": true, \"y\" : [ {\"z\": 1} ] } } ]\n}"})
	_, warnings, err := LoadConfig("v.json")
	want := []string{
		"unknown or unsupported field x found in configuration at v.json:2:24",
		"unknown or unsupported field y found in configuration at v.json:3:48",
	}
	if err != nil || !reflect.DeepEqual(warnings, want) {
		t.Errorf("got %q, %v", warnings, err)
	}
}

// Every fault of a block comes at once, so that a configuration is not mended one restart at a time.
func TestAllErrorsOfABlock(t *testing.T) {
	write(t, map[string]string{"v.hcl": "ui = 7\nlog_format = \"xml\"\n"})
	_, _, err := LoadConfig("v.hcl")
	if err == nil || !strings.Contains(err.Error(), "v.hcl:1:1: ui") || !strings.Contains(err.Error(), "v.hcl:2:1: log_format") {
		t.Errorf("got %v", err)
	}
}

func TestMissingFiles(t *testing.T) {
	write(t, map[string]string{"empty/x.txt": ""})
	for _, paths := range [][]string{nil, {"absent.hcl"}, {"empty"}} {
		if _, _, err := LoadConfig(paths...); err == nil {
			t.Errorf("LoadConfig(%q) passed", paths)
		}
	}
}

func TestResolveNodeID(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := Storage{Type: "raft", Path: dir}
	first, err := ResolveNodeID(s)
	if err != nil || first == "" {
		t.Fatal(first, err)
	}
	if again, err := ResolveNodeID(s); err != nil || again != first {
		t.Errorf("after a restart %q, %v, want %q", again, err, first)
	}
	s.NodeID = "chosen"
	if id, err := ResolveNodeID(s); err != nil || id != "chosen" {
		t.Errorf("configured: %q, %v", id, err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("left in the directory: %v, %v", entries, err)
	}
	s.NodeID, s.PodName = "", "vault-0"
	if id, err := ResolveNodeID(s); err != nil || id != first {
		t.Errorf("in a pod, with the data of an older node: %q, %v, want %q", id, err, first)
	}
	fresh := Storage{Type: "raft", Path: filepath.Join(dir, "fresh"), PodName: "vault-0"}
	if id, err := ResolveNodeID(fresh); err != nil || id != "vault-0" {
		t.Errorf("in a new pod: %q, %v", id, err)
	}
	fresh.PodName = "renamed"
	if id, err := ResolveNodeID(fresh); err != nil || id != "vault-0" {
		t.Errorf("in a pod with another name: %q, %v", id, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "node-id"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ResolveNodeID(s); err == nil || !strings.Contains(err.Error(), "is empty") {
		t.Errorf("empty file: %v", err)
	}
}

// Whatever the file says, parsing ends in a configuration or in an error that names the file.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{full, fullJSON, "a {", "x = <<-E\n a\n E\n", `{"listener":[{"tcp":{}},1]}`, "ui = 0x", "a = [1, {}]", "x = <<E\nE\n", `"${a" = 1`,
		"seal \"static\" {\ncurrent_key_id = \"a\"\ncurrent_key = \"env://X\"\ndisabled = \"true\"\n}\nseal \"transit\" { tls_skip_verify = true }", `{"seal":{"peer":{"a":1}}}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, source string) {
		c, d := &Config{}, &decoder{}
		err := d.parse(c, "f", []byte(source))
		if err != nil {
			if !strings.Contains(err.Error(), "f:") {
				t.Errorf("an error without its file: %v", err)
			}
			return
		}
		c.Storage.Type, c.Storage.Path = "inmem", ""
		if err := d.finish(c); err == nil && (c.APIAddr == "" || c.ClusterAddr == "") {
			t.Errorf("incomplete: %+v", c)
		}
	})
}
