// Package browser owns what operators set for web browsers: which pages of
// other origins may use the API (CORS), and the headers of the web UI's pages.
// It stores and decides; httpapi writes the headers.
package browser

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"strongroom/internal/storage"
)

// key is where the Settings are stored (docs/format/browser.md).
const key = "core/browser"

// Settings are all that is set.
type Settings struct {
	CORS CORS `json:"cors"`
	// UI is the headers of the pages below /ui/, by their canonical names.
	UI map[string][]string `json:"ui,omitempty"`
}

// CORS says which pages of other origins may use the API
// (https://developer.hashicorp.com/vault/api-docs/system/config-cors).
type CORS struct {
	Enabled     bool     `json:"enabled"`
	Origins     []string `json:"allowed_origins,omitempty"` // "*" is every one
	Headers     []string `json:"allowed_headers,omitempty"` // beside the standard ones
	Credentials bool     `json:"allow_credentials,omitempty"`
}

// StandardHeaders may be sent by every page that is allowed at all.
func StandardHeaders() []string {
	return []string{"Content-Type", "X-Requested-With", "X-Vault-No-Request-Forwarding", "X-Vault-Namespace", "X-Vault-Request", "X-Vault-Token", "Authorization",
		"X-Vault-Wrap-Format", "X-Vault-Wrap-TTL", "X-Vault-Index", "X-Vault-Inconsistent"}
}

// Allows says whether pages of origin may use the API.
func (c CORS) Allows(origin string) bool {
	return c.Enabled && origin != "" && (slices.Contains(c.Origins, "*") || slices.ContainsFunc(c.Origins, func(o string) bool { return strings.EqualFold(o, origin) }))
}

// Check says what is wrong with c.
func (c CORS) Check() error {
	if len(c.Origins) == 0 {
		return errors.New("at least one origin or the wildcard must be provided: allowed_origins, such as https://app.example.com")
	}
	if slices.Contains(c.Origins, "*") && len(c.Origins) > 1 {
		return errors.New("to allow all origins the '*' must be the only value for allowed_origins")
	}
	if c.Credentials && slices.Contains(c.Origins, "*") {
		return errors.New("allow_credentials does not go with '*': any page could act with the client certificate of whoever looks at it; name the origins")
	}
	for _, o := range c.Origins {
		if u, err := url.Parse(o); o != "*" && (err != nil || u.Host == "" || u.Scheme+"://"+u.Host != o) {
			return fmt.Errorf("%q is no origin: a scheme, a host and maybe a port, such as https://app.example.com:8443", o)
		}
	}
	for _, h := range c.Headers {
		if !isName(h) {
			return fmt.Errorf("%q is not the name of a header", h)
		}
	}
	return nil
}

// CheckHeader says what is wrong with a header for the pages of the UI.
func CheckHeader(name string, values []string) error {
	switch canonical := http.CanonicalHeaderKey(name); {
	case !isName(name):
		return fmt.Errorf("%q is not the name of a header", name)
	case strings.HasPrefix(canonical, "X-Vault-"), slices.Contains([]string{"Content-Length", "Content-Type", "Content-Encoding", "Connection", "Transfer-Encoding", "Trailer", "Location", "Set-Cookie"}, canonical):
		return fmt.Errorf("the header %s is the server's own", canonical)
	case len(values) == 0:
		return errors.New("header values must be provided: values, a list of texts")
	}
	for _, v := range values {
		if len(v) > 8<<10 || strings.ContainsFunc(v, func(r rune) bool { return r != '\t' && r < ' ' || r == 0x7f }) {
			return errors.New("a value must be one line of at most 8192 bytes")
		}
	}
	return nil
}

// isName says whether s is a token of RFC 9110.
func isName(s string) bool {
	return s != "" && len(s) <= 128 && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("!#$%&'*+-.^_`|~", r))
	})
}

// Store answers from memory as long as nothing changes. Safe for concurrent use.
type Store struct{ cache *storage.Cache[Settings] }

// Open makes a Store.
func Open() *Store { return &Store{storage.NewCache[Settings](1)} }

// Get returns what is set, as r sees it.
func (s *Store) Get(ctx context.Context, r storage.VersionReader) (Settings, error) {
	found, _, err := s.cache.Get(ctx, r, key, key, func(b []byte) (out Settings, err error) { return out, json.Unmarshal(b, &out) })
	return found, err
}

// Change stores what change makes of the settings.
func Change(ctx context.Context, tx *storage.Tx, change func(*Settings)) error {
	var s Settings
	if _, err := storage.GetJSON(ctx, tx, key, &s); err != nil {
		return err
	}
	if s.UI == nil {
		s.UI = map[string][]string{}
	}
	change(&s)
	return storage.PutJSON(tx, key, s)
}
