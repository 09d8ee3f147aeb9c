package ui

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"
)

func pack(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// sample is a handler of a UI that was built.
func sample(t *testing.T) *Handler {
	t.Helper()
	files := fstest.MapFS{}
	for name, text := range map[string]string{"index.html": "<p>page", "assets/a-1.js": "script", "mark.svg": "<svg/>"} {
		files[name+".gz"] = &fstest.MapFile{Data: pack(t, text)}
		files[name+".br"] = &fstest.MapFile{Data: []byte("br:" + text)}
	}
	h := &Handler{files: map[string]file{}}
	if err := h.load(files); err != nil || !h.Built() {
		t.Fatalf("load: %v, built %v", err, h.Built())
	}
	return h
}

func get(h http.Handler, path string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestServes(t *testing.T) {
	h := sample(t)
	for _, test := range []struct {
		path, accept               string
		code                       int
		body, encoding, kind, kept string
	}{
		{"/ui/", "", 200, "<p>page", "", "text/html", "no-cache"},
		{"/ui/secrets/team%2Fkv/a.js", "", 200, "<p>page", "", "text/html", "no-cache"},
		{"/ui/vault/auth/oidc/oidc/callback?code=1", "br, gzip", 200, "br:<p>page", "br", "text/html", "no-cache"},
		{"/ui/assets/a-1.js", "gzip, deflate, br;q=1.0", 200, "br:script", "br", "text/javascript", "public, max-age=31536000, immutable"},
		{"/ui/assets/a-1.js", "gzip, br;q=0", 200, string(pack(t, "script")), "gzip", "text/javascript", "public, max-age=31536000, immutable"},
		{"/ui/assets/a-1.js", "gzip;q=0.0, zstd", 200, "script", "", "text/javascript", "public, max-age=31536000, immutable"},
		{"/ui/assets/a-0.js", "br", 404, "not found: reload the page, the server has another version of the UI now\n", "", "text/plain", ""},
		{"/ui/mark.svg", "", 200, "<svg/>", "", "image/svg+xml", "no-cache"},
	} {
		w := get(h, test.path, "Accept-Encoding", test.accept)
		if w.Code != test.code || w.Body.String() != test.body || w.Header().Get("Content-Encoding") != test.encoding ||
			!strings.HasPrefix(w.Header().Get("Content-Type"), test.kind) || w.Header().Get("Cache-Control") != test.kept {
			t.Errorf("%s, accepting %q: %d %q %v", test.path, test.accept, w.Code, w.Body, w.Header())
		}
	}
}

func TestPolicyAndTags(t *testing.T) {
	h := sample(t)
	w := get(h, "/ui/", "Accept-Encoding", "br")
	policy := w.Header().Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'", "trusted-types 'none'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("the policy lacks %q: %s", want, policy)
		}
	}
	if strings.Contains(policy, "unsafe") || strings.Contains(policy, "http") {
		t.Errorf("the policy lets too much: %s", policy)
	}
	tag := w.Header().Get("ETag")
	if plain := get(h, "/ui/").Header().Get("ETag"); tag == "" || tag == plain {
		t.Errorf("tags of two forms: %s and %s", tag, plain)
	}
	if again := get(h, "/ui/", "Accept-Encoding", "br", "If-None-Match", tag); again.Code != http.StatusNotModified || again.Body.Len() > 0 {
		t.Errorf("asked again with its tag: %d, %d bytes", again.Code, again.Body.Len())
	}
}

// What is in the program is listed as the linker and the bundler left it.
func TestCredits(t *testing.T) {
	h := sample(t)
	h.files["licences.json"] = newFile("licences.json", nil, pack(t, `[{"name":"react","version":"19.0.0","licence":"MIT"}]`), []byte("br"))
	if err := h.credit(); err != nil {
		t.Fatal(err)
	}
	w := get(h, "/ui/licences.json", "Accept-Encoding", "br")
	var parts []part
	if err := json.Unmarshal(w.Body.Bytes(), &parts); err != nil || len(parts) < 2 {
		t.Fatalf("%v: %s", err, w.Body)
	}
	if want := (part{Name: "react", Version: "19.0.0", Licence: "MIT", Page: true}); parts[0] != want {
		t.Errorf("%+v, want %+v", parts[0], want)
	}
	if parts[1].Name != "Go" || parts[1].Version != runtime.Version() || parts[1].Page {
		t.Errorf("Go itself: %+v", parts[1])
	}
	delete(h.files, "licences.json")
	if h.credit() == nil {
		t.Error("a UI without its list is taken for whole")
	}
}

// A program built by go build alone says how to have the UI; one built after make ui has it.
func TestEmbedded(t *testing.T) {
	h := New()
	w := get(h, "/ui/anything")
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "Strongroom") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if !h.Built() && !strings.Contains(w.Body.String(), "make build") {
		t.Errorf("it does not say how to build the UI: %s", w.Body)
	}
}
