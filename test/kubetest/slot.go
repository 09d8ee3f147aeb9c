package kubetest

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	// stateDir has a folder and a lock for every cluster with nodes on this machine.
	stateDir = "/var/cache/strongroom-kubetest"
	// slots is how many of them there may be, because of their addresses.
	slots = 16
	// maxNodes of one cluster.
	maxNodes = 9
	// cleanLimit bounds the wait for the last processes of a cluster.
	cleanLimit = 10 * time.Second
)

// slot is the place of a cluster with nodes on this machine: its number decides
// its addresses and the names of all that is not inside a namespace. Who holds
// the lock of a slot owns whatever bears its names; the kernel gives the lock
// back when the process ends, so what is found in a slot that can be locked was
// left behind by one that is dead.
type slot struct {
	number int
	dir    string // for the nodes' disks
	groups controlGroups
	lock   *os.File
}

// takeSlot takes the first free slot, and cleans all that nobody holds.
func takeSlot() (*slot, error) {
	groups, err := findControlGroups()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(stateDir, 0o700); err != nil {
		return nil, err
	}
	var taken *slot
	var inUse []string
	for number := range slots {
		s := &slot{number: number, groups: groups, dir: filepath.Join(stateDir, fmt.Sprint(number))}
		if err := s.tryLock(); errors.Is(err, syscall.EWOULDBLOCK) {
			inUse = append(inUse, fmt.Sprintf("%v by another cluster", s.network()))
			continue
		} else if err != nil {
			return nil, err
		}
		if err := s.clean(); err != nil { // somebody who does not see our locks, as from a container?
			inUse = append(inUse, fmt.Sprintf("%v: %v", s.network(), err))
		} else if taken == nil {
			if err = s.isRoutedElsewhere(); err == nil {
				taken = s
				continue
			}
			inUse = append(inUse, fmt.Sprintf("%v: %v", s.network(), err))
		}
		s.lock.Close()
	}
	if taken == nil {
		return nil, fmt.Errorf("no network is left for another cluster; end one of those in use: %s", strings.Join(inUse, ", "))
	}
	return taken, nil
}

func (s *slot) tryLock() (err error) {
	if s.lock, err = os.OpenFile(s.dir+".lock", os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return err
	}
	if err := syscall.Flock(int(s.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		s.lock.Close()
		return fmt.Errorf("lock %s.lock: %w", s.dir, err)
	}
	return nil
}

// release cleans the slot and gives it to others.
func (s *slot) release() error {
	return errors.Join(s.clean(), s.lock.Close())
}

// clean removes all that a cluster leaves behind when its processes end: its
// control groups and its disks, and its network device if the kernel has not
// yet.
func (s *slot) clean() error {
	ctx, cancel := context.WithTimeout(context.Background(), cleanLimit)
	defer cancel()
	if err := s.groups.remove(ctx, s.group()); err != nil {
		return err
	}
	if exists("/sys/class/net/" + s.device()) {
		// Its other end goes with the last process of the switch, maybe now.
		if err := ip("link del " + s.device()); err != nil && exists("/sys/class/net/"+s.device()) {
			return err
		}
	}
	return os.RemoveAll(s.dir)
}

// device is the machine's network device in the cluster's network.
func (s *slot) device() string { return fmt.Sprintf("kubetest%d", s.number) }

// group is the control group of all of the cluster's nodes.
func (s *slot) group() string { return fmt.Sprintf("kubetest%d", s.number) }

// network is all the cluster's addresses:
//
//	10.N.0.0/17      pods: 10.N.I.0/24 those of node I
//	10.N.128.0/18    Services: 10.N.128.1 the API, 10.N.128.10 DNS
//	10.N.255.0/24    10.N.255.1 the control plane, .2 this machine, .10+I node I
func (s *slot) network() netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, s.octet(), 0, 0}), 16)
}

func (s *slot) octet() byte              { return byte(224 + s.number) }
func (s *slot) pods() string             { return fmt.Sprintf("10.%d.0.0/17", s.octet()) }
func (s *slot) nodePods(i int) string    { return fmt.Sprintf("10.%d.%d.0/24", s.octet(), i) }
func (s *slot) services() string         { return fmt.Sprintf("10.%d.128.0/18", s.octet()) }
func (s *slot) dns() string              { return fmt.Sprintf("10.%d.128.10", s.octet()) }
func (s *slot) control() string          { return fmt.Sprintf("10.%d.255.1", s.octet()) }
func (s *slot) machine() string          { return fmt.Sprintf("10.%d.255.2", s.octet()) }
func (s *slot) nodeAddress(i int) string { return fmt.Sprintf("10.%d.255.%d", s.octet(), 10+i) }

// isRoutedElsewhere is the error that says what else on this machine uses the
// slot's network.
func (s *slot) isRoutedElsewhere() error {
	out, err := exec.Command("ip", "-4", "route", "show", "table", "all").Output()
	if err != nil {
		return fmt.Errorf("ip route: %w", err)
	}
	if route := overlapping(parseRoutes(string(out)), s.network()); route.IsValid() {
		return fmt.Errorf("the machine has a route to %v", route)
	}
	return nil
}

// parseRoutes returns the networks and addresses that routes lead to, but for
// the default and such wide ones as of a company.
func parseRoutes(list string) (known []netip.Prefix) {
	for line := range strings.Lines(list) {
		words := strings.Fields(line)
		for _, word := range words[:min(2, len(words))] { // the first may be a kind of route, as local
			if prefix, err := netip.ParsePrefix(word); err == nil && prefix.Bits() >= 12 {
				known = append(known, prefix)
			} else if addr, err := netip.ParseAddr(word); err == nil {
				known = append(known, netip.PrefixFrom(addr, 32))
			}
		}
	}
	return known
}

// overlapping returns one of the routes that leads into network, or the zero
// prefix.
func overlapping(routes []netip.Prefix, network netip.Prefix) netip.Prefix {
	for _, route := range routes {
		if route.Overlaps(network) {
			return route
		}
	}
	return netip.Prefix{}
}
