package cluster

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// A node that is removed while it is connected loses its Raft connections at
// once, and may ask for nothing more on the others.
func TestRemovedWhileConnected(t *testing.T) {
	ca := newCA(t)
	gone := issue(t, ca, "n2")
	var removed atomic.Bool
	admit := func(serial string) error { return refuses(removed.Load() && serial == gone.Serial()) }
	server := listen(t, Config{Identity: issue(t, ca, "n1"), Admit: admit, Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})})
	client := listen(t, Config{Identity: gone})
	other := listen(t, Config{Identity: issue(t, ca, "n3"), Admit: admit})
	get := func(l *Listener) int {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://x/", nil)
		resp, err := l.RoundTripper(server.Advertise()).RoundTrip(req)
		if err != nil {
			return 0
		}
		resp.Body.Close()
		if again := resp.Header.Get(NotActive) != ""; again != (resp.StatusCode != http.StatusOK) {
			t.Errorf("%d says \"ask another node\": %t", resp.StatusCode, again)
		}
		return resp.StatusCode
	}
	far, err := client.dial(t.Context(), server.Advertise(), "", protocolRaft)
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	near, err := server.StreamLayer().Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	if code := get(client); code != 200 {
		t.Fatalf("a member is answered with %d", code)
	}
	if out, err := client.Removed(t.Context(), server.Advertise()); err != nil || out {
		t.Fatalf("a member is told that it is removed: %t, %v", out, err)
	}
	removed.Store(true)
	server.Recheck()
	far.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := far.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the Raft connection of a removed node is open: %v", err)
	}
	if code := get(client); code != http.StatusServiceUnavailable && code != 0 {
		t.Errorf("a removed node is answered with %d", code)
	}
	if out, err := client.Removed(t.Context(), server.Advertise()); err != nil || !out {
		t.Errorf("a removed node is not told: %t, %v", out, err)
	}
	if code := get(other); code != 200 {
		t.Errorf("another node is answered with %d", code)
	}
	if _, err := other.dial(t.Context(), client.Advertise(), "", protocolRaft); !errors.Is(err, ErrRemoved) {
		t.Errorf("a removed node is dialled: %v", err)
	}
}

// refuses is the answer of Config.Admit.
func refuses(removed bool) error {
	if removed {
		return ErrRemoved
	}
	return nil
}

// A node that cannot tell lets nobody new in, leaves alone who is there, and says nothing.
func TestStandingUnknown(t *testing.T) {
	ca := newCA(t)
	var unknown atomic.Bool
	admit := func(string) error {
		if unknown.Load() {
			return errors.New("the disk fails")
		}
		return nil
	}
	server, client := listen(t, Config{Identity: issue(t, ca, "n1"), Admit: admit}), listen(t, Config{Identity: issue(t, ca, "n2")})
	far, err := client.dial(t.Context(), server.Advertise(), "", protocolRaft)
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	near, err := server.StreamLayer().Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	unknown.Store(true)
	server.Recheck()
	go near.Write([]byte{1})
	far.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := far.Read(make([]byte, 1)); err != nil {
		t.Errorf("an open connection was ended: %v", err)
	}
	if out, err := client.Removed(t.Context(), server.Advertise()); err == nil || out {
		t.Errorf("the node is told: removed %t, %v", out, err)
	}
	if _, err := server.dial(t.Context(), client.Advertise(), "", protocolRaft); err == nil || errors.Is(err, ErrRemoved) {
		t.Errorf("dialled: %v", err)
	}
}

// A CA is replaced step by step, and every pair of nodes talks at every step.
func TestIdentitiesAcrossCAs(t *testing.T) {
	before, after := newCA(t), newCA(t)
	a, b := listen(t, Config{Identity: issue(t, before, "a")}), listen(t, Config{Identity: issue(t, before, "b")})
	talk := func(step string) {
		t.Helper()
		for _, pair := range [][2]*Listener{{a, b}, {b, a}} {
			c, err := pair[0].dial(t.Context(), pair[1].Advertise(), "", protocolForward)
			if err != nil {
				t.Fatalf("%s: %v", step, err)
			}
			c.Close()
		}
	}
	both := Only(before).Add(after)
	renew := func(l *Listener, trust Trust) {
		t.Helper()
		key, csr, err := NewCSR(l.Identity().NodeID)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := after.Sign(csr)
		if err != nil {
			t.Fatal(err)
		}
		id, err := l.Identity().With(trust).Renew(key, cert)
		if err != nil {
			t.Fatal(err)
		}
		l.SetIdentity(id)
	}
	talk("before")
	a.SetIdentity(a.Identity().With(both))
	talk("one trusts both")
	b.SetIdentity(b.Identity().With(both))
	talk("both trust both")
	renew(a, both)
	if a.Identity().Issuer() != after.ID() || b.Identity().Issuer() != before.ID() {
		t.Error("the issuers are mixed up")
	}
	talk("one is renewed")
	renew(b, both)
	a.SetIdentity(a.Identity().With(Only(after)))
	talk("both are renewed")
	b.SetIdentity(b.Identity().With(Only(after)))
	talk("after")
	if _, err := listen(t, Config{Identity: issue(t, before, "c")}).dial(t.Context(), a.Advertise(), "", protocolForward); err == nil {
		// The server refuses after the client's side of a TLS 1.3 handshake; but
		// this client trusts no CA of the server's.
		t.Error("the replaced CA is still good")
	}
}

// A node never loses the trust in its own certificate's CA, nor the version.
func TestTrustIsKept(t *testing.T) {
	before, after := newCA(t), newCA(t)
	trust, err := ParseTrust(after.CertPEM(), 7)
	if err != nil {
		t.Fatal(err)
	}
	id := issue(t, before, "n1").With(trust)
	path := filepath.Join(t.TempDir(), "identity")
	if err := id.Save(path); err != nil {
		t.Fatal(err)
	}
	got, err := LoadIdentity(path)
	if err != nil {
		t.Fatal(err)
	}
	if tr := got.Trust(); tr.Version != 7 || tr.Issuing() != after.ID() || !tr.Has(before.ID()) || got.Issuer() != before.ID() || got.Serial() != id.Serial() {
		t.Errorf("read %+v", tr)
	}
	for _, bad := range []string{"", "x", string(certPEM(id.cert))} {
		if _, err := ParseTrust([]byte(bad), 1); err == nil {
			t.Errorf("trusts %q", bad)
		}
	}
}

// FuzzTrust reads
// a bundle of CAs as it may stand in storage or in a welcome.
func FuzzTrust(f *testing.F) {
	ca := newCA(f)
	f.Add(ca.CertPEM())
	f.Add(Only(ca).Add(newCA(f)).PEM())
	f.Fuzz(func(t *testing.T, b []byte) {
		trust, err := ParseTrust(b, 1)
		if err != nil {
			return
		}
		again, err := ParseTrust(trust.PEM(), 1)
		if err != nil || again.Issuing() != trust.Issuing() || len(again.IDs()) != len(trust.IDs()) {
			t.Fatalf("%q is not the same again: %v", b, err)
		}
	})
}
