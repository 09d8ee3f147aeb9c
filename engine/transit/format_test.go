package transit

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"strongroom/internal/storage"
)

// The vectors of docs/format/transit.md: what is stored there is understood, is
// written again to the byte, and makes the texts that stand there.
func TestFormat(t *testing.T) {
	page := string(must1(os.ReadFile("../../docs/format/transit.md")))
	_, rest, _ := strings.Cut(page, "```json\n")
	block, _, _ := strings.Cut(rest, "```")
	var vector struct {
		Key     json.RawMessage `json:"k/vector"`
		Version json.RawMessage `json:"v/vector/1"`
		Texts   []struct {
			Ciphertext     string `json:"ciphertext"`
			AssociatedData string `json:"associated_data"`
			HMAC           string `json:"hmac"`
		}
	}
	if err := json.Unmarshal([]byte(block), &vector); err != nil || len(vector.Texts) != 6 {
		t.Fatalf("%d texts, %v", len(vector.Texts), err)
	}
	m := mount(t)
	if err := m.Store.Apply(t.Context(), storage.Batch{Writes: []storage.Write{{Key: "mount/test/k/vector", Value: vector.Key}, {Key: "mount/test/v/vector/1", Value: vector.Version}}}); err != nil {
		t.Fatal(err)
	}
	for _, x := range vector.Texts {
		n, _, err := parseText(x.Ciphertext+x.HMAC, "text")
		if err != nil {
			t.Fatal(err)
		}
		if x.HMAC != "" {
			if got := must(t, m, "PUT hmac/vector", with("input", fox, "key_version", n)); got["hmac"] != x.HMAC {
				t.Errorf("made %v, want %s", got, x.HMAC)
			}
			continue
		}
		if got := must(t, m, "PUT decrypt/vector", with("ciphertext", x.Ciphertext, "context", here, "associated_data", x.AssociatedData)); got["plaintext"] != fox {
			t.Errorf("%s: %v", x.Ciphertext, got)
		}
		if got := must(t, m, "PUT encrypt/vector", with("plaintext", fox, "context", here, "associated_data", x.AssociatedData, "key_version", n)); got["ciphertext"] != x.Ciphertext {
			t.Errorf("made %v, want %s", got, x.Ciphertext)
		}
	}
	must(t, m, "PUT keys/vector/config", with("min_decryption_version", 1)) // writes it anew
	for place, want := range map[string][]byte{"k/vector": vector.Key, "v/vector/1": vector.Version} {
		if e := must1(m.Store.Get(t.Context(), "mount/test/"+place)); !bytes.Equal(e.Value, want) {
			t.Errorf("%s is\n%s\nwant\n%s", place, e.Value, want)
		}
	}
}
