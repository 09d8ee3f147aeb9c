package kubetest

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func TestSlotsOfTwoClusters(t *testing.T) {
	one, err := takeSlot()
	if err != nil {
		t.Fatal(err)
	}
	other, err := takeSlot()
	if err != nil {
		t.Fatal(err)
	}
	if one.network().Overlaps(other.network()) || one.device() == other.device() || one.group() == other.group() || one.dir == other.dir {
		t.Errorf("slots %+v and %+v collide", one, other)
	}
	rival := &slot{dir: one.dir}
	if err := rival.tryLock(); !errors.Is(err, syscall.EWOULDBLOCK) {
		t.Errorf("a slot was taken twice: %v", err)
	}
	for _, s := range []*slot{one, other} {
		if err := s.release(); err != nil {
			t.Error(err)
		}
	}
}

func TestSlotAddresses(t *testing.T) {
	s := &slot{number: 3}
	network := s.network()
	for _, cidr := range []string{s.pods(), s.services(), s.nodePods(1), s.nodePods(maxNodes), s.control() + "/32", s.machine() + "/32", s.nodeAddress(maxNodes) + "/32"} {
		if prefix, err := netip.ParsePrefix(cidr); err != nil || !network.Contains(prefix.Addr()) || prefix.Bits() < network.Bits() {
			t.Errorf("%s is not in %v (%v)", cidr, network, err)
		}
	}
	if service := (site{services: s.services()}).firstService(); service != "10.227.128.1" {
		t.Errorf("the Service of the API is at %s", service)
	}
	if services := netip.MustParsePrefix(s.services()); !services.Contains(netip.MustParseAddr(s.dns())) || services.Overlaps(netip.MustParsePrefix(s.pods())) {
		t.Errorf("Services %s, DNS %s, pods %s", services, s.dns(), s.pods())
	}
}

func TestRoutesThatTakeANetwork(t *testing.T) {
	known := parseRoutes("default via 192.0.2.1 dev eth0\n10.0.0.0/8 dev vpn scope link\n10.225.4.0/24 dev bridge\n" +
		"local 10.226.0.1 dev lo table local\nbroadcast 10.227.255.255 dev lo\nunreachable 10.228.0.0/14\n")
	for number, want := range []string{"", "10.225.4.0/24", "10.226.0.1/32", "10.227.255.255/32", "10.228.0.0/14"} {
		got := overlapping(known, (&slot{number: number}).network())
		if got.IsValid() != (want != "") || got.IsValid() && got.String() != want {
			t.Errorf("slot %d: taken by %v, want %q", number, got, want)
		}
	}
}

func TestMissingPackagesAreNamed(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	missing := missingPackages()
	for _, want := range []string{"containerd", "runc", "nftables", "iproute2"} {
		if !slices.Contains(missing, want) {
			t.Errorf("missing packages are %v, want %s among them", missing, want)
		}
	}
	err := installPackages(t.Context(), &strings.Builder{})
	if err == nil || !strings.Contains(err.Error(), "containerd runc") || !strings.Contains(err.Error(), "no apt-get") {
		t.Errorf("error is %v", err)
	}
}
