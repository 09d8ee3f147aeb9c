package secret

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// However a key gets into a log line or a JSON object, it does not get out.
func TestLessonKeysDoNotPrint(t *testing.T) {
	key := Bytes("hunter2hunter2hunter2hunter2hunt")
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		for _, v := range []any{key, &key, []Bytes{key}, struct{ K Bytes }{key}} {
			s := fmt.Sprintf(verb, v)
			if strings.Contains(s, "hunter2") || strings.Contains(s, hex.EncodeToString(key[:4])) || strings.Contains(s, "104") {
				t.Errorf("%s of %T prints %s", verb, v, s)
			}
		}
	}
	if b, err := json.Marshal(struct{ K Bytes }{key}); err == nil {
		t.Errorf("encoded as %s", b)
	}
	key.Zero()
	if string(key) != strings.Repeat("\x00", len(key)) {
		t.Error("not zeroed")
	}
}

func TestSealOpen(t *testing.T) {
	key := NewKey()
	box, err := Seal(key, []byte("plain"), []byte("aad"))
	if err != nil {
		t.Fatal(err)
	}
	if p, err := Open(key, box, []byte("aad")); err != nil || string(p) != "plain" {
		t.Fatalf("%q, %v", p, err)
	}
	for name, open := range map[string]func() ([]byte, error){
		"another key":  func() ([]byte, error) { return Open(NewKey(), box, []byte("aad")) },
		"other aad":    func() ([]byte, error) { return Open(key, box, []byte("AAD")) },
		"a cut box":    func() ([]byte, error) { return Open(key, box[:10], []byte("aad")) },
		"an empty box": func() ([]byte, error) { return Open(key, nil, []byte("aad")) },
	} {
		if _, err := open(); !errors.Is(err, ErrOpen) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Seal(key[:5], nil, nil); err == nil {
		t.Error("a short key was taken")
	}
}

func TestLessonKeyBuffersAreWiped(t *testing.T) {
	k := NewKey()
	view := k[:len(k):len(k)]
	k.Zero()
	for i, b := range view {
		if b != 0 {
			t.Fatalf("byte %d of a dropped key is %#x", i, b)
		}
	}
}
