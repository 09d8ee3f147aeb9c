package ui_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
)

// owners are people with PGP keys of their own, who open what was encrypted for them.
type owners struct {
	URL  string   `json:"url"`  // POST {"owner": 0, "box": "base64"} answers what is in it
	Keys []string `json:"keys"` // public; the first armored, the others in base64, as people have them
}

func newOwners(t *testing.T, count int) owners {
	entities := make([]*openpgp.Entity, count)
	var o owners
	for i := range entities {
		e, err := openpgp.NewEntity("owner", "", "owner@example.com", nil)
		if err != nil {
			t.Fatal(err)
		}
		entities[i] = e
		o.Keys = append(o.Keys, publicKey(t, e, i == 0))
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var ask struct {
			Owner int
			Box   string
		}
		if err := json.NewDecoder(r.Body).Decode(&ask); err != nil || ask.Owner < 0 || ask.Owner >= count {
			http.Error(w, "which owner?", http.StatusBadRequest)
			return
		}
		message, err := openpgp.ReadMessage(base64.NewDecoder(base64.StdEncoding, strings.NewReader(ask.Box)), openpgp.EntityList{entities[ask.Owner]}, nil, nil)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		io.Copy(w, message.UnverifiedBody)
	}))
	t.Cleanup(s.Close)
	o.URL = s.URL
	return o
}

func publicKey(t *testing.T, e *openpgp.Entity, armored bool) string {
	t.Helper()
	var text bytes.Buffer
	var w io.WriteCloser = base64.NewEncoder(base64.StdEncoding, &text)
	var err error
	if armored {
		w, err = armor.Encode(&text, openpgp.PublicKeyType, nil)
	}
	if err == nil {
		err = e.Serialize(w)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return text.String()
}
