package pki

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"strongroom/internal/storage"
)

// The vectors of docs/format/pki.md: what is stored there is understood, the list that
// comes of it is that of the page to the byte, and what is written again is the same.
func TestFormat(t *testing.T) {
	page := string(must1(os.ReadFile("../../docs/format/pki.md")))
	_, rest, _ := strings.Cut(page, "```json\n")
	block, _, _ := strings.Cut(rest, "```")
	var vector struct {
		Stored map[string]json.RawMessage
		CRL    []byte
	}
	if err := json.Unmarshal([]byte(block), &vector); err != nil || len(vector.Stored) != 8 {
		t.Fatalf("%d records, %v", len(vector.Stored), err)
	}
	m := mount(t)
	values := map[string][]byte{}
	var batch storage.Batch
	for place, raw := range vector.Stored {
		values[place] = raw
		if raw[0] == '"' {
			var text string
			if err := json.Unmarshal(raw, &text); err != nil {
				t.Fatal(err)
			}
			values[place] = must1(base64.StdEncoding.DecodeString(text))
		}
		batch.Writes = append(batch.Writes, storage.Write{Key: "mount/test/" + place, Value: values[place]})
	}
	if err := m.Store.Apply(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	resp, err := call(m, "GET crl", "")
	if err != nil || !bytes.Equal(resp.Raw.Body, vector.CRL) {
		t.Errorf("the list is %v\n%s\n%v", resp, base64.StdEncoding.EncodeToString(resp.Raw.Body), err)
	}
	for _, serial := range slices.Sorted(maps.Keys(values)) {
		if name, ok := strings.CutPrefix(serial, certPrefix); ok {
			if got := must(t, m, "GET cert/"+colons(name), ""); got["revocation_time"] != 946684800.0 {
				t.Errorf("the certificate is %v", got)
			}
		}
	}
	must(t, m, "PATCH issuer/vector", with("usage", usagesKnown))
	must(t, m, "PATCH roles/vector", with("ttl", "1h"))
	for place, want := range values {
		if e := must1(m.Store.Get(t.Context(), "mount/test/"+place)); !bytes.Equal(e.Value, want) {
			t.Errorf("%s is\n%s\nwant\n%s", place, e.Value, want)
		}
	}
}
