// Package ui owns the web UI: it serves the files that `make build` made of the TypeScript beside it, embedded in the
// program. It knows nothing of the server; in the browser, the UI uses the public API alone.
package ui

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
)

// dist/app is what the build makes, each file as .gz and .br only. A program built without it has the one page
// that says so, which is committed, so that go build works on its own.
//
//go:embed all:dist
var dist embed.FS

// prefix is where the UI stands.
const prefix = "/ui/"

// policy lets a page run and load what this server sent, and nothing else; no script or style in the page itself.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// Handler serves the UI below /ui/. Any path that is no file gets the page itself, which finds its way by the address.
type Handler struct {
	files map[string]file // by path below /ui/
	built bool
}

// file is one file of the UI. gz and br may be nil: then plain is there.
type file struct {
	plain, gz, br []byte
	contentType   string
	etag          string
}

// New reads the embedded files.
func New() *Handler {
	h := &Handler{files: map[string]file{}}
	app, err := fs.Sub(dist, "dist/app")
	if err == nil {
		err = h.load(app)
	}
	if err == nil && h.built {
		err = h.credit()
	}
	if err != nil || !h.built {
		page, _ := dist.ReadFile("dist/missing.html") // it is embedded, or this would not compile
		h.files = map[string]file{"index.html": newFile("index.html", page, nil, nil)}
	}
	return h
}

// part is something that was made elsewhere and is in this program.
type part struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Licence string `json:"licence"` // SPDX; empty: it is not known, as the UI was built before the part came in
	Page    bool   `json:"page"`    // it runs in the browser
}

// credit makes licences.json, which lists the packages in the pages as their bundler left it, and the modules in this
// program as the linker did, with the licences that build/licences found.
func (h *Handler) credit() error {
	packages, err := h.files["licences.json"].unpacked()
	if err != nil {
		return err
	}
	var parts []part
	if err := json.Unmarshal(packages, &parts); err != nil {
		return err
	}
	for i := range parts {
		parts[i].Page = true
	}
	licences := map[string]string{}
	if text, err := dist.ReadFile("dist/modules.json"); err == nil {
		if err := json.Unmarshal(text, &licences); err != nil {
			return err
		}
	}
	info, ok := debug.ReadBuildInfo()
	if ok {
		parts = append(parts, part{Name: "Go", Version: info.GoVersion, Licence: "BSD-3-Clause"})
		for _, m := range info.Deps {
			p := part{Name: m.Path, Version: m.Version, Licence: licences[m.Path]}
			if m.Replace != nil {
				p.Version = m.Replace.Version
			}
			parts = append(parts, p)
		}
	}
	text, err := json.Marshal(parts)
	h.files["licences.json"] = newFile("licences.json", text, nil, nil)
	return err
}

// unpacked is f as it was before it was packed.
func (f file) unpacked() ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(f.gz))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// Built is whether the program was built with the UI in it.
func (h *Handler) Built() bool { return h.built }

func (h *Handler) load(app fs.FS) error {
	return fs.WalkDir(app, ".", func(name string, entry fs.DirEntry, err error) error {
		name, packed := strings.CutSuffix(name, ".gz")
		if err != nil || entry.IsDir() || !packed {
			return err
		}
		gz, err := fs.ReadFile(app, name+".gz")
		if err != nil {
			return err
		}
		br, err := fs.ReadFile(app, name+".br")
		if err != nil {
			return err
		}
		h.files[name] = newFile(name, nil, gz, br)
		h.built = h.built || name == "index.html"
		return nil
	})
}

func newFile(name string, plain, gz, br []byte) file {
	sum := sha256.Sum256(append(bytes.Clone(plain), gz...))
	contentType := mime.TypeByExtension(path.Ext(name))
	if contentType == "" {
		contentType = "application/octet-stream"
	}
	return file{plain: plain, gz: gz, br: br, contentType: contentType, etag: `"` + hex.EncodeToString(sum[:12]) + `"`}
}

// ServeHTTP answers GET and HEAD below /ui/.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, prefix)
	f, found := h.files[name]
	hashed := found && strings.HasPrefix(name, "assets/")
	switch {
	case found && name != "":
	case strings.HasPrefix(name, "assets/"): // of another version: a page instead would be taken for a script
		http.Error(w, "not found: reload the page, the server has another version of the UI now", http.StatusNotFound)
		return
	default:
		f = h.files["index.html"]
	}
	header := w.Header()
	header.Set("Content-Security-Policy", policy)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Frame-Options", "DENY")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cross-Origin-Opener-Policy", "same-origin-allow-popups") // an OIDC provider's window is one
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
	header.Set("Content-Type", f.contentType)
	header.Set("Cache-Control", "no-cache")
	if hashed { // its name says what is in it
		header.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	f.serve(w, r)
}

// serve sends f in the form that the client likes best.
func (f file) serve(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Add("Vary", "Accept-Encoding")
	encoding, body := "", f.plain
	switch {
	case f.br != nil && accepts(r, "br"):
		encoding, body = "br", f.br
	case f.gz != nil && accepts(r, "gzip"):
		encoding, body = "gzip", f.gz
	case f.gz != nil:
		var err error
		if body, err = f.unpacked(); err != nil {
			http.Error(w, "this file of the UI is damaged: install the program again", http.StatusInternalServerError)
			return
		}
	}
	etag := f.etag
	if encoding != "" {
		header.Set("Content-Encoding", encoding)
		etag = strings.TrimSuffix(etag, `"`) + "-" + encoding + `"` // a tag is of one form's bytes
	}
	header.Set("ETag", etag)
	if strings.Contains(r.Header.Get("If-None-Match"), etag) {
		header.Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	header.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method != http.MethodHead {
		w.Write(body)
	}
}

// accepts is whether the client takes encoding; one that it gives the weight 0 it does not.
func accepts(r *http.Request, encoding string) bool {
	for part := range strings.SplitSeq(strings.Join(r.Header.Values("Accept-Encoding"), ","), ",") {
		name, weight, weighed := strings.Cut(part, ";")
		if strings.EqualFold(strings.TrimSpace(name), encoding) {
			return !weighed || strings.Trim(weight, " q=0.") != ""
		}
	}
	return false
}
