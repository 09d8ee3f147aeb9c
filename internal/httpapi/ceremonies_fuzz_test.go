package httpapi

import (
	"testing"

	"strongroom/internal/node"
)

// No body makes the decoding of a ceremony's request panic, and a share it returns
// is one that was in it.
func FuzzCeremonyRequests(f *testing.F) {
	f.Add([]byte(`{"key":"abcd","nonce":"x"}`))
	f.Add([]byte(`{"key":null}`))
	f.Add([]byte(`{"secret_shares":-1,"secret_threshold":1e3,"pgp_keys":["x"]}`))
	f.Add([]byte(`{"otp":"","pgp_key":"AAAA"}`))
	f.Add([]byte(`[]`))
	f.Add([]byte(``))
	f.Fuzz(func(t *testing.T, body []byte) {
		x := &exchange{body: body}
		if share, _, err := x.share(); err == nil && len(share) > len(body) {
			t.Errorf("%d bytes of share from %d", len(share), len(body))
		}
		decodeRequest[node.RekeyRequest](x)
	})
}
