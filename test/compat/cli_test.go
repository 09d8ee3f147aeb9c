package compat

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// shell runs a script with sh, the program first on the PATH as vault, against s, whose home it shares: a login stays.
func (s *server) shell(t *testing.T, script string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", script)
	cmd.Dir = s.home
	cmd.Env = append(os.Environ(), "HOME="+s.home, "VAULT_ADDR="+s.addr, "VAULT_MAX_RETRIES=0", "PATH="+binDir+string(filepath.ListSeparator)+os.Getenv("PATH"))
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// step is one command of a session in a terminal. In stdout and stderr, {…} stands for a text that is another in every run:
// the pattern of its name in holes.
type step struct {
	run    string
	code   int
	stdout string
	stderr string
}

var holes = map[string]string{
	"{b64}":   `[A-Za-z0-9+/]{43,}=*`,
	"{hex}":   `[0-9a-f]{64,}`,
	"{root}":  `hvs\.[A-Za-z0-9]+`,
	"{uuid}":  `[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`,
	"{nonce}": `[0-9a-f-]+`,
	"{time}":  `\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`,
	"{id}":    `[0-9a-z]+`,
	"{n}":     `\d+`,
	"{any}":   `[^\n]*`,
	"{rest}":  `(?s:.*)`,
}

// matches compares text with a golden one that has holes.
func matches(golden, text string) bool {
	pattern := regexp.QuoteMeta(golden)
	for hole, what := range holes {
		pattern = strings.ReplaceAll(pattern, regexp.QuoteMeta(hole), what)
	}
	return regexp.MustCompile(`\A` + pattern + `\z`).MatchString(text)
}

// runSteps runs a session, one command after the other. A step that fails ends it: the rest would follow from it.
func (s *server) runSteps(t *testing.T, steps []step) {
	t.Helper()
	for _, st := range steps {
		stdout, stderr, code := s.shell(t, st.run)
		if code != st.code {
			t.Errorf("%s\nexit code %d, want %d", st.run, code, st.code)
		}
		if !matches(st.stdout, stdout) {
			t.Errorf("%s\nstdout:\n%s\nwant:\n%s", st.run, stdout, st.stdout)
		}
		if !matches(strings.ReplaceAll(st.stderr, "{addr}", s.addr), stderr) {
			t.Errorf("%s\nstderr:\n%s\nwant:\n%s", st.run, stderr, st.stderr)
		}
		if t.Failed() {
			t.FailNow()
		}
	}
}

// From nothing to an unsealed server, and back, as Part 2 of the guide does it.
func TestCommandsInitAndUnseal(t *testing.T) {
	s := startFile(t, "")
	s.runSteps(t, []step{
		{run: "vault status", code: 2, stdout: `Key                     Value
---                     -----
Seal Type               shamir
Initialized             false
Sealed                  true
Total Shares            0
Threshold               0
Unseal Progress         0/0
Unseal Nonce            n/a
Version                 {any}
Build Date              {any}
Storage Type            file
Removed From Cluster    false
HA Enabled              false
`},
		{run: "vault operator init -status", code: 2, stdout: "Vault is not initialized\n"},
		{run: "vault operator unseal AAAA", code: 2, stderr: `Error unsealing: Error making API request.

URL: PUT {addr}/v1/sys/unseal
Code: 400. Errors:

* Vault is not initialized: run "vault operator init" on one node; with others, name it in this node's retry_join
`},
		{run: "vault operator init -key-shares=2 -key-threshold=3", code: 2, stderr: `Error initializing: Error making API request.

URL: PUT {addr}/v1/sys/init
Code: 400. Errors:

* {any}
`},
		{run: "vault operator init | tee init.txt", stdout: `Unseal Key 1: {b64}
Unseal Key 2: {b64}
Unseal Key 3: {b64}
Unseal Key 4: {b64}
Unseal Key 5: {b64}

Initial Root Token: {root}

Vault initialized with 5 key shares and a key threshold of 3. Please securely
distribute the key shares printed above. When the Vault is re-sealed,
restarted, or stopped, you must supply at least 3 of these keys to unseal it
before it can start servicing requests.

Vault does not store the generated root key. Without at least 3 keys to
reconstruct the root key, Vault will remain permanently sealed!

It is possible to generate new unseal keys, provided you have a quorum of
existing unseal keys shares. See "vault operator rekey" for more information.
`},
		{run: "vault operator init", code: 2, stderr: `Error initializing: Error making API request.

URL: PUT {addr}/v1/sys/init
Code: 400. Errors:

* Vault is already initialized
`},
		{run: "vault operator init -status", stdout: "Vault is initialized\n"},
		{run: "vault status >/dev/null", code: 2},
		{run: `vault operator unseal "$(sed -n 's/^Unseal Key 1: //p' init.txt)"`, stdout: sealedStatus("1/3", "{nonce}")},
		{run: `vault operator unseal "$(sed -n 's/^Unseal Key 1: //p' init.txt)"`, code: 0, stdout: sealedStatus("1/3", "{nonce}")},
		{run: `sed -n 's/^Unseal Key 2: //p' init.txt | vault operator unseal -`, stdout: sealedStatus("2/3", "{nonce}")},
		{run: "vault operator unseal -reset", stdout: sealedStatus("0/3", "n/a")},
		{run: `for i in 2 3; do vault operator unseal "$(sed -n "s/^Unseal Key $i: //p" init.txt)" >/dev/null; done; vault operator unseal "$(sed -n 's/^Unseal Key 5: //p' init.txt)"`,
			stdout: unsealedStatus},
		{run: "vault status", stdout: unsealedStatus},
		{run: "vault login wrong", code: 2, stderr: `Error authenticating: error looking up token: Error making API request.

URL: GET {addr}/v1/auth/token/lookup-self
Code: 403. Errors:

* 2 errors occurred:
	* permission denied
	* invalid token
{rest}`},
		{run: `vault login "$(sed -n 's/^Initial Root Token: //p' init.txt)" | head -3`, stdout: `Success! You are now authenticated. The token information displayed below
is already stored in the token helper. You do NOT need to run "vault login"
again. Future Vault requests will automatically use this token.
`},
		{run: "vault operator seal", stdout: "Success! Vault is sealed.\n"},
		{run: "vault kv get secret/a", code: 2, stderr: `{any}Error making API request.

URL: GET {addr}/v1/sys/internal/ui/mounts/secret/a
Code: 503. Errors:

* Vault is sealed
`},
	})
}

func sealedStatus(progress, nonce string) string {
	return `Key                     Value
---                     -----
Seal Type               shamir
Initialized             true
Sealed                  true
Total Shares            5
Threshold               3
Unseal Progress         ` + progress + `
Unseal Nonce            ` + nonce + `
Version                 {any}
Build Date              {any}
Storage Type            file
Removed From Cluster    false
HA Enabled              false
`
}

const unsealedStatus = `Key                     Value
---                     -----
Seal Type               shamir
Initialized             true
Sealed                  false
Total Shares            5
Threshold               3
Version                 {any}
Build Date              {any}
Storage Type            file
Cluster Name            vault-cluster-{id}
Cluster ID              {uuid}
Removed From Cluster    false
HA Enabled              false
`

// What scripts read of init and status.
func TestCommandsInitJSON(t *testing.T) {
	s := startFile(t, "")
	out, errs, code := s.shell(t, "vault operator init -key-shares=3 -key-threshold=2 -format=json")
	if code != 0 || errs != "" {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	var made struct {
		Keys      []string `json:"unseal_keys_b64"`
		Hex       []string `json:"unseal_keys_hex"`
		Shares    int      `json:"unseal_shares"`
		Threshold int      `json:"unseal_threshold"`
		Root      string   `json:"root_token"`
	}
	if err := json.Unmarshal([]byte(out), &made); err != nil {
		t.Fatal(err)
	}
	if len(made.Keys) != 3 || len(made.Hex) != 3 || made.Shares != 3 || made.Threshold != 2 || made.Root == "" {
		t.Errorf("init -format=json: %s", out)
	}
	for i, want := range []int{2, 0} {
		if out, errs, code := s.shell(t, "vault operator unseal -format=json "+made.Hex[i]+" >/dev/null; vault status -format=json"); code != want {
			t.Errorf("status after key %d: exit code %d, want %d: %s%s", i+1, code, want, out, errs)
		}
	}
	out, _, _ = s.shell(t, "vault status -format=json")
	var status map[string]any
	if err := json.Unmarshal([]byte(out), &status); err != nil || status["sealed"] != false || status["t"] != 2.0 || status["storage_type"] != "file" {
		t.Errorf("status -format=json: %s (%v)", out, err)
	}
}
