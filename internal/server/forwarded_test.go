package server

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
)

func TestXForwardedFor(t *testing.T) {
	on := XForwardedFor{Authorized: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, RejectNotPresent: true, RejectNotAuthorized: true}
	skip, lax := on, on
	skip.HopSkips = 1
	lax.RejectNotPresent, lax.RejectNotAuthorized = false, false
	tests := []struct {
		name   string
		config XForwardedFor
		peer   string
		header []string
		want   string // the address the handler sees, or "" for a refusal
	}{
		{"off", XForwardedFor{RejectNotPresent: true}, "10.0.0.1:99", []string{"1.2.3.4"}, "10.0.0.1:99"},
		{"believed", on, "10.0.0.1:99", []string{"1.2.3.4"}, "1.2.3.4:99"},
		{"the last hop counts", on, "10.0.0.1:99", []string{"6.6.6.6, 1.2.3.4"}, "1.2.3.4:99"},
		{"across headers", on, "10.0.0.1:99", []string{"6.6.6.6", "1.2.3.4"}, "1.2.3.4:99"},
		{"IPv6", on, "10.0.0.1:99", []string{"[2001:db8::1]"}, "[2001:db8::1]:99"},
		{"mapped peer", on, "[::ffff:10.0.0.1]:99", []string{"1.2.3.4"}, "1.2.3.4:99"},
		{"skips from the rear", skip, "10.0.0.1:99", []string{"1.2.3.4, 2.3.4.5, 3.4.5.6"}, "2.3.4.5:99"},
		{"skips too many", skip, "10.0.0.1:99", []string{"1.2.3.4"}, ""},
		{"stranger", on, "192.0.2.1:99", []string{"1.2.3.4"}, ""},
		{"stranger passed as itself", lax, "192.0.2.1:99", []string{"1.2.3.4"}, "192.0.2.1:99"},
		{"absent", on, "10.0.0.1:99", nil, ""},
		{"absent passed as itself", lax, "10.0.0.1:99", []string{" , "}, "10.0.0.1:99"},
		{"not an address", on, "10.0.0.1:99", []string{"localhost"}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got string
			h := test.config.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.RemoteAddr }))
			r := httptest.NewRequest("GET", "/v1/sys/health", nil)
			r.RemoteAddr = test.peer
			for _, value := range test.header {
				r.Header.Add("X-Forwarded-For", value)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if got != test.want || (test.want == "") != (w.Code == http.StatusBadRequest) {
				t.Errorf("got %q with code %d, want %q", got, w.Code, test.want)
			}
		})
	}
}
