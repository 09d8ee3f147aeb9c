package cluster

import (
	"net"
	"net/netip"
	"sync"
)

const (
	// maxHandshakes bounds the connections that have not proven anything yet, and
	// maxFrom those of one address: whoever only reaches the port and says nothing
	// must not keep the nodes out.
	maxHandshakes = 128
	maxFrom       = 32
)

// doors counts the handshakes under way.
type doors struct {
	mu   sync.Mutex
	all  int
	from map[netip.Addr]int
}

// enter says whether c may begin; if so, leave must be called when it has ended.
func (d *doors) enter(c net.Conn) (leave func(), ok bool) {
	at, _ := netip.ParseAddrPort(c.RemoteAddr().String()) // the zero Addr is one for all that have none
	host := at.Addr().Unmap()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.all == maxHandshakes || d.from[host] == maxFrom {
		return nil, false
	}
	if d.from == nil {
		d.from = map[netip.Addr]int{}
	}
	d.all++
	d.from[host]++
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.all--
		if d.from[host]--; d.from[host] == 0 {
			delete(d.from, host)
		}
	}, true
}
