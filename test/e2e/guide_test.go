package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

const guidePath = "../../docs/production-guide.md"

// guide is the run of the production guide's text.
type guide struct {
	pods     *pods
	terminal *terminal
	session  bool        // `kubectl exec … -- /bin/sh` is open
	fill     [][2]string // what the reader has to fill in
}

// testGuide types the guide into a terminal, block by block, and checks what each prints.
func testGuide(t *testing.T, p *pods) {
	blocks := readGuide(t)
	g := &guide{pods: p, fill: [][2]string{
		{"<YOUR_ACCOUNT_ID>", "0123456789abcdef"},
		{"<name>", secretName},
		{"<namespace>", secretSpace},
		{"<role-name>", "longhorn-role"},
		{"<policy-name>", "longhorn-r2-policy"},
	}}
	var enter []string
	if p.cluster != nil {
		enter = p.cluster.Enter() // where port 8200 is free
	}
	g.terminal = openTerminal(t, t.TempDir(), enter, p.access.Env...)
	charts, err := filepath.Abs("../../charts")
	if err == nil {
		err = os.Symlink(charts, filepath.Join(g.terminal.dir, "charts")) // it is a checkout
	}
	if err != nil {
		t.Fatal(err)
	}
	expected := expectations()
	for _, b := range blocks {
		var e expectation
		switch {
		case b.lang == "yaml":
			if g.apply(t, b); t.Failed() {
				t.FailNow() // the rest builds on it
			}
			continue
		case !b.shell():
			continue
		case len(expected) > 0 && expected[0].section == b.section && expected[0].first == b.first():
			e, expected = expected[0], expected[1:]
		default:
			t.Fatalf("%s:%d: the block %q of section %q is not what expectations() has next: say there what it prints", guidePath, b.line, b.first(), b.section)
		}
		if g.run(t, b, e); t.Failed() {
			t.FailNow()
		}
	}
	for _, e := range expected {
		t.Errorf("the guide has no block %q in section %q any more", e.first, e.section)
	}
}

func readGuide(t *testing.T) []*block {
	t.Helper()
	text, err := os.ReadFile(guidePath)
	if err != nil {
		t.Fatal(err)
	}
	blocks, err := parse(string(text))
	if err != nil {
		t.Fatalf("%s: %v", guidePath, err)
	}
	for _, b := range blocks {
		if !b.shell() && !slices.Contains([]string{"text", "yaml", "hcl"}, b.lang) {
			t.Errorf("%s:%d: no rule for a block of language %q", guidePath, b.line, b.lang)
		}
	}
	return blocks
}

// run types a block, and wants it to print what it should. What only looks at
// the cluster is typed again for a while, as a reader would.
func (g *guide) run(t *testing.T, b *block, e expectation) {
	t.Helper()
	where := fmt.Sprintf("%s:%d", guidePath, b.line)
	if g.session && (strings.Contains(b.prose, "`exit`") || strings.HasPrefix(b.first(), "kubectl ") || strings.HasPrefix(b.first(), "helm ")) {
		g.does(t, "exit")
		g.session = false
	}
	if e.before != nil {
		e.before(t, g)
	}
	text := g.substitute(t, b)
	var output, wrong string
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(500 * time.Millisecond) {
		out, err := g.types(t, text, e.meanwhile)
		output, wrong = out, ""
		if err != nil {
			wrong = err.Error()
		} else {
			wrong = differs(output, b, e)
		}
		if wrong == "" || !onlyLooks(b) || time.Now().After(deadline) {
			break
		}
	}
	if wrong != "" {
		t.Errorf("%s: %s\n--- typed\n%s--- printed\n%s", where, wrong, text, output)
		return
	}
	t.Logf("%s: %s", where, b.first())
	g.session = g.session || strings.Contains(b.text, "-- /bin/sh\n")
	if e.after != nil {
		e.after(t, g, output)
	}
}

// onlyLooks tells whether a block may be typed twice.
func onlyLooks(b *block) bool {
	for _, command := range commands(b.text) {
		if !strings.HasPrefix(command, "kubectl get ") && !strings.HasPrefix(command, "kubectl describe ") {
			return false
		}
	}
	return true
}

// differs says what is wrong with the output of a block.
func differs(output string, b *block, e expectation) string {
	if len(e.prints) == 0 {
		return "expectations() says nothing of what this block prints"
	}
	for _, pattern := range e.prints {
		if !regexp.MustCompile("(?m)" + pattern).MatchString(output) {
			return fmt.Sprintf("the output does not match %q", pattern)
		}
	}
	if b.output == nil {
		return ""
	}
	lines := strings.Split(output, "\n")
	for shown := range strings.Lines(b.output.text) {
		if strings.TrimSpace(shown) == "" {
			continue
		}
		i := slices.IndexFunc(lines, likeness(shown).MatchString)
		if i < 0 {
			return fmt.Sprintf("the guide shows, in the block of line %d, what is not printed (or not there): %q", b.output.line, strings.TrimSpace(shown))
		}
		lines = lines[i+1:]
	}
	return ""
}

// likeness is a pattern for lines like the one the guide shows: the same words,
// but for keys, dates, ids, ages, versions, and addresses of pods.
func likeness(shown string) *regexp.Regexp {
	var words []string
	index := regexp.MustCompile(`^Raft \w+ Index `).MatchString(shown) // how many entries a cluster has had
	for _, word := range strings.Fields(shown) {
		pattern := regexp.QuoteMeta(word)
		if index && regexp.MustCompile(`^\d+$`).MatchString(word) {
			pattern = `\d+`
		}
		for _, v := range []struct{ is, means string }{
			{`….*`, `\S+`}, // a key, cut short
			{`hvs\.\w+`, `hvs\.\w+`},
			{`\d{4}-\d\d-\d\dT\S+`, `\S+`},
			{`[0-9a-f]{8}-[0-9a-f-]{27}`, `[0-9a-f-]{36}`},
			{`vault-cluster-[0-9a-f]{8}`, `vault-cluster-[0-9a-f]{8}`},
			{`\d+[smhd]`, `(\d+[smhd])+`},
			{`\d+\.\d+\.\d+`, `\d+\.\d+\.\d+\S*`},
			{`http://10\.\S+`, `http://\d+\.\d+\.\d+\.\d+:8200`},
			{`vault-secrets-operator-[0-9a-f]+-\w{5}`, `vault-secrets-operator-[0-9a-z]+-\w{5}`},
		} {
			if regexp.MustCompile(`^\S*?` + v.is + `$`).MatchString(word) {
				pattern = v.means
				break
			}
		}
		words = append(words, pattern)
	}
	return regexp.MustCompile(`^\s*` + strings.Join(words, `\s+`) + `\s*$`)
}

// apply saves a manifest under the name the guide gives it, for the block that
// applies it, and sees that the API server takes it to the letter.
func (g *guide) apply(t *testing.T, b *block) {
	t.Helper()
	name := "manifest.yaml"
	dry := "--dry-run=none"
	if m := regexp.MustCompile("`([\\w./-]+\\.yaml)`").FindStringSubmatch(b.prose); m != nil {
		name, dry = m[1], "--dry-run=server"
	}
	path := filepath.Join(g.terminal.dir, name)
	write(t, path, b.text)
	if out := g.pods.kubectl(t, "apply", "--validate=strict", dry, "-f", path); !strings.Contains(out, "created") {
		t.Errorf("%s:%d: kubectl apply prints %q", guidePath, b.line, out)
	}
}

// substitute fills in what the reader would, and changes nothing else of a block.
func (g *guide) substitute(t *testing.T, b *block) string {
	t.Helper()
	text := b.text
	for _, pair := range g.fill {
		text = strings.ReplaceAll(text, pair[0], pair[1])
	}
	if left := regexp.MustCompile(`<[A-Za-z][A-Za-z0-9_-]*>`).FindString(text); left != "" {
		t.Fatalf("%s:%d: nothing to fill in for %s", guidePath, b.line, left)
	}
	return text
}

// types enters text, and interrupts it after meanwhile, if there is one: it would not end by itself.
func (g *guide) types(t *testing.T, text string, meanwhile func(t *testing.T, g *guide)) (output string, err error) {
	if meanwhile == nil {
		return g.terminal.typed(t.Context(), text)
	}
	return g.terminal.hold(t.Context(), strings.TrimSpace(text), regexp.MustCompile(`(?m)^Forwarding from \S+ -> \d+$`), func() { meanwhile(t, g) })
}

// does enters text that is not the guide's.
func (g *guide) does(t *testing.T, text string) {
	t.Helper()
	if out, err := g.terminal.typed(t.Context(), text); err != nil {
		t.Fatalf("%s: %v\n%s", text, err, out)
	}
}

// keepKeys notes what `vault operator init` shows.
func keepKeys(t *testing.T, g *guide, output string) {
	for i, m := range regexp.MustCompile(`(?m)^Unseal Key \d: (\S+)$`).FindAllStringSubmatch(output, -1) {
		g.pods.shares = append(g.pods.shares, m[1])
		g.fill = append(g.fill, [2]string{fmt.Sprintf("<UNSEAL_KEY_%d>", i+1), m[1]})
	}
	g.pods.root = regexp.MustCompile(`(?m)^Initial Root Token: (\S+)$`).FindStringSubmatch(output)[1]
	for _, name := range []string{"<YOUR_INITIAL_ROOT_TOKEN>", "<YOUR_ROOT_TOKEN>", "<TOKEN>"} {
		g.fill = append(g.fill, [2]string{name, g.pods.root})
	}
}

// TestGuideIsWhole holds the guide to the lists of testdata: it has every command
// of the walkthrough, in its order, and every manifest. So running the guide runs
// the walkthrough.
func TestGuideIsWhole(t *testing.T) {
	var typed, manifests []string
	for _, b := range readGuide(t) {
		if b.shell() {
			typed = append(typed, commands(b.text)...)
		}
		if b.lang == "yaml" {
			manifests = append(manifests, b.text)
		}
	}
	for _, command := range commands(readFile(t, "testdata/commands.sh")) {
		i := slices.Index(typed, command)
		if i < 0 {
			t.Errorf("the guide lacks, or has elsewhere: %s", command)
			continue
		}
		typed = typed[i+1:]
	}
	for manifest := range strings.SplitSeq(readFile(t, "testdata/manifests.yaml"), "---\n") {
		if !slices.Contains(manifests, manifest) {
			t.Errorf("the guide lacks the manifest\n%s", manifest)
		}
	}
	shown, err := filepath.Glob("../demo/k3s-vault/*.yaml")
	if err != nil || len(shown) != 3 {
		t.Fatalf("the demo's manifests: %v, %v", shown, err)
	}
	for _, path := range shown {
		if !slices.Contains(manifests, readFile(t, path)) {
			t.Errorf("%s is not the guide's", path)
		}
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
