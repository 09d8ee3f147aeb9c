package cluster

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

func newCA(t testing.TB) *CA {
	t.Helper()
	ca, err := NewCA()
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func issue(t testing.TB, ca *CA, id string) *Identity {
	t.Helper()
	i, err := ca.Issue(id)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func listen(t testing.TB, cfg Config) *Listener {
	t.Helper()
	cfg.Listen = "127.0.0.1:0"
	l, err := Listen(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func TestForwardKnowsThePeerAndSharesAConnection(t *testing.T) {
	ca := newCA(t)
	server := listen(t, Config{Identity: issue(t, ca, "n1"), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, ok := PeerID(r.Context())
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %v %s %s %s %s", id, ok, r.Proto, r.Host, r.URL.RequestURI(), body)
	})})
	client := listen(t, Config{Identity: issue(t, ca, "n2")})
	call := func() (string, bool) {
		reused := false
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { reused = i.Reused }})
		req, err := http.NewRequestWithContext(ctx, http.MethodPut, "https://front.example/v1/a?b=c", strings.NewReader("body"))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.RoundTripper(server.Advertise()).RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(b), reused
	}
	want := "n2 true HTTP/2.0 front.example /v1/a?b=c body"
	if got, _ := call(); got != want {
		t.Fatalf("got %q, want %q", got, want)
	}
	if got, reused := call(); got != want || !reused {
		t.Fatalf("second call: %q, connection reused: %v", got, reused)
	}
}

func TestRedialAfterPeerRestart(t *testing.T) {
	ca := newCA(t)
	id := issue(t, ca, "n1")
	ok := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	first, err := Listen(Config{Listen: "127.0.0.1:0", Identity: id, Handler: ok})
	if err != nil {
		t.Fatal(err)
	}
	addr := first.Addr().String()
	client := listen(t, Config{Identity: issue(t, ca, "n2")})
	get := func() error {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://x/", nil)
		resp, err := client.RoundTripper(addr).RoundTrip(req)
		if err == nil {
			resp.Body.Close()
		}
		return err
	}
	if err := get(); err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := get(); err == nil {
		t.Fatal("a closed peer answered")
	}
	second, err := Listen(Config{Listen: addr, Identity: id, Handler: ok})
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if err := get(); err != nil {
		t.Fatalf("after the restart: %v", err)
	}
}

// A peer that stops answering without closing (a pause, a dead network) is
// noticed within pingAfter + pingTimeout.
func TestSilentPeerIsNoticed(t *testing.T) {
	ca := newCA(t)
	entered := make(chan struct{})
	server := listen(t, Config{Identity: issue(t, ca, "n1"), Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
	})})
	proxy := newProxy(t, server.Addr().String())
	client := listen(t, Config{Identity: issue(t, ca, "n2")})
	failed := make(chan error, 1)
	go func() {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://x/", nil)
		resp, err := client.RoundTripper(proxy.addr).RoundTrip(req)
		if err == nil {
			resp.Body.Close()
		}
		failed <- err
	}()
	<-entered
	proxy.stall()
	select {
	case err := <-failed:
		if err == nil {
			t.Fatal("a silent peer answered")
		}
	case <-time.After(10 * time.Second):
		t.Fatal("a silent peer was not noticed")
	}
}

// proxy passes bytes on until it is told to stall.
type proxy struct {
	addr string
	mu   sync.Mutex
	dead bool
}

func newProxy(t *testing.T, to string) *proxy {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{addr: ln.Addr().String()}
	var running sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() { cancel(); ln.Close(); running.Wait() })
	running.Go(func() {
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				in.Close()
				continue
			}
			context.AfterFunc(ctx, func() { in.Close(); out.Close() })
			running.Go(func() { p.copy(in, out) })
			running.Go(func() { p.copy(out, in) })
		}
	})
	return p
}

func (p *proxy) stall() { p.mu.Lock(); p.dead = true; p.mu.Unlock() }

func (p *proxy) copy(dst io.Writer, src io.Reader) {
	buf := make([]byte, 4096)
	for {
		n, err := src.Read(buf)
		if err != nil {
			return
		}
		p.mu.Lock()
		dead := p.dead
		p.mu.Unlock()
		if dead {
			continue
		}
		if _, err := dst.Write(buf[:n]); err != nil {
			return
		}
	}
}

func TestOnlyNodesOfThisClusterGetIn(t *testing.T) {
	ca := newCA(t)
	served := false
	var mu sync.Mutex
	removed := issue(t, ca, "removed")
	server := listen(t, Config{
		Identity: issue(t, ca, "n1"),
		Handler:  http.HandlerFunc(func(http.ResponseWriter, *http.Request) { mu.Lock(); served = true; mu.Unlock() }),
		Admit:    func(serial string) error { return refuses(serial == removed.Serial()) },
	})
	refused := func(name string, cfg *tls.Config) {
		t.Helper()
		c, err := tls.Dial("tcp", server.Addr().String(), cfg)
		if err == nil { // TLS 1.3: the client learns of a refusal when it reads
			c.SetDeadline(time.Now().Add(10 * time.Second))
			_, err = c.Read(make([]byte, 1))
			c.Close()
		}
		if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: not refused: %v", name, err)
		}
	}
	good := issue(t, ca, "n2")
	other := issue(t, newCA(t), "n2")
	insecure := func(id *Identity, protocols ...string) *tls.Config {
		c := id.config(protocols...)
		c.InsecureSkipVerify, c.VerifyConnection = true, nil
		return c
	}
	noCert := insecure(good, protocolRaft)
	noCert.Certificates = nil
	refused("no certificate", noCert)
	refused("another cluster", insecure(other, protocolRaft))
	refused("no protocol", insecure(good))
	refused("a protocol of others", insecure(good, "h2"))
	old := insecure(good, protocolRaft)
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	refused("TLS 1.2", old)
	refused("a removed node", insecure(removed, protocolForward))

	caAsNode := insecure(good, protocolForward)
	caAsNode.Certificates = []tls.Certificate{{Certificate: [][]byte{ca.cert.Raw}, PrivateKey: ca.key}}
	refused("the CA as a node", caAsNode)

	// The client does not talk to an impostor either.
	impostor := listen(t, Config{Identity: issue(t, newCA(t), "n1")})
	client := listen(t, Config{Identity: good})
	if _, err := client.dial(t.Context(), impostor.Addr().String(), "", protocolRaft); err == nil {
		t.Error("a node of another cluster was accepted as server")
	}
	mu.Lock()
	defer mu.Unlock()
	if served {
		t.Error("a request of a refused peer was served")
	}
}

func TestRaftMessagesReachOnlyWhomTheyAreFor(t *testing.T) {
	ca := newCA(t)
	server := listen(t, Config{Identity: issue(t, ca, "n1")})
	client := listen(t, Config{Identity: issue(t, ca, "n2"), Advertise: "n2.example:8201"})
	st, ct := server.Transport(nil), client.Transport(nil)
	defer st.(raft.WithClose).Close()
	defer ct.(raft.WithClose).Close()
	if got := ct.LocalAddr(); got != "n2.example:8201" {
		t.Fatalf("local address %q, want the advertised one", got)
	}
	done := make(chan struct{})
	defer close(done)
	go func() {
		for {
			select {
			case rpc := <-st.Consumer():
				rpc.Respond(&raft.RequestVoteResponse{Term: 7, Granted: true}, nil)
			case <-done:
				return
			}
		}
	}()
	addr := raft.ServerAddress(server.Advertise())
	var resp raft.RequestVoteResponse
	if err := ct.RequestVote("n1", addr, &raft.RequestVoteRequest{Term: 7}, &resp); err != nil || resp.Term != 7 {
		t.Fatalf("vote: %+v, %v", resp, err)
	}
	err := ct.RequestVote("n3", addr, &raft.RequestVoteRequest{Term: 7}, &resp)
	if err == nil || !strings.Contains(err.Error(), `node "n1" answers where "n3" belongs`) {
		t.Fatalf("a message for n3 at n1's address: %v", err)
	}
}

// Close ends connections that Raft has open, and may be called again.
func TestCloseEndsRaftConnections(t *testing.T) {
	ca := newCA(t)
	server := listen(t, Config{Identity: issue(t, ca, "n1")})
	client := listen(t, Config{Identity: issue(t, ca, "n2")})
	accepted := make(chan net.Conn, 1)
	go func() {
		if c, err := server.StreamLayer().Accept(); err == nil {
			accepted <- c
		}
	}()
	c, err := client.StreamLayer().Dial(raft.ServerAddress(server.Advertise()), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	in := <-accepted
	defer in.Close()
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the far end of a closed port: %v", err)
	}
	if _, err := in.Read(make([]byte, 1)); err == nil {
		t.Error("the near end of a closed port is open")
	}
	if _, err := server.dial(t.Context(), client.Advertise(), "", protocolRaft); err == nil {
		t.Error("a closed port dials")
	}
}

func TestIdentityFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node-identity.pem")
	if _, err := LoadIdentity(path); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("no file: %v", err)
	}
	id := issue(t, newCA(t), "n1")
	if err := id.Save(path); err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(path)
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", st.Mode(), err)
	}
	got, err := LoadIdentity(path)
	if err != nil || got.NodeID != "n1" || !got.key.Equal(id.key) || !got.cert.Equal(id.cert) || string(got.trust.PEM()) != string(id.trust.PEM()) {
		t.Fatalf("loaded %+v, %v", got, err)
	}
	text, _ := os.ReadFile(path)
	for _, damaged := range [][]byte{nil, text[:len(text)/2], []byte(strings.Replace(string(text), "A", "B", 1)), append(text, "x"...)} {
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadIdentity(path); err == nil {
			t.Errorf("damaged identity of %d bytes was loaded", len(damaged))
		}
	}
}

func TestCAKeepsAndSigns(t *testing.T) {
	ca := newCA(t)
	text, err := ca.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseCA(text)
	if err != nil {
		t.Fatal(err)
	}
	key, csr, err := NewCSR("n9")
	if err != nil {
		t.Fatal(err)
	}
	cert, err := again.Sign(csr)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewIdentity(key, cert, ca.CertPEM()); err != nil {
		t.Fatal(err)
	}
	if _, err := NewIdentity(key, cert, newCA(t).CertPEM()); err == nil {
		t.Error("a certificate of one CA passed under another")
	}
	other, _, err := NewCSR("n9")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewIdentity(other, cert, ca.CertPEM()); err == nil {
		t.Error("a certificate passed with another key")
	}
	for _, bad := range []string{"", "junk", string(csr[:len(csr)-40])} {
		if _, err := ca.Sign([]byte(bad)); err == nil {
			t.Errorf("signed %q", bad)
		}
	}
	for _, id := range []string{"", "a b", "ä", strings.Repeat("x", maxNodeID+1)} {
		if _, _, err := NewCSR(id); err == nil {
			t.Errorf("node id %q was accepted", id)
		}
	}
}

// Whoever only reaches the port, and says nothing, keeps no node out.
func TestSilentConnectionsKeepNobodyOut(t *testing.T) {
	ca := newCA(t)
	server, client := listen(t, Config{Identity: issue(t, ca, "n1")}), listen(t, Config{Identity: issue(t, ca, "n2")})
	from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	for range 2 * maxHandshakes {
		c, err := from.DialContext(t.Context(), "tcp", server.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	p, err := client.dial(t.Context(), server.Advertise(), "", protocolForward)
	if err != nil {
		t.Fatalf("a node is kept out: %v", err)
	}
	p.Close()
}
