package httpapi

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	"strongroom/internal/browser"
)

// settings are what operators set for browsers; nothing while this node is sealed.
func (h *Handler) settings(r *http.Request) browser.Settings {
	s := cmp.Or(h.node.Session(), h.node.Reader())
	if s == nil {
		return browser.Settings{}
	}
	set, err := s.Browser(r.Context())
	if err != nil { // sealed meanwhile, or leaderless: as if nothing were set, which allows the least
		return browser.Settings{}
	}
	return set
}

// preflightAge is for how long a browser need not ask again, in seconds.
const preflightAge = "300"

// cors tells a browser which pages may read the answer, and answers whether one
// may send a request (https://fetch.spec.whatwg.org/#http-cors-protocol); it says
// whether that was all that was asked. A page that may not is kept from reading by
// its browser; what needs a token it cannot even send.
func (h *Handler) cors(w http.ResponseWriter, r *http.Request) (answered bool) {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return false
	}
	c := h.settings(r).CORS
	if !c.Enabled {
		return false
	}
	preflight := r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != ""
	w.Header().Add("Vary", "Origin")
	if !c.Allows(origin) {
		if preflight {
			writeErrors(w, http.StatusForbidden, "origin not allowed: see sys/config/cors")
		}
		return preflight
	}
	allow := origin
	if slices.Contains(c.Origins, "*") {
		allow = "*" // with which browsers send no credentials, whatever is stored
	}
	w.Header().Set("Access-Control-Allow-Origin", allow)
	if c.Credentials && allow != "*" {
		w.Header().Set("Access-Control-Allow-Credentials", "true")
	}
	if !preflight {
		w.Header().Set("Access-Control-Expose-Headers", "X-Vault-Index, Retry-After, X-Ratelimit-Limit, X-Ratelimit-Remaining, X-Ratelimit-Reset")
		return false
	}
	w.Header().Add("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers")
	w.Header().Set("Access-Control-Allow-Methods", "DELETE, GET, HEAD, LIST, OPTIONS, PATCH, POST, PUT, SCAN")
	w.Header().Set("Access-Control-Allow-Headers", strings.Join(slices.Concat(browser.StandardHeaders(), c.Headers), ", "))
	w.Header().Set("Access-Control-Max-Age", preflightAge)
	w.WriteHeader(http.StatusNoContent)
	return true
}

// custom is w with the operator's headers for the UI's pages in the place of the
// server's own.
func (h *Handler) custom(w http.ResponseWriter, r *http.Request) http.ResponseWriter {
	if set := h.settings(r).UI; len(set) > 0 {
		return &customized{ResponseWriter: w, headers: set}
	}
	return w
}

type customized struct {
	http.ResponseWriter
	headers map[string][]string
	wrote   bool
}

func (c *customized) WriteHeader(code int) {
	if !c.wrote {
		c.wrote = true
		for name, values := range c.headers {
			c.Header()[name] = values
		}
	}
	c.ResponseWriter.WriteHeader(code)
}

func (c *customized) Write(b []byte) (int, error) {
	if !c.wrote {
		c.WriteHeader(http.StatusOK)
	}
	return c.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (c *customized) Unwrap() http.ResponseWriter { return c.ResponseWriter }
