package httpapi

import (
	"bytes"
	"encoding/json"
	"testing"
)

// What the one pass over the bytes says of a JSON body is what a walk over its
// values says.
func FuzzJSONLimits(f *testing.F) {
	for _, seed := range []string{`{}`, `{"a":[1,2,3],"b":{"c":"xxxxxxxxx"}}`, `[[[[[]]]]]`, `{"a\"b":"\\","c":"[{,"}`, `"é\u00e9"`, `[1,2,3,4,5]`, `{"a":1,"b":2,"c":3,"d":4}`, `}{`, `"`, `"\`} {
		f.Add([]byte(seed))
	}
	limits := JSONLimits{Depth: 4, String: 8, Entries: 3, Elements: 4}
	f.Fuzz(func(t *testing.T, body []byte) {
		err := limits.check(body)
		if !json.Valid(body) {
			return // its parser refuses it: here it must only not panic
		}
		if want := within(json.RawMessage(body), limits, 0); (err == nil) != want {
			t.Errorf("%q: %v, but a walk says %v", body, err, want)
		}
	})
}

// within walks raw, which is valid.
func within(raw json.RawMessage, l JSONLimits, depth int) bool {
	raw = bytes.TrimSpace(raw)
	switch raw[0] {
	case '"':
		return len(raw)-2 <= l.String
	case '[':
		var items []json.RawMessage
		_ = json.Unmarshal(raw, &items) // valid
		for _, it := range items {
			if !within(it, l, depth+1) {
				return false
			}
		}
		return depth < l.Depth && len(items) <= l.Elements
	case '{':
		d := json.NewDecoder(bytes.NewReader(raw))
		_, _ = d.Token()
		n := 0
		for ; d.More(); n++ {
			var value json.RawMessage
			before := d.InputOffset()
			_, _ = d.Token()
			name := bytes.Trim(raw[before:d.InputOffset()], " \t\r\n,")
			_ = d.Decode(&value)
			if len(name)-2 > l.String || !within(value, l, depth+1) {
				return false
			}
		}
		return depth < l.Depth && n <= l.Entries
	}
	return true
}

// No X-Vault-Index makes its reading panic, and one that it takes is written again
// as what it stands for.
func FuzzIndexHeader(f *testing.F) {
	for _, seed := range []string{encodeIndex("c", 7), "", "!", "djE6", "djE6YzoxODQ0Njc0NDA3MzcwOTU1MTYxNTowOg=="} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		cluster, index, err := decodeIndex(text)
		if err != nil {
			return
		}
		again, same, err := decodeIndex(encodeIndex(cluster, index))
		if err != nil || again != cluster || same != index {
			t.Errorf("%q is %q %d, then %q %d, %v", text, cluster, index, again, same, err)
		}
	})
}
