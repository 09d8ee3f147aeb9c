package e2e_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"strongroom/test/cluster"
)

const operationsPath = "../../docs/operations.md"

// machine is what stands for `ssh MACHINE sudo COMMAND`: the command runs here,
// with the machine's folders, and systemctl asks the test, which has the processes.
const machine = `#!/bin/sh
name=$1
[ "$2" = sudo ] || { echo "ssh: this test knows only: ssh MACHINE sudo COMMAND" >&2; exit 1; }
shift 2
if [ "$1" = systemctl ]; then
	exec curl -sS --fail-with-body -X POST "$CONTROL/$2/$name"
fi
exec "$@"
`

// operations is the run of docs/operations.md.
type operations struct {
	servers  *cluster.Cluster
	logs     string // folder of the machines' audit logs
	terminal *terminal
	pairs    []string // what the document says, and what it is here; the first that fits counts
}

// TestOperations types the runbooks, in their order, against real servers, and
// wants each block to print what the document shows. Five machines: the three of
// the cluster, one to be added, and one for the restore into a new cluster.
func TestOperations(t *testing.T) {
	t.Parallel()
	o := newOperations(t)
	blocks, err := parse(readFile(t, operationsPath))
	if err != nil {
		t.Fatal(err)
	}
	expected := operationsExpected()
	for _, b := range blocks {
		if !b.shell() {
			if b.lang != "text" && notRun[b.section] == "" {
				t.Errorf("%s:%d: no rule for a block of language %q", operationsPath, b.line, b.lang)
			}
			continue
		}
		if notRun[b.section] != "" {
			continue
		}
		if len(expected) == 0 || expected[0].section != b.section || expected[0].first != b.first() {
			t.Fatalf("%s:%d: the block %q of section %q is not what operationsExpected() has next", operationsPath, b.line, b.first(), b.section)
		}
		e := expected[0]
		expected = expected[1:]
		if o.run(t, b, e); t.Failed() {
			t.FailNow()
		}
	}
	for _, e := range expected {
		t.Errorf("%s has lost the block %q of section %q", operationsPath, e.first, e.section)
	}
}

// alone takes the retry_join blocks from a node that runs, and has it start anew.
func (o *operations) alone(t *testing.T, n *cluster.Node) {
	t.Helper()
	text := regexp.MustCompile(`(?s)\n  retry_join \{.*?\n  \}\n`).ReplaceAllString(readFile(t, n.Config), "")
	if err := os.WriteFile(n.Config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := n.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func newOperations(t *testing.T) *operations {
	t.Helper()
	logs := t.TempDir()
	o := &operations{logs: logs, servers: cluster.NewWith(t, cluster.Options{Nodes: 5, Node: func(i int) string {
		return fmt.Sprintf("audit \"file\" \"main\" {\n  file_path = %q\n}\n", filepath.Join(auditFolder(logs, i), "audit.log"))
	}})}
	ctx := t.Context()
	for _, n := range o.servers.Nodes[3:] {
		o.alone(t, n)
	}
	keys, err := o.servers.Init(ctx, 5, 3)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range o.servers.Nodes[:3] {
		if err := o.servers.Unseal(ctx, n); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.servers.AwaitVoters(ctx, 3); err != nil {
		t.Fatal(err)
	}
	client, err := o.servers.Nodes[0].Client(keys.Root)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Logical().WriteWithContext(ctx, "sys/mounts/secret", map[string]any{"type": "kv"}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Logical().WriteWithContext(ctx, "secret/canary", map[string]any{"sings": "yes"}); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	control := httptest.NewServer(http.HandlerFunc(o.systemctl))
	t.Cleanup(control.Close)
	bin, backups := filepath.Join(dir, "bin"), filepath.Join(dir, "backups")
	for _, d := range []string{bin, backups, filepath.Join(dir, "home")} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(bin, "ssh"), []byte(machine), 0o700); err != nil {
		t.Fatal(err)
	}
	o.terminal = openTerminal(t, dir, nil, "PATH="+bin+":"+o.servers.BinDir+":"+os.Getenv("PATH"), "HOME="+filepath.Join(dir, "home"), "CONTROL="+control.URL)
	for i, n := range o.servers.Nodes {
		name := machineName(i)
		o.pairs = append(o.pairs, "https://"+name+".example.com:8200", n.Addr, name+".example.com:8201", n.ClusterAddr)
	}
	o.pairs = append(o.pairs, "/var/backups/strongroom", backups, "<TOKEN>", keys.Root)
	o.shares("UNSEAL_KEY", keys.Shares)
	return o
}

// auditFolder is a machine's /var/log/strongroom. cluster.Options.Node, which is asked first, makes it.
func auditFolder(logs string, i int) string {
	dir := filepath.Join(logs, machineName(i))
	_ = os.MkdirAll(dir, 0o700) // without it the server does not start, and says why
	return dir
}

func machineName(i int) string {
	if i == 4 {
		return "new-0"
	}
	return fmt.Sprintf("vault-%d", i)
}

// shares fills in <NAME_1> and so on; what is filled in later counts.
func (o *operations) shares(name string, keys []string) {
	for i, key := range keys {
		o.pairs = append([]string{fmt.Sprintf("<%s_%d>", name, i+1), key}, o.pairs...)
	}
}

// systemctl serves POST /ACTION/MACHINE, and answers when it is done.
func (o *operations) systemctl(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(r.URL.Path, "/")
	for i, n := range o.servers.Nodes {
		if len(parts) != 3 || machineName(i) != parts[2] {
			continue
		}
		err := fmt.Errorf("systemctl %s: this test does not know that", parts[1])
		switch parts[1] {
		case "stop":
			err = n.Terminate()
		case "start", "restart":
			err = n.Restart(r.Context())
		case "reload":
			err = syscall.Kill(n.PID(), syscall.SIGHUP)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
		return
	}
	http.Error(w, "no such machine", http.StatusNotFound)
}

// looks are the commands that may be typed again until they show what they should.
var looks = regexp.MustCompile(`^(vault operator (members|raft (list-peers|autopilot (state|get-config)|rotate-ca -status))|vault (read|kv get) |ssh vault-\d sudo ls |curl )`)

func (o *operations) run(t *testing.T, b *block, e seen) {
	t.Helper()
	text := b.text
	text = regexp.MustCompile(`ssh (vault-\d) (.*)/var/(lib|log)/strongroom`).ReplaceAllStringFunc(text, func(s string) string {
		m := regexp.MustCompile(`ssh vault-(\d)`).FindStringSubmatch(s)
		i := int(m[1][0] - '0')
		return strings.NewReplacer("/var/lib/strongroom", o.servers.Nodes[i].Data, "/var/log/strongroom", auditFolder(o.logs, i)).Replace(s)
	})
	text = strings.NewReplacer(o.pairs...).Replace(text)
	if left := regexp.MustCompile(`<[A-Z][A-Z0-9_]*>`).FindString(text); left != "" {
		t.Fatalf("%s:%d: nothing to fill in for %s", operationsPath, b.line, left)
	}
	again := true
	for _, c := range commands(b.text) {
		again = again && looks.MatchString(c)
	}
	var output, wrong string
	for deadline := time.Now().Add(15 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		var err error
		output, err = o.terminal.typed(t.Context(), text)
		for i := len(o.pairs) - 2; i >= 0; i -= 2 { // as the reader sees it
			if strings.Contains(o.pairs[i], "example.com") || strings.HasPrefix(o.pairs[i], "/var") {
				output = strings.ReplaceAll(output, o.pairs[i+1], o.pairs[i])
			}
		}
		if wrong = differs(output, b, expectation{prints: e.prints}); err != nil {
			wrong = err.Error()
		}
		if wrong == "" || !again || time.Now().After(deadline) {
			break
		}
	}
	t.Logf("%s:%d\n%s", operationsPath, b.line, output)
	if wrong != "" {
		t.Errorf("%s:%d: %s\n--- typed\n%s", operationsPath, b.line, wrong, text)
		return
	}
	if e.learn != nil {
		e.learn(t, o, output)
	}
}

// find returns what a pattern's group finds in all places.
func find(pattern, output string) (found []string) {
	for _, m := range regexp.MustCompile("(?m)"+pattern).FindAllStringSubmatch(output, -1) {
		found = append(found, m[1])
	}
	return found
}

// notRun are the sections whose blocks are shown only, and why.
var notRun = map[string]string{"Peer unseal on K3s": "it needs pods that run, which a control plane without nodes has none of"}

// seen is what a block must print.
type seen struct {
	section, first string   // as in expectation
	prints         []string // regular expressions ((?m) is set)
	learn          func(t *testing.T, o *operations, output string)
}

// operationsExpected has every shell block of the document, in its order.
func operationsExpected() []seen {
	const (
		unsealed = `(?s)^Unseal Progress +1/3$.*^Unseal Progress +2/3$.*^Sealed +false$`
		replace  = "Replace a node, or let it join again"
		again    = "New unseal keys (rekey)"
		root     = "A new root token"
		restore  = "Restore"
		lost     = "Recover from a lost quorum"
		at2      = "vault operator unseal -address=https://vault-2.example.com:8200 <UNSEAL_KEY_1>"
		new0     = "vault operator unseal -address=https://new-0.example.com:8200 "
	)
	newKeys := func(_ *testing.T, o *operations, output string) {
		o.shares("NEW_UNSEAL_KEY", find(`^Key \d: (\S+)$`, output))
	}
	inForce := func(_ *testing.T, o *operations, _ string) {
		for i := range 5 {
			now := strings.NewReplacer(o.pairs...).Replace(fmt.Sprintf("<NEW_UNSEAL_KEY_%d>", i+1))
			o.pairs = append([]string{fmt.Sprintf("<UNSEAL_KEY_%d>", i+1), now}, o.pairs...)
		}
	}
	one := func(name, pattern string) func(*testing.T, *operations, string) {
		return func(_ *testing.T, o *operations, output string) {
			if m := find(pattern, output); len(m) == 1 {
				o.pairs = append([]string{"<" + name + ">", m[0]}, o.pairs...)
			}
		}
	}
	types := func(command, prints string) func(*testing.T, *operations, string) {
		return func(t *testing.T, o *operations, _ string) {
			out, err := o.terminal.typed(t.Context(), command)
			if err != nil || len(find("("+prints+")", out)) == 0 {
				t.Errorf("%s: %v\n%s", command, err, out)
			}
		}
	}
	return []seen{
		{"Operations", "export VAULT_ADDR=https://vault-0.example.com:8200", []string{loggedIn}, nil},
		{"What to watch", "vault operator raft list-peers", []string{`^vault-0 +\S+ +leader +true$`, `^Healthy: +true$`, `^Failure Tolerance: +1$`}, nil},
		{"What to watch", `curl -s -o /dev/null -w '%{http_code}\n' https://vault-0.example.com:8200/v1/sys/health`, []string{`\A200\n429\n\z`}, nil},
		{"Restart and unseal", "ssh vault-2 sudo systemctl restart strongroom", []string{nothing}, nil},
		{"Restart and unseal", at2, []string{unsealed}, nil},
		{"Planned maintenance", "vault operator step-down", []string{`^Success! Stepped down: `}, nil},
		{"Planned maintenance", "vault operator members", []string{`^\S+ +https://vault-[12]\S+ +\S+ +true `}, nil},
		{"Add a node", "vault operator raft join -address=https://vault-3.example.com:8200 https://vault-0.example.com:8200", []string{`^Joined +true$`}, nil},
		{"Add a node", "vault operator unseal -address=https://vault-3.example.com:8200 <UNSEAL_KEY_1>", []string{unsealed}, nil},
		{"Add a node", "vault operator raft list-peers", []string{`^vault-3 +\S+ +follower +true$`}, nil},
		{"Remove a node", "vault operator raft remove-peer vault-3", []string{`^Peer removed successfully!$`}, nil},
		{"Remove a node", "vault operator raft list-peers", []string{`^vault-2 `}, nil},
		{replace, "vault operator raft remove-peer vault-2", []string{`^Peer removed successfully!$`}, nil},
		{replace, at2, []string{unsealed}, nil},
		{replace, "vault operator raft list-peers", []string{`^vault-2 +\S+ +follower +true$`}, nil},
		{replace, "vault operator raft autopilot set-config -cleanup-dead-servers=true -dead-server-last-contact-threshold=24h -min-quorum=3", []string{`^Cleanup Dead Servers +true$`}, nil},
		{"Rotate the encryption key", "vault operator rotate", []string{`^Key Term +2$`}, nil},
		{again, "vault operator rekey -init -key-shares=5 -key-threshold=3 -verify", []string{`^Rekey Progress +0/3$`}, nil},
		{again, "vault operator rekey <UNSEAL_KEY_1>", []string{`(^Key [1-5]: \S+\n){5}`}, newKeys},
		{again, "vault operator rekey -verify <NEW_UNSEAL_KEY_1>", []string{`(?i)verif`}, inForce},
		{root, "vault operator generate-root -init", []string{`^OTP +\S+$`}, one("OTP", `^OTP +(\S+)$`)},
		{root, "vault operator generate-root <UNSEAL_KEY_1>", []string{`^Encoded Token +\S+$`}, one("ENCODED_TOKEN", `^Encoded Token +(\S+)$`)},
		{root, "vault operator generate-root -decode=<ENCODED_TOKEN> -otp=<OTP>", []string{`\Ahvs\.\w+\n\z`}, nil},
		{"Replace the CA between the nodes", "vault operator raft rotate-ca", []string{`^phase +\w+$`}, nil},
		{"Replace the CA between the nodes", "vault operator raft rotate-ca -status", []string{`^phase +idle$`, `^waiting_for +\[\]$`}, nil},
		{"Audit", "vault audit list", []string{`^main/ +file +n/a$`}, nil},
		{"Audit", "ssh vault-0 sudo mv /var/log/strongroom/audit.log /var/log/strongroom/audit.log.1", []string{nothing}, nil},
		{"Audit", "ssh vault-0 sudo ls /var/log/strongroom", []string{`\Aaudit\.log\s+audit\.log\.1\n\z`}, nil},
		{"Snapshots", "vault operator raft snapshot save backup.snap", []string{`^Cluster ID +\S+$`}, types("vault kv put secret/canary sings=no", `^Success!`)},
		{"Snapshots", "vault write sys/storage/raft/snapshot-auto/config/daily storage_type=local path_prefix=/var/backups/strongroom interval=24h retain=7", []string{`^Success! `}, nil},
		{"Snapshots", "vault read sys/storage/raft/snapshot-auto/status/daily", []string{`^consecutive_errors +0$`, `^last_snapshot_url +\S*/vault-snapshot\S+$`}, nil},
		{restore, "vault operator raft snapshot restore backup.snap", []string{nothing}, types("vault kv get secret/canary", `^sings +yes$`)},
		{restore, "vault operator init -address=https://new-0.example.com:8200 -key-shares=1 -key-threshold=1", []string{`^Unseal Key 1: `},
			func(t *testing.T, o *operations, output string) {
				one("TEMPORARY_UNSEAL_KEY", `^Unseal Key 1: (\S+)$`)(t, o, output)
				one("TEMPORARY_ROOT_TOKEN", `^Initial Root Token: (\S+)$`)(t, o, output)
			}},
		{restore, new0 + "<TEMPORARY_UNSEAL_KEY>", []string{`the server is sealed now`}, nil},
		{restore, new0 + "<UNSEAL_KEY_1>", []string{unsealed}, nil},
		{restore, "vault kv get -address=https://new-0.example.com:8200 secret/canary", []string{`^sings +yes$`}, nil},
		{lost, "ssh vault-1 sudo systemctl stop strongroom", []string{nothing}, nil},
		{lost, "ssh vault-0 sudo tee /var/lib/strongroom/raft/peers.json <<'END'", []string{`"id": "vault-0"`}, nil},
		{lost, "ssh vault-0 sudo systemctl start strongroom", []string{unsealed}, nil},
		{lost, "vault operator raft list-peers", []string{`\ANode +.*\n.*\nvault-0 +\S+ +leader +true\n\z`},
			types("vault kv get secret/canary", `^sings +yes$`)},
	}
}
