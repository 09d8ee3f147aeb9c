package server

import (
	"reflect"
	"strings"
	"testing"
)

// chartConfigs are the configurations that the well-known chart's values render: the default of each mode, and with everything that its comments
// suggest switched on.
var chartConfigs = map[string]string{
	"raft": `
disable_mlock = true
ui = true

listener "tcp" {
  tls_disable = 1
  address = "[::]:8200"
  cluster_address = "[::]:8201"
}

storage "raft" {
  path = "/vault/data"
}

service_registration "kubernetes" {}
`,
	"standalone": `
disable_mlock = true
ui = true

listener "tcp" {
  tls_disable = 1
  address = "[::]:8200"
  cluster_address = "[::]:8201"
}

storage "file" {
  path = "/vault/data"
}
`,
	"raft, all of it": `
disable_mlock = true
ui = true
cluster_name = "vault-integrated-storage"

listener "tcp" {
  address = "[::]:8200"
  cluster_address = "[::]:8201"
  tls_cert_file = "/vault/userconfig/tls/tls.crt"
  tls_key_file  = "/vault/userconfig/tls/tls.key"
  tls_client_ca_file = "/vault/userconfig/tls/ca.crt"
  telemetry {
    unauthenticated_metrics_access = "true"
  }
}

storage "raft" {
  path = "/vault/data"
  retry_join {
    leader_api_addr = "https://vault-0.vault-internal:8200"
    leader_ca_cert_file = "/vault/userconfig/tls/ca.crt"
    leader_client_cert_file = "/vault/userconfig/tls/tls.crt"
    leader_client_key_file = "/vault/userconfig/tls/tls.key"
  }
  retry_join {
    auto_join = "provider=k8s namespace=vault label_selector=\"component=server,app.kubernetes.io/name=vault\""
    auto_join_scheme = "http"
  }
  autopilot {
    server_stabilization_time = "10s"
    last_contact_threshold = "10s"
    min_quorum = 3
    cleanup_dead_servers = false
    dead_server_last_contact_threshold = "10m"
    max_trailing_logs = 1000
    disable_upgrade_migration = false
  }
}

telemetry {
  prometheus_retention_time = "30s"
  disable_hostname = true
}

service_registration "kubernetes" {
  namespace = "elsewhere"
}

plugin_directory = "/usr/local/libexec/vault"
`,
	"JSON": `{"disable_mlock": true, "ui": true, "listener": [{"tcp": {"address": "[::]:8200", "cluster_address": "[::]:8201", "tls_disable": 1}}],
  "storage": {"raft": {"path": "/vault/data"}}, "service_registration": {"kubernetes": {}}}`,
}

// What the chart renders starts, with what its pods' environment adds; the warnings name all that has no effect, and nothing else.
func TestChartConfigurations(t *testing.T) {
	warned := map[string][]string{"raft, all of it": {"autopilot", "plugin_directory"}}
	for name, source := range chartConfigs {
		t.Run(name, func(t *testing.T) {
			write(t, map[string]string{"conf/extraconfig-from-values.hcl": source})
			for name, value := range map[string]string{
				"VAULT_API_ADDR": "http://10.42.0.7:8200", "VAULT_CLUSTER_ADDR": "https://vault-0.vault-internal:8201", "VAULT_K8S_POD_NAME": "vault-0", "VAULT_K8S_NAMESPACE": "vault",
				"VAULT_ADDR": "http://127.0.0.1:8200", "HOST_IP": "10.0.0.1", "POD_IP": "10.42.0.7", "SKIP_CHOWN": "true", "SKIP_SETCAP": "true",
				"VAULT_LOG_LEVEL": "debug", "VAULT_LOG_FORMAT": "json",
			} {
				t.Setenv(name, value)
			}
			c, warnings, err := LoadConfig("conf")
			if err != nil {
				t.Fatal(err)
			}
			if l := c.Listeners[0]; l.Address != "[::]:8200" || l.ClusterAddress != "[::]:8201" || c.ClusterAddr != "https://vault-0.vault-internal:8201" || !c.UI || c.APIAddr != "http://10.42.0.7:8200" ||
				c.Log != (Logging{Level: "debug", Format: "json"}) || !c.DisableMlock {
				t.Errorf("%+v", c)
			}
			if r := c.Registration; name != "standalone" && (r == nil || r.PodName != "vault-0" || r.Namespace != "vault") {
				t.Errorf("service registration: %+v", r)
			}
			var names []string
			for _, w := range warnings {
				name, _, _ := strings.Cut(w, " at ")
				names = append(names, name)
			}
			if !reflect.DeepEqual(names, warned[name]) {
				t.Errorf("warnings %q", warnings)
			}
		})
	}
}

func TestSwitchesOfTheEnvironment(t *testing.T) {
	write(t, map[string]string{"v.hcl": "ui = true\ndisable_mlock = false\nstorage \"inmem\" {}\nlistener \"tcp\" { tls_disable = true }"})
	t.Setenv("VAULT_UI", "false")
	t.Setenv("VAULT_DISABLE_MLOCK", "1")
	t.Setenv("VAULT_LOG_FILE", "/var/log/strongroom")
	c, warnings, err := LoadConfig("v.hcl")
	if err != nil || len(warnings) > 0 || c.UI || !c.DisableMlock || c.Log.File != "/var/log/strongroom" {
		t.Errorf("%+v, %q, %v", c, warnings, err)
	}
	t.Setenv("VAULT_UI", "perhaps")
	if _, _, err := LoadConfig("v.hcl"); err == nil || !strings.HasPrefix(err.Error(), "environment: VAULT_UI: true or false is needed here") {
		t.Errorf("%v", err)
	}
}
