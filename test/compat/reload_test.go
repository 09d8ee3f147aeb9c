package compat

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"strongroom/test/cluster"
)

// TestReload sends SIGHUP: audit devices come and go without a request that is not recorded, and what cannot be used changes nothing.
func TestReload(t *testing.T) {
	dir := t.TempDir()
	device := func(name string) string {
		return fmt.Sprintf("audit \"file\" %q {\n  file_path = %q\n}\n", name, filepath.Join(dir, name))
	}
	c := cluster.NewWith(t, cluster.Options{Config: device("one")})
	if err := c.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	n := c.Nodes[0]
	client, err := n.Client(c.Keys.Root)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(n.Config)
	if err != nil {
		t.Fatal(err)
	}
	base, _, _ := strings.Cut(string(text), `audit "file"`)
	reload := func(config, says string) {
		t.Helper()
		if err := os.WriteFile(n.Config, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(n.PID(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		until(t, func(context.Context) error {
			if !strings.Contains(n.Tail(), says) {
				return fmt.Errorf("the log does not say %q:\n%s", says, n.Tail())
			}
			return nil
		})
	}
	recorded := func(mark string, want ...string) {
		t.Helper()
		if _, err := client.Logical().Read("secret/" + mark); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"one", "two"} {
			log, _ := os.ReadFile(filepath.Join(dir, name)) // that is not there has recorded nothing
			if got := strings.Contains(string(log), "secret/"+mark); got != strings.Contains(strings.Join(want, " "), name) {
				t.Errorf("%s: device %s has recorded: %v", mark, name, got)
			}
		}
	}
	recorded("a", "one")
	reload(base+device("one")+device("two"), "devices=2")
	recorded("b", "one", "two")
	reload(base+device("two"), "devices=1")
	recorded("c", "two")
	reload(base+device("two")+"audit \"nothing\" \"three\" {}\n", "the old ones stay")
	recorded("d", "two")
	reload(base+"max_lease_ttl = \"nonsense\"\n", "the old one stays")
	recorded("e", "two")
	reload(strings.Replace(base, `log_level     = "info"`, `log_level     = "debug"`, 1)+device("two")+"max_lease_ttl = \"1000h\"\n", "take effect when this server is restarted: settings=")
	if !strings.Contains(n.Tail(), "max_lease_ttl") {
		t.Errorf("what waits for a restart is not named:\n%s", n.Tail())
	}
	if !strings.Contains(n.Tail(), "level=debug") {
		t.Errorf("the level is as it was:\n%s", n.Tail())
	}
	recorded("f", "two")
}
