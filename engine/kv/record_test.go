package kv

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

// vectors are the records of docs/format/kv.md, by their titles there.
var vectors = map[string]record{
	"Two versions": {
		created: 946684800000000000, updated: 946684801000000000, current: 2,
		history: version{created: 946684801000000000}.append(version{created: 946684800000000000, deletion: 946684801000000000}.append(nil)),
		data:    []byte(`{"a":"b"}`),
	},
	"All settings, versions forgotten, the last one destroyed": {
		casRequired: true, maxVersions: 1, deleteAfter: time.Hour, created: 946684800000000000, updated: 946684801000000000, current: 12,
		custom:  []byte(`{"k":"v"}`),
		history: version{created: 946684801000000000, deletion: 946688401000000000, destroyed: true}.append(nil),
	},
	"No version yet": {created: 946684800000000000, updated: 946684800000000000},
}

func TestRecordVectors(t *testing.T) {
	doc, err := os.ReadFile("../../docs/format/kv.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)\\*\\*([^*]*)\\*\\*\n+```hex\n(.*?)```").FindAllStringSubmatch(string(doc), -1)
	if len(blocks) != len(vectors) {
		t.Fatalf("%d vectors in the document, want %d", len(blocks), len(vectors))
	}
	for _, b := range blocks {
		want, ok := vectors[b[1]]
		if !ok {
			t.Errorf("the document's vector %q is not tested", b[1])
			continue
		}
		var digits strings.Builder
		for line := range strings.Lines(b[2]) {
			text, _, _ := strings.Cut(line, "#")
			digits.WriteString(strings.Join(strings.Fields(text), ""))
		}
		stored, err := hex.DecodeString(digits.String())
		if err != nil {
			t.Fatal(err)
		}
		if got := want.encode(); !bytes.Equal(got, stored) {
			t.Errorf("%s: encoded\n%x\nwant\n%x", b[1], got, stored)
		}
		got, err := decodeRecord(stored)
		if err != nil {
			t.Errorf("%s: %v", b[1], err)
			continue
		}
		// Empty and nil slices are the same here.
		if again := got.encode(); !bytes.Equal(again, stored) || !reflect.DeepEqual(got.history.len(), want.history.len()) {
			t.Errorf("%s: decoded %+v", b[1], got)
		}
	}
}

func TestRecordCorrupt(t *testing.T) {
	good := vectors["Two versions"]
	b := good.encode()
	for name, spoil := range map[string]func(b []byte) []byte{
		"empty":             func([]byte) []byte { return nil },
		"short":             func(b []byte) []byte { return b[:headerSize-1] },
		"format":            func(b []byte) []byte { b[0] = 3; return b },
		"flag":              func(b []byte) []byte { b[1] = 2; return b },
		"too many versions": func(b []byte) []byte { b[41] = 3; return b },
		"long custom":       func(b []byte) []byte { b[42] = 0xff; return b },
		"huge history":      func(b []byte) []byte { b[38], b[30] = 0xff, 0x7f; return b },
		"version overflow":  func(b []byte) []byte { b[30] = 0xff; return b },
		"entry flag":        func(b []byte) []byte { b[headerSize+16] = 2; return b },
		"data missing":      func(b []byte) []byte { return b[:len(b)-len(good.data)] },
		"data of destroyed": func(b []byte) []byte { b[headerSize+entrySize+16] = 1; return b },
	} {
		if _, err := decodeRecord(spoil(bytes.Clone(b))); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// FuzzRecord: decoding never panics, and what is decoded encodes to the same
// bytes and answers valid JSON if its own parts are.
func FuzzRecord(f *testing.F) {
	for _, r := range vectors {
		f.Add(r.encode())
	}
	f.Add([]byte(`{"a":1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeRecord(b)
		if err != nil {
			return
		}
		if b[0] == formatV2 && !bytes.Equal(r.encode(), b) {
			t.Errorf("encoded %x, decoded from %x", r.encode(), b)
		}
		if len(r.custom) > 0 && !json.Valid(r.custom) {
			r.custom = nil
		}
		if out := r.appendMetadata(nil); !json.Valid(out) {
			t.Errorf("metadata is not JSON: %s", out)
		}
		for n := r.first(); n <= r.current; n++ {
			v, ok := r.version(n)
			if !ok || !json.Valid(r.appendVersion(nil, n, v)) {
				t.Errorf("version %d is not answered", n)
			}
		}
	})
}
