package transit

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"strongroom/engine"
	"strongroom/internal/storage"
)

// BenchmarkEncrypt is an encryption of 128 bytes as the gateway has it done: the
// parameters decoded, the handler run over a transaction. The limit is the
// cipher and the base64 alone.
func BenchmarkEncrypt(b *testing.B) {
	m := mount(b)
	must(b, m, "PUT keys/k", "")
	router, err := engine.NewRouter(m.Engine.Routes())
	if err != nil {
		b.Fatal(err)
	}
	plaintext := strings.Repeat("x", 128)
	run := func(path, body string) func(b *testing.B) {
		return func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				route, params, _ := router.Match(engine.Update, path)
				d, _, err := engine.Decode(route.Fields, []byte(body), nil, params)
				if err != nil {
					b.Fatal(err)
				}
				req := &engine.Request{Operation: engine.Update, Path: path, Data: d, Storage: storage.Begin(m.Store).View("mount/test/")}
				if _, err := route.Write(b.Context(), req); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	ciphertext := must(b, m, "PUT encrypt/k", with("plaintext", b64(plaintext)))["ciphertext"]
	b.Run("encrypt", run("encrypt/k", with("plaintext", b64(plaintext))))
	b.Run("decrypt", run("decrypt/k", with("ciphertext", ciphertext)))
	items := strings.Repeat(fmt.Sprintf(`{"plaintext":%q},`, b64(plaintext)), 100)
	b.Run("batch of 100", run("encrypt/k", `{"batch_input":[`+items[:len(items)-1]+`]}`))
	b.Run("limit", func(b *testing.B) {
		a := must1(newAEAD(aes256, random(32)))
		in := b64(plaintext)
		b.ReportAllocs()
		for b.Loop() {
			p := must1(base64.StdEncoding.DecodeString(in))
			raw := make([]byte, nonceSize, 256)
			rand.Read(raw)
			_ = base64.StdEncoding.EncodeToString(a.Seal(raw, raw, p, nil))
		}
	})
}
