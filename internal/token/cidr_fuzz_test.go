package token

import (
	"net/netip"
	"testing"
)

// A CIDR that is taken holds its own address, and a token bound to text that is
// none can be used from nowhere.
func FuzzCIDR(f *testing.F) {
	for _, seed := range []string{"10.0.0.0/8", "10.0.0.1", "::1", "fe80::/10", "fe80::1%eth0", "::ffff:10.0.0.1", "::ffff:10.0.0.0/104", "0.0.0.0/0", "10.0.0.1/33", "a", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parseCIDR(text)
		bound := &Token{BoundCIDRs: []string{text}}
		if err != nil {
			if bound.Allows(netip.MustParseAddr("10.0.0.1")) || bound.Allows(netip.MustParseAddr("::1")) {
				t.Errorf("%q, which is no CIDR, lets in", text)
			}
			return
		}
		if addr := p.Addr(); addr.Zone() == "" && !addr.Is4In6() && !bound.Allows(addr) {
			t.Errorf("%q keeps out %s", text, addr)
		}
	})
}
