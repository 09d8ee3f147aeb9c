// Package ui_test uses the web UI as its readers do: in Chromium, against three real servers, from setting them up on. The steps are
// in browser/, where main.mjs lists them; each is a subtest here.
//
// STRONGROOM_UI_SHOTS names a folder that gets a picture of every page in both themes; STRONGROOM_UI_ONLY, a regular expression, picks steps.
package ui_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"debug/buildinfo"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"strongroom/test/bench/tokenreview"
	"strongroom/test/cluster"
	"strongroom/test/oidctest"
	"strongroom/test/pgtest"
)

// step is what main.mjs says of one, a line of JSON each.
type step struct {
	Name  string
	Error string   // empty: it passed
	Notes []string // figures
	MS    int
}

func TestUI(t *testing.T) {
	root, err := cluster.Root()
	if err != nil {
		t.Fatal(err)
	}
	tools := install(t, root)
	run(t, root, tools.env, "make", "ui")
	// One file for all three: each node appends whole lines, and the page on any of them then finds what any of them was asked.
	audit := fmt.Sprintf("audit \"file\" \"main\" {\n  file_path = %q\n}", filepath.Join(t.TempDir(), "audit.log"))
	c := cluster.NewWith(t, cluster.Options{Nodes: 3, Config: "ui = true\n" + audit})

	ctx := t.Context()
	if end, ok := t.Deadline(); ok { // in time to say which step it was that took so long
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, end.Add(-30*time.Second))
		defer cancel()
	}
	cmd := exec.CommandContext(ctx, tools.node, filepath.Join(root, "test", "ui", "browser", "main.mjs"))
	cmd.Env = append(tools.env, "CHROMIUM="+tools.chromium, "VAULT_BIN="+filepath.Join(c.BinDir, "vault"), "SHOTS="+os.Getenv("STRONGROOM_UI_SHOTS"), "HOME="+t.TempDir(),
		"ONLY="+os.Getenv("STRONGROOM_UI_ONLY"), "SETTING="+setting(t, modules(t, filepath.Join(c.BinDir, "strongroom"))))
	answers := filepath.Join(t.TempDir(), "answers")
	cmd.Env = append(cmd.Env, "ANSWERS="+answers)
	for i, n := range c.Nodes {
		cmd.Env = append(cmd.Env, fmt.Sprintf("NODE_%d=%s", i, n.Addr))
	}
	// These are set up by steps of their own: one whose shares are encrypted, and one that unseals itself.
	key := make([]byte, 32)
	rand.Read(key)
	for name, config := range map[string]string{"PGP_NODE": "", "AUTO_NODE": fmt.Sprintf("seal \"static\" {\n  current_key_id = \"one\"\n  current_key = %q\n}", hex.EncodeToString(key))} {
		one := cluster.NewWith(t, cluster.Options{Config: "ui = true\n" + config})
		cmd.Env = append(cmd.Env, name+"="+one.Nodes[0].Addr)
	}
	cmd.Stderr = t.Output()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // it ends its browser
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	steps := report(t, bufio.NewScanner(out))
	if err := cmd.Wait(); err != nil {
		t.Errorf("the browser's steps: %v", errors.Join(err, context.Cause(ctx)))
	}
	if n := checkAnswers(t, answers); n < 200 && os.Getenv("STRONGROOM_UI_ONLY") == "" {
		t.Errorf("only %d answers were held against the OpenAPI document", n)
	} else {
		t.Logf("%d answers were held against the OpenAPI document", n)
	}
	if steps < 10 && os.Getenv("STRONGROOM_UI_ONLY") == "" {
		t.Errorf("only %d steps ran", steps)
	}
}

// setting starts what sign-ins and engines ask besides the server, and describes it in JSON.
func setting(t *testing.T, modules map[string]string) string {
	provider := oidctest.Start(t)
	review, err := tokenreview.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(review.Close)
	var tokens [2]string
	for i, namespace := range []string{"vault", "app"} {
		if tokens[i], err = review.Issue(namespace, "default"); err != nil {
			t.Fatal(err)
		}
	}
	pg := pgtest.New(t)
	pg.Query(t, "CREATE ROLE billing WITH LOGIN PASSWORD 'first'")
	b, err := json.Marshal(map[string]any{
		"database":   map[string]string{"url": pg.URL("postgres", ""), "password": pg.Password},
		"owners":     newOwners(t, 5),
		"reporter":   reporter(t, tokens[1]),
		"jwt":        signedToken(t),
		"modules":    modules,
		"oidc":       map[string]string{"oidc_discovery_url": provider.URL, "oidc_discovery_ca_pem": provider.CA, "oidc_client_id": oidctest.Client, "oidc_client_secret": oidctest.Secret},
		"kubernetes": map[string]any{"jwt": tokens[1], "config": map[string]string{"kubernetes_host": review.URL, "kubernetes_ca_cert": review.CA, "token_reviewer_jwt": tokens[0]}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// modules are those that the linker says are in a program, and their versions.
func modules(t *testing.T, program string) map[string]string {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{"Go": info.GoVersion}
	for _, m := range info.Deps {
		all[m.Path] = m.Version
		if m.Replace != nil {
			all[m.Path] = m.Replace.Version
		}
	}
	return all
}

// signedToken is a JWT of https://issuer.example, and the public key that it is verified with.
func signedToken(t *testing.T) map[string]string {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Signed(signer).Claims(map[string]any{"iss": "https://issuer.example", "sub": "build-7", "aud": "strongroom", "project": "shop",
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()}).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{"key": string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})), "token": token}
}

// report makes a subtest of each step, as it comes.
func report(t *testing.T, lines *bufio.Scanner) (steps int) {
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var s step
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			t.Logf("browser: %s", lines.Text())
			continue
		}
		steps++
		t.Run(s.Name, func(t *testing.T) {
			t.Logf("%d ms %s", s.MS, strings.Join(s.Notes, "; "))
			if s.Error != "" {
				t.Error(s.Error)
			}
		})
	}
	return steps
}

// tools are what this test needs besides Go.
type tools struct {
	node, chromium string
	env            []string
}

// install finds Node.js and Chromium; .ci/tools has them installed where they are not there.
func install(t *testing.T, root string) tools {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(root, ".ci", "tools"))
	cmd.Stderr = t.Output()
	before, err := cmd.Output()
	if err != nil {
		t.Fatalf(".ci/tools: %v", err)
	}
	if dir := strings.TrimSpace(string(before)); dir != "" {
		t.Setenv("PATH", dir+string(filepath.ListSeparator)+os.Getenv("PATH"))
	}
	found := tools{env: os.Environ()}
	for program, path := range map[string]*string{"node": &found.node, "chromium": &found.chromium} {
		if *path, err = exec.LookPath(program); err != nil {
			t.Fatal(err)
		}
	}
	return found
}

func run(t *testing.T, dir string, env []string, name string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.Env = dir, env
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}
