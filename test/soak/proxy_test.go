package soak_test

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// How a proxy treats what passes it.
const (
	passes      = iota
	slow        // everything takes a while longer
	partitioned // nothing arrives, and nobody is told
	refuses     // connections end at once
)

// proxy stands between the operator and the server.
type proxy struct {
	listener net.Listener
	server   string
	mode     atomic.Int32
	mu       sync.Mutex
	open     map[net.Conn]bool
}

func newProxy(t *testing.T, server string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: listener, server: server, open: make(map[net.Conn]bool)}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { p.serve(conn) })
		}
	})
	t.Cleanup(func() { listener.Close(); p.cut(); serving.Wait() })
	return p
}

// set changes how it treats what passes. Connections that are open end when it refuses.
func (p *proxy) set(mode int32) {
	p.mode.Store(mode)
	if mode == refuses {
		p.cut()
	}
}

func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.open {
		conn.Close()
	}
}

func (p *proxy) hold(conn net.Conn) (release func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open[conn] = true
	return func() {
		conn.Close()
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.open, conn)
	}
}

func (p *proxy) serve(client net.Conn) {
	defer p.hold(client)()
	if p.mode.Load() == refuses {
		return
	}
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		return
	}
	defer p.hold(server)()
	var both sync.WaitGroup
	both.Go(func() { p.carry(server, client) })
	p.carry(client, server)
	both.Wait()
}

// carry copies until one side ends. What came in while partitioned is lost with the connection, as on a network that
// forgets it.
func (p *proxy) carry(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		switch p.mode.Load() {
		case partitioned:
			for p.mode.Load() == partitioned {
				time.Sleep(20 * time.Millisecond)
			}
			return
		case slow:
			time.Sleep(300 * time.Millisecond)
		}
		if _, failed := to.Write(buffer[:n]); failed != nil || err == io.EOF || err != nil {
			return
		}
	}
}
