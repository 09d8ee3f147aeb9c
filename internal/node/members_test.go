package node

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"strongroom/internal/cluster"
	"strongroom/internal/mount"
	"strongroom/internal/storage"
)

// one is an active node with a cluster port, alone.
func one(t *testing.T) (*Node, *member) {
	t.Helper()
	n := New(Config{NodeID: "n0", Dir: t.TempDir(), StorageType: "raft", ClusterBind: "127.0.0.1:0", ClusterAddr: "127.0.0.1:1", APIAddr: "http://127.0.0.1:2",
		Limits: mount.Limits{Default: time.Hour, Max: time.Hour}, Logger: hclog.NewNullLogger()})
	if err := n.Start(http.NotFoundHandler()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	res, err := n.Init(t.Context(), InitRequest{Shares: 1, Threshold: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Unseal(t.Context(), res.Shares[0], false); err != nil {
		t.Fatal(err)
	}
	return n, n.member.Load()
}

func soon(t *testing.T, what string, ok func() (bool, error)) {
	t.Helper()
	if err := poll(t.Context(), 20*time.Second, ok); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// After a restore the barrier holds another cluster's CA. It is neither used nor
// trusted; a new one takes over from the CA that the members have.
func TestForeignCA(t *testing.T) {
	n, m := one(t)
	before, err := m.trust(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := cluster.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	text, err := foreign.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	tx := storage.Begin(m.barrier)
	tx.Put(caPath, text)
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	soon(t, "a CA of its own", func() (bool, error) {
		now, err := m.trust(t.Context())
		if err == nil && now.Has(foreign.ID()) {
			t.Fatal("the CA of another cluster is trusted")
		}
		return err == nil && len(now.IDs()) == 1 && now.Issuing() != before.Issuing(), err
	})
	soon(t, "a certificate of it", func() (bool, error) {
		id := m.port.Identity()
		return id.Issuer() == id.Trust().Issuing() && len(id.Trust().IDs()) == 1 && id.Issuer() != before.Issuing(), nil
	})
	saved, err := n.loadIdentity()
	if err != nil || saved.Serial() != m.port.Identity().Serial() {
		t.Errorf("the new identity is not on disk: %v", err)
	}
}

// An active node that died between the two steps of a removal has left a record
// without a member; its successor revokes it.
func TestRemovalIsCompleted(t *testing.T) {
	_, m := one(t)
	tx := storage.Begin(m.store)
	if err := storage.PutJSON(tx, recordPrefix+"ghost", memberRecord{Certs: []certRecord{{"abc", "x"}, {"def", "x"}}}); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	soon(t, "the revocation", func() (bool, error) {
		return errors.Is(m.admits("abc"), cluster.ErrRemoved) && errors.Is(m.admits("def"), cluster.ErrRemoved), nil
	})
	if _, known, err := m.record(t.Context(), m.store, "ghost"); err != nil || known {
		t.Errorf("the record is still there: %v", err)
	}
	if err := m.admits(m.port.Identity().Serial()); err != nil {
		t.Errorf("the node refuses itself: %v", err)
	}
}

// A state that is older than the identity, as after a restart, takes no trust back.
func TestTrustDoesNotGoBack(t *testing.T) {
	n, m := one(t)
	soon(t, "the first set", func() (bool, error) { return m.port.Identity().Trust().Version > 0, nil })
	other, err := cluster.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	newer, err := cluster.ParseTrust(m.port.Identity().Trust().Add(other).PEM(), m.port.Identity().Trust().Version+1000)
	if err != nil {
		t.Fatal(err)
	}
	n.membership.identity.Lock()
	m.port.SetIdentity(m.port.Identity().With(newer))
	n.membership.identity.Unlock()
	if err := n.followTrust(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if !m.port.Identity().Trust().Has(other.ID()) {
		t.Error("an older set replaced a newer one")
	}
}

// A node whose store cannot be asked, because it is stopping or its disk fails,
// does not know who was removed: it calls nobody removed, itself least of all.
func TestUnknownIsNotRemoved(t *testing.T) {
	n, m := one(t)
	ca, trust, err := m.signer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	key, csr, err := cluster.NewCSR("n1")
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.Sign(csr)
	if err != nil {
		t.Fatal(err)
	}
	identity, err := cluster.NewIdentity(key, cert, trust.PEM())
	if err != nil {
		t.Fatal(err)
	}
	other, err := cluster.Listen(cluster.Config{Listen: "127.0.0.1:0", Identity: identity})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if out, err := other.Removed(t.Context(), m.port.Addr().String()); err != nil || out {
		t.Fatalf("a genuine node is told: removed %t, %v", out, err)
	}
	if err := m.store.Close(); err != nil { // the port is still open, as while a node stops
		t.Fatal(err)
	}
	if out, err := other.Removed(t.Context(), m.port.Addr().String()); err == nil || out {
		t.Errorf("by a node that cannot know: removed %t, %v", out, err)
	}
	n.noticeRemoval(t.Context(), m)
	if n.Removed() {
		t.Error("a node that cannot read its own state takes itself for removed")
	}
}

// A vote that is asked for while the asker is being removed is not given.
func TestRemovedIsNotPromoted(t *testing.T) {
	n, m := one(t)
	if err := m.store.AddNonvoter(t.Context(), "n9", "127.0.0.1:9"); err != nil {
		t.Fatal(err)
	}
	n.membership.mu.Lock()
	answer := make(chan error)
	go func() { answer <- n.promote(t.Context(), "n9") }()
	select {
	case err := <-answer:
		t.Errorf("promoted in the middle of a removal: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	if err := m.store.RemoveServer(t.Context(), "n9"); err != nil {
		t.Fatal(err)
	}
	n.membership.mu.Unlock()
	if err := <-answer; err == nil {
		t.Error("a removed node was promoted")
	}
	if servers := m.store.Servers(); len(servers) != 1 {
		t.Errorf("the members are %v", servers)
	}
}

// A node that cannot keep a new certificate asks for none: the cluster would
// remember every one, once a second, for as long as the disk is full.
func TestCertificateThatCannotBeKept(t *testing.T) {
	n, m := one(t)
	if err := os.Remove(n.identityFile()); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(n.identityFile(), "x"), 0o700); err != nil { // nothing takes its place
		t.Fatal(err)
	}
	before, _, err := m.record(t.Context(), m.store, "n0")
	if err != nil {
		t.Fatal(err)
	}
	other, err := cluster.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	trust := m.port.Identity().Trust().First(other)
	trust.Version = 1 << 40
	m.port.SetIdentity(m.port.Identity().With(trust)) // a CA issues that is not its certificate's
	for range 3 {
		if err := n.renew(t.Context(), m); err == nil {
			t.Error("renewed, and not kept")
		}
	}
	after, _, err := m.record(t.Context(), m.store, "n0")
	if err != nil || len(after.Certs) != len(before.Certs) {
		t.Errorf("the cluster remembers %d certificates of the node instead of %d, %v", len(after.Certs), len(before.Certs), err)
	}
}
