package compat

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"

	"strongroom/test/cluster"
)

// Three servers with one static key: the command line initializes them, and from then on nobody types a key, not even after SIGKILL of all.
func TestStaticSeal(t *testing.T) {
	key := filepath.Join(t.TempDir(), "unseal.key")
	if err := os.WriteFile(key, []byte("0123456789abcdef0123456789abcdef"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := cluster.NewWith(t, cluster.Options{Nodes: 3, Config: "seal \"static\" {\n  current_key_id = \"2026\"\n  current_key    = \"file://" + key + "\"\n}\n"})
	vault := func(n *cluster.Node, args ...string) string {
		t.Helper()
		out, err := c.Vault(t.Context(), n, args...).Output()
		if err != nil {
			t.Fatalf("vault %v: %v\n%s%s", args, err, out, stderrOf(err))
		}
		return string(out)
	}
	first := c.Nodes[0]
	var made struct {
		Unseal   []string `json:"unseal_keys_b64"`
		Recovery []string `json:"recovery_keys_b64"`
		Root     string   `json:"root_token"`
	}
	if err := json.Unmarshal([]byte(vault(first, "operator", "init", "-format=json")), &made); err != nil {
		t.Fatal(err)
	}
	if len(made.Unseal) != 0 || len(made.Recovery) != 5 || made.Root == "" {
		t.Fatalf("%d unseal keys, %d recovery keys", len(made.Unseal), len(made.Recovery))
	}
	c.Keys = &cluster.Keys{Root: made.Root}
	if err := c.AwaitVoters(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Seal Type", "static", "Recovery Seal Type", "shamir", "Total Recovery Shares", "5"} {
		if status := vault(first, "status"); !strings.Contains(status, want) {
			t.Errorf("vault status misses %q:\n%s", want, status)
		}
	}
	root := must[*api.Client](t)(first.Client(made.Root))
	if _, err := root.Logical().WriteWithContext(t.Context(), "sys/policies/acl/kept", map[string]any{"policy": `path "a" { capabilities = ["read"] }`}); err != nil {
		t.Fatal(err)
	}

	for _, n := range c.Nodes {
		n.Kill()
	}
	for _, n := range c.Nodes {
		if err := n.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.AwaitVoters(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	for _, n := range c.Nodes {
		client := must[*api.Client](t)(n.Client(made.Root))
		eventually(t, 20*time.Second, func() error {
			_, err := client.Sys().GetPolicyWithContext(t.Context(), "kept")
			return err
		})
	}

	// Sealed on purpose, it waits for the recovery keys.
	last := c.Nodes[2]
	client := must[*api.Client](t)(last.Client(made.Root))
	if err := client.Sys().SealWithContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, share := range made.Recovery[:3] {
		vault(last, "operator", "unseal", share)
	}
	if status := vault(last, "status"); !strings.Contains(status, "false") {
		t.Errorf("still sealed:\n%s", status)
	}
}

func stderrOf(err error) string {
	if exit, ok := err.(*exec.ExitError); ok {
		return string(exit.Stderr)
	}
	return ""
}
