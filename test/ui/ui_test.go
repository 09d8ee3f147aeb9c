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
	tools := install(t)
	run(t, root, tools.env, "make", "ui")
	// One file for all three: each node appends whole lines, and the page on any of them then finds what any of them was asked.
	audit := fmt.Sprintf("audit \"file\" \"main\" {\n  file_path = %q\n}", filepath.Join(t.TempDir(), "audit.log"))
	c := cluster.NewWith(t, cluster.Options{Nodes: 3, Config: "ui = true\n" + audit})

	ctx, cancel := context.WithTimeout(t.Context(), 12*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, tools.node, filepath.Join(root, "test", "ui", "browser", "main.mjs"))
	cmd.Env = append(tools.env, "CHROMIUM="+tools.chromium, "VAULT_BIN="+filepath.Join(c.BinDir, "vault"), "SHOTS="+os.Getenv("STRONGROOM_UI_SHOTS"), "HOME="+t.TempDir(),
		"ONLY="+os.Getenv("STRONGROOM_UI_ONLY"), "SETTING="+setting(t))
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
func setting(t *testing.T) string {
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
		"oidc":       map[string]string{"oidc_discovery_url": provider.URL, "oidc_discovery_ca_pem": provider.CA, "oidc_client_id": oidctest.Client, "oidc_client_secret": oidctest.Secret},
		"kubernetes": map[string]any{"jwt": tokens[1], "config": map[string]string{"kubernetes_host": review.URL, "kubernetes_ca_cert": review.CA, "token_reviewer_jwt": tokens[0]}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
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

// install finds Node.js and Chromium, and has Debian's packages, or npm's of Node.js where Debian's is too old, when they are not there.
func install(t *testing.T) tools {
	t.Helper()
	var missing []string
	for program, pkg := range map[string]string{"make": "make", "npm": "npm", "chromium": "chromium"} {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, pkg)
		}
	}
	if len(missing) > 0 {
		if os.Getuid() != 0 {
			t.Fatalf("%v are needed: apt-get install %s", missing, strings.Join(missing, " "))
		}
		env := append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		run(t, "", env, "apt-get", "update", "-q")
		run(t, "", env, "apt-get", append([]string{"install", "-qy", "--no-install-recommends"}, missing...)...)
	}
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal(err)
	}
	env := os.Environ()
	const fits = "const [a, b] = process.versions.node.split('.').map(Number); process.exit(a > 22 || a == 22 && b >= 12 || a == 20 && b >= 19 ? 0 : 1)"
	if exec.CommandContext(t.Context(), "node", "-e", fits).Run() != nil {
		cache, err := os.UserCacheDir()
		if err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(cache, "strongroom", "node")
		run(t, "", env, "npm", "install", "--no-audit", "--no-fund", "--prefix", dir, "node@22")
		path := filepath.Join(dir, "node_modules", ".bin") + string(filepath.ListSeparator) + os.Getenv("PATH")
		t.Setenv("PATH", path)
		env = append(env, "PATH="+path)
	}
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatal(err)
	}
	return tools{node: node, chromium: chromium, env: env}
}

func run(t *testing.T, dir string, env []string, name string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.Env = dir, env
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}
