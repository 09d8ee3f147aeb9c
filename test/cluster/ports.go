package cluster

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Ports of nodes come from here: below Linux's ephemeral ports (32768 and up),
// of which any connection may take one as its source while a node is down that
// wants it back, and below the NodePorts of Kubernetes (30000 and up).
const firstPort, lastPort = 20000, 29998

// ports is a pair that belongs to a node over all its restarts: api, and
// api+1 for its peers.
type ports struct {
	host  string
	api   int
	claim net.Listener
}

// claimPorts takes the first of preferred that is free, or any other pair.
func claimPorts(preferred ...int) (ports, error) {
	for _, port := range preferred {
		if p, err := claim(port); err == nil {
			return p, nil
		}
	}
	var last error
	for range 200 {
		port := firstPort + 2*rand.IntN((lastPort-firstPort)/2)
		p, err := claim(port)
		if err == nil {
			return p, nil
		}
		last = err
	}
	return ports{}, fmt.Errorf("cluster: no free ports on loopback from %d to %d: %w", firstPort, lastPort, last)
}

// claim takes the pair that begins with port. Processes that use this package
// respect each other's claims, also while nobody listens: an abstract Unix
// socket (Linux) is bound once at most, leaves no file, and ends with its process.
func claim(port int) (ports, error) {
	c, err := net.Listen("unix", "@strongroom-test-ports-"+strconv.Itoa(port))
	if err != nil {
		return ports{}, err
	}
	p := ports{"127.0.0.1", port, c}
	for _, addr := range []string{p.addr(), p.clusterAddr()} {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			p.release()
			return ports{}, err
		}
		l.Close()
	}
	return p, nil
}

func (p ports) release() { p.claim.Close() }

func (p ports) addr() string { return net.JoinHostPort(p.host, strconv.Itoa(p.api)) }

func (p ports) clusterAddr() string { return net.JoinHostPort(p.host, strconv.Itoa(p.api+1)) }
