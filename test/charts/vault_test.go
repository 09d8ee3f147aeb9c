package charts

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"strongroom/internal/server"
)

const vault = chart("vault")

func TestVaultGolden(t *testing.T) { testGolden(t, vault) }

func TestVaultSchema(t *testing.T) { testSchema(t, vault) }

// TestVaultVersion: the image that the chart runs is the one that was released with it.
func TestVaultVersion(t *testing.T) {
	var meta struct{ AppVersion string }
	var values struct {
		Server struct{ Image struct{ Tag string } }
	}
	for name, into := range map[string]any{"Chart.yaml": &meta, "values.yaml": &values} {
		text, err := os.ReadFile(filepath.Join(vault.dir(), name))
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal(text, into); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if meta.AppVersion == "" || values.Server.Image.Tag != meta.AppVersion {
		t.Errorf("values.yaml's server.image.tag is %q, and Chart.yaml's appVersion %q", values.Server.Image.Tag, meta.AppVersion)
	}
}

// TestVaultWalkthrough: the guide's --set arguments are the value set called walkthrough.
func TestVaultWalkthrough(t *testing.T) {
	bySet, err := vault.template(t, "--set", "server.ha.enabled=true", "--set", "server.ha.raft.enabled=true")
	if err != nil {
		t.Fatal(err)
	}
	golden, err := os.ReadFile(vault.path("walkthrough", "golden.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if bySet != string(golden) {
		t.Error("what the guide's command renders is not the golden file of the set walkthrough")
	}
}

// TestVaultConfig: the server understands every configuration that the chart renders, as the pod's script completes it, and warns of nothing in it.
func TestVaultConfig(t *testing.T) {
	for _, set := range vault.sets(t) {
		rendered, err := vault.template(t, "--values", vault.path(set, "values.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range objects(t, rendered) {
			if o.template != "server-config-configmap.yaml" {
				continue
			}
			t.Run(set, func(t *testing.T) {
				config := field(t, o, `.data.extraconfig-from-values\.hcl`)
				config = strings.NewReplacer("HOST_IP", "192.0.2.1", "POD_IP", "192.0.2.2", "HOSTNAME", "vault-0").Replace(config)
				file := filepath.Join(t.TempDir(), "storageconfig.hcl")
				if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
					t.Fatal(err)
				}
				for name, value := range map[string]string{
					"VAULT_API_ADDR": "http://192.0.2.2:8200", "VAULT_CLUSTER_ADDR": "https://vault-0.vault-internal:8201",
					"VAULT_K8S_POD_NAME": "vault-0", "VAULT_K8S_NAMESPACE": "vault", "VAULT_TOKEN": "t", "HOSTNAME": "vault-0",
				} {
					t.Setenv(name, value)
				}
				if _, warnings, err := server.LoadConfig(file); err != nil || len(warnings) > 0 {
					t.Errorf("the server says: %v %q, of\n%s", err, warnings, config)
				}
			})
		}
	}
}
