package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sort"
	"strings"
	"time"

	"strongroom/engine"
	"strongroom/internal/cluster"
	"strongroom/internal/storage"
	"strongroom/internal/sys"
)

// How the CA of the cluster port is replaced without a moment in which two
// members do not trust each other. The active node takes a step whenever every
// member, also one that is down for now, has taken the last:
//
//  1. a new CA is made, and trusted by all beside the old one;
//  2. the new one issues, and every node gets a certificate of it;
//  3. the old one is trusted no more.
//
// All of it is in storage, so that the next active node goes on.

// nextCAPath is, inside the barrier, the CA that all are about to trust.
const nextCAPath = "core/cluster-ca-next"

const (
	// A CA and a node's certificate live for decades, and are replaced long before.
	maxCAAge   = 365 * 24 * time.Hour
	maxCertAge = 180 * 24 * time.Hour
	// maxCSR bounds a certificate request, in bytes.
	maxCSR = 16 << 10
)

// errForeignCA: the CA in the barrier came with a snapshot of another cluster.
var errForeignCA = engine.Errorf(engine.Unavailable, "the CA of the cluster port is being replaced after a restore: try again in a moment")

// trust reads the CAs that members trust.
func (m *member) trust(ctx context.Context) (cluster.Trust, error) {
	e, err := m.store.Get(ctx, trustPath)
	if err != nil || !e.Exists() {
		return cluster.Trust{}, err
	}
	return cluster.ParseTrust(e.Value, e.Version)
}

// followTrust takes a newer set of trusted CAs over, to the file first.
func (n *Node) followTrust(ctx context.Context, m *member) error {
	now := m.port.Identity()
	v, err := m.store.Version(ctx, trustPath)
	if err != nil || v <= now.Trust().Version {
		return err
	}
	n.membership.identity.Lock()
	defer n.membership.identity.Unlock()
	trust, err := m.trust(ctx)
	if err != nil {
		return err
	}
	return n.setIdentity(m, m.port.Identity().With(trust))
}

// setIdentity makes id this node's, after a restart too.
func (n *Node) setIdentity(m *member, id *cluster.Identity) error {
	if err := n.saveIdentity(id); err != nil {
		return err
	}
	m.port.SetIdentity(id)
	return nil
}

// readCA reads a CA from the barrier; nil if there is none.
func readCA(ctx context.Context, r storage.Reader, path string) (*cluster.CA, error) {
	e, err := r.Get(ctx, path)
	if err != nil || !e.Exists() {
		return nil, err
	}
	return cluster.ParseCA(e.Value)
}

// signer is the CA that issues, and who is trusted.
func (m *member) signer(ctx context.Context) (*cluster.CA, cluster.Trust, error) {
	ca, err := readCA(ctx, m.barrier, caPath)
	if err != nil {
		return nil, cluster.Trust{}, err
	}
	trust, err := m.trust(ctx)
	if err == nil && (ca == nil || !trust.Has(ca.ID())) {
		err = errForeignCA
	}
	return ca, trust, err
}

// renew gets this node a certificate of the CA that issues, when it has none or
// an old one.
func (n *Node) renew(ctx context.Context, m *member) error {
	now := m.port.Identity()
	if now.Trust().Version == 0 || n.removed.Load() {
		return nil // what this node has joined with is as new as can be
	}
	if now.Issuer() == now.Trust().Issuing() && time.Since(now.Made()) < maxCertAge {
		return nil
	}
	l, ok := n.Leader()
	if !ok {
		return errors.New("no leader is known")
	}
	// The cluster remembers every certificate, so none is asked for that could not be kept.
	if err := n.resaveIdentity(m); err != nil {
		return err
	}
	key, csr, err := cluster.NewCSR(n.config.NodeID)
	if err != nil {
		return err
	}
	var cert []byte
	if l.Self {
		cert, err = n.certify(ctx, n.config.NodeID, csr)
	} else {
		cert, err = n.askCertificate(ctx, l.ClusterAddr, csr)
	}
	if err != nil {
		return err
	}
	n.membership.identity.Lock()
	defer n.membership.identity.Unlock()
	id, err := m.port.Identity().Renew(key, cert)
	if err != nil {
		return err
	}
	n.logger.Info("this node has a new certificate for the cluster port", "serial", id.Serial())
	return n.setIdentity(m, id)
}

func (n *Node) resaveIdentity(m *member) error {
	n.membership.identity.Lock()
	defer n.membership.identity.Unlock()
	return n.saveIdentity(m.port.Identity())
}

func (n *Node) askCertificate(ctx context.Context, addr string, csr []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+addr+"/cluster/v1/certificate", strings.NewReader(string(csr)))
	if err != nil {
		return nil, err
	}
	resp, err := n.Peer(addr).RoundTrip(req)
	if err != nil {
		return nil, err
	}
	var out struct{ Cert []byte }
	return out.Cert, readAnswer(resp, &out)
}

// serveCertificate issues a certificate to the member that asks.
func (n *Node) serveCertificate(w http.ResponseWriter, r *http.Request) {
	id, _ := cluster.PeerID(r.Context())
	csr, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxCSR))
	var cert []byte
	if err == nil {
		cert, err = n.certify(r.Context(), id, csr)
	}
	if err != nil {
		n.logger.Warn("cannot renew the certificate of a node", "node_id", id, "error", err)
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	writePeer(w, struct{ Cert []byte }{cert})
}

// certify issues a certificate to the member id.
func (n *Node) certify(ctx context.Context, id string, csr []byte) ([]byte, error) {
	m, err := n.leads()
	if err != nil {
		return nil, err
	}
	n.membership.mu.Lock()
	defer n.membership.mu.Unlock()
	if !slices.ContainsFunc(m.store.Servers(), isServer(id)) {
		return nil, fmt.Errorf("%q is not a member of the cluster", id)
	}
	ca, _, err := m.signer(ctx)
	if err != nil {
		return nil, err
	}
	cert, err := ca.SignFor(id, csr)
	if err != nil {
		return nil, err
	}
	tx := storage.Begin(m.store)
	rec, _, err := m.record(ctx, tx, id)
	if err != nil {
		return nil, err
	}
	serial, err := cluster.Serial(cert)
	if err != nil {
		return nil, err
	}
	rec.Certs = append(rec.Certs, certRecord{serial, ca.ID()})
	if err := storage.PutJSON(tx, recordPrefix+id, rec); err != nil {
		return nil, err
	}
	return cert, tx.Commit(ctx)
}

// caState is what a look at the CAs depends on: the versions of what is stored,
// and the age of the CA that issues.
type caState struct {
	issuing, next, trust uint64
	made                 time.Time
}

// tendCA takes the next step, unless nothing has changed since there was none to
// take, as idle remembers: the CA's key is not read for nothing every second.
func (n *Node) tendCA(ctx context.Context, m *member, idle *caState) error {
	now := caState{made: idle.made}
	var errs [3]error
	now.issuing, errs[0] = m.barrier.Version(ctx, caPath)
	now.next, errs[1] = m.barrier.Version(ctx, nextCAPath)
	now.trust, errs[2] = m.store.Version(ctx, trustPath)
	if err := errors.Join(errs[:]...); err != nil {
		return err
	}
	if now == *idle && time.Since(idle.made) < maxCAAge {
		return nil
	}
	st, err := n.stepCA(ctx, m)
	*idle = caState{}
	if err == nil && st.Phase == "idle" {
		now.made = st.Made
		*idle = now
	}
	return err
}

// stepCA takes the next step of a CA's replacement, if it is time, and says how
// things stand.
func (n *Node) stepCA(ctx context.Context, m *member) (sys.ClusterCA, error) {
	n.membership.mu.Lock()
	defer n.membership.mu.Unlock()
	issuing, err := readCA(ctx, m.barrier, caPath)
	if err != nil {
		return sys.ClusterCA{}, err
	}
	next, err := readCA(ctx, m.barrier, nextCAPath)
	if err != nil {
		return sys.ClusterCA{}, err
	}
	trust, err := m.trust(ctx)
	if err != nil {
		return sys.ClusterCA{}, err
	}
	st := sys.ClusterCA{Trusted: trust.IDs(), WaitingFor: []string{}, Phase: "idle"}
	if issuing != nil {
		st.Issuing, st.Made = issuing.ID(), issuing.Made()
	}
	switch {
	case next != nil && !trust.Has(next.ID()), // begun by half, or in a snapshot
		next == nil && (issuing == nil || !trust.Has(issuing.ID())), // restored from another cluster
		next == nil && len(trust.IDs()) == 1 && time.Since(issuing.Made()) > maxCAAge:
		st.Phase = "trusting"
		return st, n.beginCA(ctx, m, trust)
	case next == nil && len(trust.IDs()) == 1:
		return st, nil
	}
	st.Phase = "trusting"
	if next == nil {
		st.Phase = "renewing"
	}
	st.WaitingFor, err = n.advanceCA(ctx, m, issuing, next, trust)
	return st, err
}

// advanceCA takes the next step of a replacement that has begun, unless it has
// to wait for the nodes that it returns.
func (n *Node) advanceCA(ctx context.Context, m *member, issuing, next *cluster.CA, trust cluster.Trust) (waiting []string, err error) {
	told := n.survey(ctx, m)
	late := func(done func(peerState) bool) []string {
		ids := []string{}
		for _, s := range m.store.Servers() {
			if st, ok := told[s.ID]; !ok || !done(st) {
				ids = append(ids, s.ID)
			}
		}
		sort.Strings(ids)
		return ids
	}
	waiting = late(func(p peerState) bool { return p.Trust >= trust.Version })
	switch {
	case len(waiting) > 0:
		return waiting, nil
	case next != nil:
		return waiting, n.promoteCA(ctx, m, next, trust)
	case trust.Issuing() != issuing.ID(): // an active node died over its promotion
		return waiting, n.publish(ctx, m, trust.First(issuing))
	}
	if waiting = late(func(p peerState) bool { return p.Issuer == issuing.ID() }); len(waiting) > 0 {
		return waiting, nil
	}
	n.logger.Info("the CA of the cluster port was replaced", "ca", issuing.ID())
	return waiting, n.publish(ctx, m, cluster.Only(issuing))
}

// beginCA makes a new CA and has all trust it.
func (n *Node) beginCA(ctx context.Context, m *member, trust cluster.Trust) error {
	next, err := cluster.NewCA()
	if err != nil {
		return err
	}
	text, err := next.Marshal()
	if err != nil {
		return err
	}
	defer text.Zero()
	tx := storage.Begin(m.barrier)
	tx.Put(nextCAPath, text)
	if err := tx.Commit(ctx); err != nil {
		return fmt.Errorf("node: store the next CA: %w", err)
	}
	n.logger.Info("the CA of the cluster port is being replaced", "ca", next.ID())
	return n.publish(ctx, m, trust.Add(next))
}

// promoteCA makes next the CA that issues: all trust it.
func (n *Node) promoteCA(ctx context.Context, m *member, next *cluster.CA, trust cluster.Trust) error {
	text, err := next.Marshal()
	if err != nil {
		return err
	}
	defer text.Zero()
	tx := storage.Begin(m.barrier)
	tx.Put(caPath, text)
	tx.Delete(nextCAPath)
	if err := tx.Commit(ctx); err != nil {
		return fmt.Errorf("node: store the CA that issues: %w", err)
	}
	return n.publish(ctx, m, trust.First(next))
}

// publish has all members trust t, and forgets what is about CAs that are not in it.
func (n *Node) publish(ctx context.Context, m *member, t cluster.Trust) error {
	tx := storage.Begin(m.store)
	tx.Put(trustPath, t.PEM())
	for key, err := range m.store.Keys(ctx, recordPrefix, "") {
		if err != nil {
			return err
		}
		var rec memberRecord
		if _, err := storage.GetJSON(ctx, tx, key, &rec); err != nil {
			return err
		}
		kept := slices.DeleteFunc(slices.Clone(rec.Certs), func(c certRecord) bool { return !t.Has(c.Issuer) })
		if len(kept) == len(rec.Certs) {
			continue
		}
		rec.Certs = kept
		if err := storage.PutJSON(tx, key, rec); err != nil {
			return err
		}
	}
	for key, err := range m.store.Keys(ctx, removedPrefix, "") {
		if err != nil {
			return err
		}
		var r removal
		if _, err := storage.GetJSON(ctx, tx, key, &r); err != nil {
			return err
		}
		if !t.Has(r.Issuer) {
			tx.Delete(key)
		}
	}
	if err := tx.Commit(ctx); err != nil {
		return fmt.Errorf("node: publish the trusted CAs: %w", err)
	}
	n.pokeTend()
	return nil
}

// ClusterCA implements sys.Node.
func (a nodeAPI) ClusterCA(ctx context.Context) (sys.ClusterCA, error) {
	m, err := a.n.leads()
	if err != nil {
		return sys.ClusterCA{}, err
	}
	if m.port == nil {
		return sys.ClusterCA{}, errAlone
	}
	return a.n.stepCA(ctx, m)
}

// RotateClusterCA implements sys.Node.
func (a nodeAPI) RotateClusterCA(ctx context.Context) (sys.ClusterCA, error) {
	st, err := a.ClusterCA(ctx)
	if err != nil {
		return st, err
	}
	if st.Phase != "idle" {
		return st, engine.Invalidf("the CA of the cluster port is being replaced already (%s; waiting for: %s): see sys/storage/raft/cluster-ca", st.Phase, strings.Join(st.WaitingFor, ", "))
	}
	m, err := a.n.leads()
	if err != nil {
		return st, err
	}
	a.n.membership.mu.Lock()
	defer a.n.membership.mu.Unlock()
	trust, err := m.trust(ctx)
	if err != nil {
		return st, err
	}
	if err := a.n.beginCA(ctx, m, trust); err != nil {
		return st, err
	}
	st.Phase = "trusting"
	return st, nil
}
