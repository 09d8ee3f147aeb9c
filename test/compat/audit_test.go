package compat

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"

	"strongroom/test/cluster"
)

// auditLines are the records in a file, as far as these tests look at them.
func auditLines(t *testing.T, path string) (out []struct {
	Type, Error string
	Request     struct{ Path, Operation string }
}) {
	t.Helper()
	text := must[[]byte](t)(os.ReadFile(path))
	for line := range strings.Lines(string(text)) {
		out = append(out, struct {
			Type, Error string
			Request     struct{ Path, Operation string }
		}{})
		if err := json.Unmarshal([]byte(line), &out[len(out)-1]); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
	}
	return out
}

// What clients do with audit devices, on a development server.
func TestAuditDevices(t *testing.T) {
	s := startDev(t)
	root := s.client(t, "root")
	path := filepath.Join(t.TempDir(), "audit.log")
	if err := root.Sys().EnableAuditWithOptions("file", &api.EnableAuditOptions{Type: "file", Description: "all", Options: map[string]string{"file_path": path, "mode": "0640"}}); err != nil {
		t.Fatal(err)
	}
	if err := root.Sys().EnableAuditWithOptions("file", &api.EnableAuditOptions{Type: "file", Options: map[string]string{"file_path": path}}); err == nil || !strings.Contains(err.Error(), "path already in use") {
		t.Errorf("twice at one path: %v", err)
	}
	list := must[map[string]*api.Audit](t)(root.Sys().ListAudit())
	if d := list["file/"]; len(list) != 1 || d == nil || d.Type != "file" || d.Description != "all" || d.Path != "file/" || d.Options["file_path"] != path {
		t.Errorf("the list is %+v", list)
	}
	must[*api.KVSecret](t)(root.KVv2("secret").Put(t.Context(), "app", map[string]any{"password": "opensesame"}))
	must[*api.KVSecret](t)(root.KVv2("secret").Get(t.Context(), "app"))
	hash := must[string](t)(root.Sys().AuditHash("file", "opensesame"))
	text := string(must[[]byte](t)(os.ReadFile(path)))
	if strings.Contains(text, "opensesame") || strings.Contains(text, `token":"root"`) || strings.Count(text, hash) != 5 { // in both records of the write, the answer of the read, and the hashing
		t.Errorf("%s is in the log %d times:\n%s", hash, strings.Count(text, hash), text)
	}
	if info := must[os.FileInfo](t)(os.Stat(path)); info.Mode().Perm() != 0o640 {
		t.Errorf("the log has mode %v", info.Mode())
	}
	// Rotated away, and SIGHUP.
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(s.proc.PID(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, func() error { _, err := os.Stat(path); return err })
	must[*api.Secret](t)(root.Auth().Token().LookupSelf())
	if got := auditLines(t, path); len(got) != 2 || got[0].Type != "request" || got[1].Type != "response" || got[0].Request.Path != "auth/token/lookup-self" {
		t.Errorf("the new log holds %+v", got)
	}
	found := must[*api.Secret](t)(root.Logical().ReadWithData("sys/internal/audit/search", map[string][]string{"path_prefix": {"auth/token/"}, "type": {"response"}}))
	if records, ok := found.Data["records"].([]any); !ok || len(records) != 1 {
		t.Errorf("found %v", found.Data)
	}
	if err := root.Sys().DisableAudit("file"); err != nil {
		t.Fatal(err)
	}
	if list := must[map[string]*api.Audit](t)(root.Sys().ListAudit()); len(list) != 0 {
		t.Errorf("after disabling: %v", list)
	}
}

// Devices of the configuration: they cannot be touched over the API, nor others
// enabled; each node records what it serves; and with none able to, nothing is served.
func TestDeclaredAuditDevices(t *testing.T) {
	dir := t.TempDir()
	folder := func(i int) string { return filepath.Join(dir, fmt.Sprint(i)) }
	for i := range 3 {
		if err := os.Mkdir(folder(i), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	c := cluster.NewWith(t, cluster.Options{Nodes: 3, Node: func(i int) string {
		return fmt.Sprintf("audit \"file\" \"main\" {\n  description = \"declared\"\n  options {\n    file_path = %q\n  }\n}\n", filepath.Join(folder(i), "audit.log"))
	}})
	if err := c.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	leader := must[*cluster.Node](t)(c.Leader(t.Context()))
	root := must[*api.Client](t)(leader.Client(c.Keys.Root))
	root.SetMaxRetries(0)
	if list := must[map[string]*api.Audit](t)(root.Sys().ListAudit()); list["main/"] == nil || list["main/"].Description != "declared" {
		t.Errorf("the list is %+v", list)
	}
	if err := root.Sys().DisableAudit("main"); err == nil || !strings.Contains(err.Error(), "declared in the server's configuration") {
		t.Errorf("disabling what is declared: %v", err)
	}
	if err := root.Sys().EnableAuditWithOptions("x", &api.EnableAuditOptions{Type: "file", Options: map[string]string{"file_path": filepath.Join(dir, "x")}}); err == nil ||
		!strings.Contains(err.Error(), "cannot enable audit device via API") {
		t.Errorf("enabling over the API: %v", err)
	}
	// A standby's read is in its own log, and a write that it passes on in the leader's.
	for i, n := range c.Nodes {
		if n == leader {
			continue
		}
		client := must[*api.Client](t)(n.Client(c.Keys.Root))
		log := filepath.Join(folder(i), "audit.log")
		eventually(t, 10*time.Second, func() error { // until it serves reads itself
			if _, err := client.Logical().Read("sys/policy/default"); err != nil {
				return err
			}
			if lines := auditLines(t, log); len(lines) == 0 || lines[len(lines)-1].Request.Path != "sys/policy/default" {
				return fmt.Errorf("the log of %s holds %+v", n.Name, lines)
			}
			return nil
		})
		if err := client.Sys().PutPolicy("p", `path "x" { capabilities = ["read"] }`); err != nil {
			t.Fatal(err)
		}
		for _, l := range auditLines(t, log) {
			if l.Request.Operation == "update" {
				t.Errorf("%s has recorded what the leader served: %+v", n.Name, l)
			}
		}
	}
	for i, n := range c.Nodes {
		if n != leader {
			continue
		}
		// What needs no token is recorded too.
		must[*api.RekeyStatusResponse](t)(root.Sys().RekeyStatus())
		must[*api.SealStatusResponse](t)(root.Sys().Unseal(c.Keys.Shares[0]))
		log := filepath.Join(folder(i), "audit.log")
		seen := fmt.Sprint(auditLines(t, log))
		for _, want := range []string{"{request  {sys/rekey/init read}}", "{response  {sys/rekey/init read}}", "{request  {sys/unseal update}}", "{response  {sys/unseal update}}"} {
			if !strings.Contains(seen, want) {
				t.Errorf("the leader's log lacks %s", want)
			}
		}
		if text := string(must[[]byte](t)(os.ReadFile(log))); strings.Contains(text, c.Keys.Shares[0]) || strings.Contains(text, c.Keys.Root) {
			t.Error("the leader's log holds a key share, or the root token")
		}
		// Its folder goes away: the leader serves nothing more, until it is back.
		if err := os.Rename(folder(i), folder(i)+"-away"); err != nil {
			t.Fatal(err)
		}
		eventually(t, 10*time.Second, func() error { // it looks once a second
			if _, err := root.Logical().Read("sys/policy/p"); err == nil || !strings.Contains(err.Error(), "no audit device could record") {
				return fmt.Errorf("it still answers: %v", err)
			}
			return nil
		})
		if err := root.Sys().DeletePolicy("p"); err == nil {
			t.Error("a write is served unrecorded")
		}
		if err := os.Rename(folder(i)+"-away", folder(i)); err != nil {
			t.Fatal(err)
		}
		if policy := must[string](t)(root.Sys().GetPolicy("p")); policy == "" {
			t.Error("the refused deletion has happened")
		}
	}
}
