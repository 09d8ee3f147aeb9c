package auth

import (
	"net/netip"
	"slices"

	"strongroom/engine"
)

// ParseCIDR reads a network ("10.0.0.0/8") or one address.
func ParseCIDR(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	return netip.ParsePrefix(text)
}

// CheckCIDRs demands that each of the networks given as parameter name is one.
func CheckCIDRs(name string, networks []string) error {
	for _, c := range networks {
		if _, err := ParseCIDR(c); err != nil {
			return engine.Invalidf("'%s': %q is neither an address nor a network such as 10.0.0.0/8", name, c)
		}
	}
	return nil
}

// Within says whether addr is in one of the networks; in none at all, everybody is.
func Within(networks []string, addr netip.Addr) bool {
	addr = addr.Unmap()
	return len(networks) == 0 || slices.ContainsFunc(networks, func(c string) bool {
		p, err := ParseCIDR(c)
		return err == nil && p.Contains(addr)
	})
}

// Subset says whether every network of inner lies in one of outer. No network is
// all of them.
func Subset(inner, outer []string) bool {
	if len(outer) == 0 {
		return true
	}
	return len(inner) > 0 && !slices.ContainsFunc(inner, func(i string) bool {
		in, err := ParseCIDR(i)
		return err != nil || !slices.ContainsFunc(outer, func(o string) bool {
			out, err := ParseCIDR(o)
			return err == nil && out.Bits() <= in.Bits() && out.Contains(in.Addr())
		})
	})
}
