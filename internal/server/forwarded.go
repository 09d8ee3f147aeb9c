package server

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Handler gives next the address of the client that an authorised proxy names in X-Forwarded-For as the request's RemoteAddr. Where no proxy is authorised
// it is next itself: the header is anybody's to write, so it is never read.
func (x XForwardedFor) Handler(next http.Handler) http.Handler {
	if len(x.Authorized) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		client, err := x.client(r)
		if err != nil {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			json.NewEncoder(w).Encode(map[string][]string{"errors": {err.Error()}})
			return
		}
		r.RemoteAddr = client
		next.ServeHTTP(w, r)
	})
}

// client is the address, with a port, that r is held to come from.
func (x XForwardedFor) client(r *http.Request) (string, error) {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return "", fmt.Errorf("the connection's own address is not one")
	}
	hops := []string{}
	for _, header := range r.Header.Values("X-Forwarded-For") {
		for hop := range strings.SplitSeq(header, ",") {
			if hop = strings.TrimSpace(hop); hop != "" {
				hops = append(hops, hop)
			}
		}
	}
	if len(hops) == 0 {
		if x.RejectNotPresent {
			return "", fmt.Errorf("missing X-Forwarded-For header: this listener serves proxies that send it (x_forwarded_for_reject_not_present)")
		}
		return r.RemoteAddr, nil
	}
	if !slices.ContainsFunc(x.Authorized, func(p netip.Prefix) bool { return p.Contains(peer.Addr().Unmap()) }) {
		if x.RejectNotAuthorized {
			return "", fmt.Errorf("X-Forwarded-For from an address that is not in x_forwarded_for_authorized_addrs")
		}
		return r.RemoteAddr, nil
	}
	// The rear of the list is what the nearest proxies wrote; its front is whatever the client claimed.
	i := len(hops) - 1 - x.HopSkips
	if i < 0 {
		return "", fmt.Errorf("X-Forwarded-For has fewer hops than x_forwarded_for_hop_skips skips")
	}
	hop, err := netip.ParseAddr(strings.Trim(hops[i], "[]"))
	if err != nil {
		return "", fmt.Errorf("X-Forwarded-For holds something that is no IP address")
	}
	return net.JoinHostPort(hop.String(), fmt.Sprint(peer.Port())), nil
}
