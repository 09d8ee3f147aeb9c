package transit

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"strongroom/engine/enginetest"
)

// model is what a key should be, without any cryptography.
type model struct {
	kind                                 kind
	derived, convergent                  bool
	latest, minDecrypt, minEncrypt, trim int
	texts                                []modelText
}

// modelText is a text that the key has made.
type modelText struct {
	text             string
	version          int
	plaintext        string // base64
	context, data    string
	signature, isMAC bool
}

// readable says whether version n may decrypt and verify.
func (m *model) readable(n int) bool { return n >= max(m.minDecrypt, m.trim) && n <= m.latest }

// writable is the version that a request for n writes with; 0 if it is refused.
func (m *model) writable(n int) int {
	if n == 0 {
		return m.latest
	}
	if n < 0 || n > m.latest || n < m.minEncrypt || !m.readable(n) {
		return 0
	}
	return n
}

// Whatever is done to a key, in whatever order, it answers as the model does: what
// it made stays readable by the versions that may read it, and by no others.
func TestModel(t *testing.T) {
	steps := 400
	for seed := range uint64(12) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 5))
			kinds := []kind{aes128, aes256, chacha20, ed25519k, ecdsa256, hmacOnly}
			w := &world{t: t, m: mount(t), r: r, model: model{kind: kinds[seed%6], latest: 1, minDecrypt: 1}}
			w.derived = w.kind.is().derives && seed >= 6
			w.convergent = w.derived && w.kind.is().encrypts && seed%2 == 0
			must(t, w.m, "PUT keys/k", with("type", w.kind, "derived", w.derived, "convergent_encryption", w.convergent))
			for i := range steps {
				w.step()
				if t.Failed() {
					t.Fatalf("after step %d of a key %s, derived %v, convergent %v", i, w.kind, w.derived, w.convergent)
				}
			}
		})
	}
}

// world is a key and its model.
type world struct {
	model
	t *testing.T
	m *enginetest.Mounted
	r *rand.Rand
}

func (w *world) step() {
	switch w.r.IntN(12) {
	case 0:
		must(w.t, w.m, "PUT keys/k/rotate", "")
		w.latest++
	case 1:
		w.configure()
	case 2:
		w.trimSome()
	case 3: // a new engine, with nothing in its caches
		w.m = mountOn(w.t, w.m.Store)
	case 4, 5, 6, 7:
		w.make()
	default:
		w.read()
	}
}

// expect is a call that succeeds only if ok.
func (w *world) expect(ok bool, request, body string) map[string]any {
	resp, err := call(w.m, request, body)
	if (err == nil) != ok {
		w.t.Errorf("%s %s: error %v, model %+v", request, body, err, w.model)
		return nil
	}
	if err != nil || resp == nil {
		return nil
	}
	return data(w.t, resp)
}

func (w *world) configure() {
	decrypt, encrypt := w.r.IntN(w.latest+2), w.r.IntN(w.latest+2)
	d := max(decrypt, 1)
	ok := d <= w.latest && encrypt <= w.latest && (encrypt == 0 || encrypt >= d) && d >= w.trim
	w.expect(ok, "PUT keys/k/config", with("min_decryption_version", decrypt, "min_encryption_version", encrypt))
	if ok {
		w.minDecrypt, w.minEncrypt = d, encrypt
	}
}

func (w *world) trimSome() {
	n := w.r.IntN(w.latest + 1)
	ok := n > 0 && n >= w.trim && w.minEncrypt > 0 && n <= w.minDecrypt && n <= w.minEncrypt
	w.expect(ok, "PUT keys/k/trim", with("min_available_version", n))
	if ok {
		w.trim = n
	}
}

// make has the key make a text.
func (w *world) make() {
	pick := func(of ...string) string { return of[w.r.IntN(len(of))] }
	x := modelText{plaintext: pick(fox, here, "", b64("there"))}
	if w.derived {
		x.context = pick(here, b64("there"))
	}
	n := w.r.IntN(w.latest+3) - 1
	x.version = w.writable(n)
	ask := []any{"key_version", n, "context", x.context}
	path, result := "hmac", "hmac"
	switch t := w.kind.is(); {
	case w.r.IntN(3) == 0 || w.kind == hmacOnly:
		x.isMAC = true
	case t.encrypts:
		path, result, x.data = "encrypt", "ciphertext", pick("", here)
		ask = append(ask, "associated_data", x.data)
	default:
		path, result, x.signature = "sign", "signature", true
	}
	got := w.expect(x.version != 0, "PUT "+path+"/k", with(append(ask, "plaintext", x.plaintext, "input", x.plaintext)...))
	if got == nil {
		return
	}
	x.text = field(got, result)
	if !strings.HasPrefix(x.text, fmt.Sprintf("vault:v%d:", x.version)) {
		w.t.Errorf("version %d was to be used, not that of %s", x.version, x.text)
	}
	for _, other := range w.texts {
		same := other.plaintext == x.plaintext && other.context == x.context && other.data == x.data && other.version == x.version && other.isMAC == x.isMAC && other.signature == x.signature
		deterministic := x.isMAC || w.convergent || w.kind == ed25519k
		if equal := other.text == x.text; equal != (same && deterministic) && !(x.isMAC && other.isMAC && other.plaintext == x.plaintext && other.version == x.version) {
			w.t.Errorf("%+v and %+v", other, x)
		}
	}
	w.texts = append(w.texts, x)
}

// read gives a text back to the key.
func (w *world) read() {
	if len(w.texts) == 0 {
		return
	}
	i := w.r.IntN(len(w.texts))
	x := w.texts[i]
	readable := w.readable(x.version)
	if x.isMAC || x.signature {
		sort := map[bool]string{true: "hmac", false: "signature"}[x.isMAC]
		for _, input := range []string{x.plaintext, b64("another")} {
			got := w.expect(readable, "PUT verify/k", with("input", input, "context", x.context, sort, x.text))
			if readable && got["valid"] != (input == x.plaintext) {
				w.t.Errorf("%+v of %s: %v", x, input, got)
			}
		}
		return
	}
	if got := w.expect(readable, "PUT decrypt/k", with("ciphertext", x.text, "context", x.context, "associated_data", x.data)); readable && got["plaintext"] != x.plaintext {
		w.t.Errorf("%+v was decrypted to %v", x, got)
	}
	w.expect(false, "PUT decrypt/k", with("ciphertext", x.text, "context", x.context, "associated_data", b64("wrong")))
	n := w.r.IntN(w.latest+3) - 1
	to := w.writable(n)
	got := w.expect(readable && to != 0, "PUT rewrap/k", with("ciphertext", x.text, "context", x.context, "associated_data", x.data, "key_version", n))
	if got != nil {
		x.text, x.version = field(got, "ciphertext"), to
		w.texts = append(w.texts, x)
	}
}
