package node

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"strongroom/engine"
	"strongroom/internal/cluster"
	"strongroom/internal/seal"
	"strongroom/internal/secret"
	"strongroom/internal/storage"
)

// How a node comes into a cluster: it asks the API of a node named in
// retry_join for a challenge, opens it with the key that the unseal shares
// combine to, and so proves that it holds what unseals the cluster. It is given
// a certificate for the cluster port and becomes a non-voter; when it has
// caught up and is unsealed it asks to be a voter, so that a node that dies
// while it joins never costs the cluster its quorum.

// Challenge is what a node that wants to join is given.
type Challenge struct {
	Challenge cluster.Challenge `json:"challenge"`
	Seal      seal.Config       `json:"seal_config"` // without the wrapped key
}

// invitation is a challenge and where it came from.
type invitation struct {
	Challenge
	target JoinTarget
}

var errAlone = engine.Errorf(engine.Invalid, "this server has no cluster port, so it is a cluster of one: give it storage \"raft\" and a cluster_addr")

// challenger is one made with a join key, and the version of that.
type challenger struct {
	*cluster.Challenger
	version uint64
}

// challenger issues and checks challenges while this node is active. When the join
// key has become another, by a rekey, a migration or a restore, so does it, and all
// challenges of the old one end.
func (n *Node) challenger(ctx context.Context) (*cluster.Challenger, *member, error) {
	m, err := n.leads()
	if err != nil {
		return nil, nil, err
	}
	version, err := m.barrier.Version(ctx, joinPath)
	if err != nil {
		return nil, nil, err
	}
	now := n.membership.challenger.Load()
	if now != nil && now.version == version {
		return now.Challenger, m, nil
	}
	e, err := m.barrier.Get(ctx, joinPath)
	if err != nil {
		return nil, nil, err
	}
	defer clear(e.Value)
	next := &challenger{cluster.NewChallenger(secret.Bytes(e.Value)), e.Version}
	if !n.membership.challenger.CompareAndSwap(now, next) { // somebody else's is as good: it is looked at again at every use
		next.Close()
		next = n.membership.challenger.Load()
	} else if now != nil {
		now.Close()
	}
	if next == nil {
		return nil, nil, storage.ErrNotLeader
	}
	return next.Challenger, m, nil
}

// dropChallenger ends all challenges: this node is active no more.
func (n *Node) dropChallenger() {
	if c := n.membership.challenger.Swap(nil); c != nil {
		c.Close()
	}
}

// Challenge makes a challenge for a node that wants to join.
func (n *Node) Challenge(ctx context.Context) (*Challenge, error) {
	c, m, err := n.challenger(ctx)
	if err != nil {
		return nil, err
	}
	if m.port == nil {
		return nil, errAlone
	}
	cfg, _, err := n.sealConfig(m)
	if err != nil {
		return nil, err
	}
	ch, err := c.Issue()
	if err != nil {
		return nil, engine.Errorf(engine.Unavailable, "%v", err)
	}
	cfg.Wrapped = nil
	return &Challenge{Challenge: *ch, Seal: cfg}, nil
}

// Admit checks the answer of a node, makes it a non-voter and returns its certificate.
func (n *Node) Admit(ctx context.Context, answer cluster.Answer) (*cluster.Welcome, error) {
	c, m, err := n.challenger(ctx)
	if err != nil {
		return nil, err
	}
	if m.port == nil {
		return nil, errAlone
	}
	// Before anything is locked or told: anybody may send an answer.
	if err := c.Check(answer); err != nil {
		return nil, n.refuseAnswer(err)
	}
	n.membership.mu.Lock()
	defer n.membership.mu.Unlock()
	forgot, err := n.takesPlace(m, answer)
	if err != nil {
		return nil, err
	}
	ca, trust, err := m.signer(ctx)
	if err != nil {
		return nil, err
	}
	welcome, err := c.Verify(answer, ca, trust)
	if err != nil {
		return nil, n.refuseAnswer(err)
	}
	// A voter that has to join has lost its disk, and with it what it acknowledged: with its old vote it could help to elect a node without that.
	// There is a majority without it, or this node would not be active.
	if forgot {
		if err := m.store.RemoveServer(ctx, answer.NodeID); err != nil {
			return nil, err
		}
	}
	if err := n.recordMember(ctx, m, answer, welcome.Cert, ca); err != nil {
		return nil, err
	}
	if err := m.store.AddNonvoter(ctx, answer.NodeID, answer.ClusterAddr); err != nil {
		return nil, err
	}
	m.port.Recheck() // its former self
	n.logger.Info("a node joins", "node_id", answer.NodeID, "cluster_addr", answer.ClusterAddr, "non_voter", answer.NonVoter)
	return welcome, nil
}

func (n *Node) refuseAnswer(err error) error {
	n.logger.Warn("a node that wants to join failed its challenge", "error", err)
	return engine.Errorf(engine.Denied, "the join challenge was not answered correctly")
}

// takesPlace says whether the joining node is a voter already, and refuses it if
// it would take another's place.
func (n *Node) takesPlace(m *member, answer cluster.Answer) (voter bool, err error) {
	for _, s := range m.store.Servers() {
		same, there := s.ID == answer.NodeID, s.Address == answer.ClusterAddr
		if same != there || same && s.ID == n.config.NodeID {
			return false, engine.Invalidf("node id %q or cluster address %s belongs to another member of the cluster: give the joining node its own, or remove the old member first (operator raft remove-peer)", answer.NodeID, answer.ClusterAddr)
		}
		voter = voter || same && s.Voter
	}
	return voter, nil
}

// recordMember keeps by which certificate the joining node comes in, and revokes
// those that it had before it lost its disk.
func (n *Node) recordMember(ctx context.Context, m *member, answer cluster.Answer, cert []byte, ca *cluster.CA) error {
	serial, err := cluster.Serial(cert)
	if err != nil {
		return err
	}
	tx := storage.Begin(m.store)
	before, _, err := m.record(ctx, tx, answer.NodeID)
	if err != nil {
		return err
	}
	now := memberRecord{Certs: []certRecord{{serial, ca.ID()}}, NonVoter: answer.NonVoter, Joined: time.Now().UTC()}
	if err := errors.Join(revoke(tx, answer.NodeID, before), storage.PutJSON(tx, recordPrefix+answer.NodeID, now)); err != nil {
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		return fmt.Errorf("node: record the new member: %w", err)
	}
	return nil
}

// JoinTLS is how a joining node trusts the API of the one it asks: by the CAs in
// ca (PEM; "": the system's), showing the client certificate in cert and key.
func JoinTLS(serverName, ca, cert, key string) (*tls.Config, error) {
	t := &tls.Config{ServerName: serverName, MinVersion: tls.VersionTLS12}
	if ca != "" {
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM([]byte(ca)) {
			return nil, errors.New("leader_ca_cert holds no PEM certificate")
		}
	}
	if cert == "" && key == "" {
		return t, nil
	}
	if cert == "" || key == "" {
		return nil, errors.New("a client certificate needs both leader_client_cert and leader_client_key")
	}
	pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
	if err != nil {
		return nil, fmt.Errorf("leader_client_cert and leader_client_key are no pair in PEM: %w", err)
	}
	t.Certificates = []tls.Certificate{pair}
	return t, nil
}

// JoinOrder is what sys/storage/raft/join asks for.
type JoinOrder struct {
	Target   JoinTarget
	NonVoter bool
	Retry    bool // go on looking for the cluster if it does not answer
}

// Join makes this node look for the cluster of order's target, besides those of
// retry_join, and says whether it was found. The cluster is joined when its seal
// is opened at this node: by enough shares, or by itself.
func (n *Node) Join(ctx context.Context, order JoinOrder) (found bool, err error) {
	end, err := n.begin(ctx)
	if err != nil {
		return false, err
	}
	defer end()
	if n.member.Load() != nil {
		return false, engine.Invalidf("this node belongs to a cluster already: to join another, stop it, delete its storage folder and start it")
	}
	if n.config.ClusterBind == "" {
		return false, errAlone
	}
	inv, err := n.askAny(ctx, order.Target)
	if err != nil && !order.Retry {
		return false, engine.Errorf(engine.Invalid, "failed to join raft cluster: no node there invites this one: %v", err)
	}
	again := n.membership.order.Swap(&order) != nil || len(n.config.RetryJoin) > 0
	switch {
	case err == nil:
		n.pending.Store(inv)
		return true, nil
	case !again: // nobody looks yet
		n.done.Go(func() { n.seekCluster(n.ctx) })
	}
	n.logger.Warn("the cluster to join does not answer yet; going on", "error", err)
	return false, nil
}

// askAny asks the nodes that t stands for, one after the other.
func (n *Node) askAny(ctx context.Context, t JoinTarget) (*invitation, error) {
	targets := []JoinTarget{t}
	if t.Resolve != nil {
		var err error
		if targets, err = t.Resolve(ctx); err != nil {
			return nil, err
		}
	}
	err := errors.New("none was found")
	for _, t := range targets {
		inv, failed := n.ask(ctx, t)
		if failed == nil {
			return inv, nil
		}
		err = fmt.Errorf("%s: %w", t.LeaderAPIAddr, failed)
	}
	return nil, err
}

// targets are the nodes that may know the cluster to join.
func (n *Node) targets() []JoinTarget {
	if o := n.membership.order.Load(); o != nil {
		return append([]JoinTarget{o.Target}, n.config.RetryJoin...)
	}
	return n.config.RetryJoin
}

// wantsNoVote says whether this node joins as a non-voter.
func (n *Node) wantsNoVote() bool {
	o := n.membership.order.Load()
	return n.config.NonVoter || o != nil && o.NonVoter
}

// seekCluster looks for the cluster to join until it is found or made.
func (n *Node) seekCluster(ctx context.Context) {
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for n.member.Load() == nil && !n.lookForCluster(ctx) {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
	if inv := n.pending.Load(); inv != nil && n.member.Load() == nil {
		n.logger.Info("found the cluster to join: unseal this node to join it", "leader_api_addr", inv.target.LeaderAPIAddr)
	}
}

// invited says whether a cluster has invited this node; it asks for an
// invitation four times a second at the most, whoever asks.
func (n *Node) invited(ctx context.Context) bool {
	if n.pending.Load() != nil {
		return true
	}
	select {
	case <-time.After(time.Until(time.Unix(0, n.looked.Load()).Add(250 * time.Millisecond))):
		return n.lookForCluster(ctx)
	case <-ctx.Done():
		return false
	}
}

// lookForCluster asks every node of retry_join once, all together, and says
// whether one invited this node.
func (n *Node) lookForCluster(ctx context.Context) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	targets := n.joinTargets(ctx)
	answers := make(chan *invitation, len(targets))
	asked := 0
	for _, t := range targets {
		if strings.TrimSuffix(t.LeaderAPIAddr, "/") == strings.TrimSuffix(n.config.APIAddr, "/") {
			continue
		}
		asked++
		go func() { // ends with the call, at most 5 s
			inv, err := n.ask(ctx, t)
			if err != nil {
				n.logger.Debug("no invitation to a cluster", "leader_api_addr", t.LeaderAPIAddr, "error", err)
			}
			answers <- inv
		}()
	}
	for range asked {
		if inv := <-answers; inv != nil {
			n.pending.Store(inv)
			return true
		}
	}
	n.looked.Store(time.Now().UnixNano())
	return false
}

// ask asks one node for an invitation.
func (n *Node) ask(ctx context.Context, t JoinTarget) (*invitation, error) {
	inv := &invitation{target: t}
	if err := callAPI(ctx, t, "sys/storage/raft/bootstrap/challenge", map[string]string{"server_id": n.config.NodeID}, &inv.Challenge); err != nil {
		return nil, err
	}
	return inv, nil
}

// join enters the cluster of the invitation with the unseal key.
func (n *Node) join(ctx context.Context, key seal.Key) (*member, error) {
	if !n.lookForCluster(ctx) { // a fresh challenge: the first has long run out
		return nil, engine.Errorf(engine.Unavailable, "the cluster to join does not answer: see that its active node is unsealed and reachable at the address it is joined by (retry_join, operator raft join), then unseal again")
	}
	inv := n.pending.Load()
	joinKey := key.JoinKey()
	defer joinKey.Zero()
	joiner, answer, err := cluster.AnswerChallenge(joinKey, inv.Challenge.Challenge, n.config.NodeID, n.config.ClusterAddr, n.wantsNoVote())
	if err != nil {
		return nil, engine.Invalidf("unseal failed: the keys do not open this cluster's seal, so at least one of them is wrong; all %d were discarded: enter them again", inv.Seal.Threshold)
	}
	var welcome cluster.Welcome
	if err := sendAnswer(ctx, inv.target, answer, &welcome); err != nil {
		return nil, engine.Errorf(engine.Upstream, "the cluster did not admit this node: %v", err)
	}
	identity, err := joiner.Accept(welcome)
	if err != nil {
		return nil, engine.Errorf(engine.Upstream, "the cluster's answer to the join is not genuine: %v", err)
	}
	if err := n.saveIdentity(identity); err != nil {
		return nil, err
	}
	return n.enter(identity)
}

// admitLimit is for how long a node that has proven itself asks to be admitted by a
// cluster that cannot at the moment: during a failover, or until its CA is replaced
// after a restore. People have typed shares for it.
const admitLimit = 15 * time.Second

func sendAnswer(ctx context.Context, to JoinTarget, answer *cluster.Answer, welcome *cluster.Welcome) error {
	for end := time.Now().Add(admitLimit); ; {
		err := callAPI(ctx, to, "sys/storage/raft/bootstrap/answer", answer, welcome)
		refused := new(apiError)
		if !errors.As(err, &refused) || refused.status != http.StatusServiceUnavailable || time.Now().After(end) || !pause(ctx, 250*time.Millisecond, nil) {
			return err
		}
	}
}

// askForVote asks the leader to make this node a voter, until it is one. Only the leader knows: while this node catches up, its own configuration
// is one of the past.
func (n *Node) askForVote(m *member) {
	err := poll(n.ctx, 10*time.Minute, func() (bool, error) {
		l, ok := n.Leader()
		if !ok || m.barrier.Sealed() {
			return false, nil
		}
		if l.Self {
			return true, nil
		}
		if m.nonVoter(n.ctx, n.config.NodeID) {
			return true, nil
		}
		// With a vote but without its own entry in the configuration, it would keep the others from electing anybody while it is behind.
		if !n.caughtUp(m) {
			return false, nil
		}
		return n.callPeer(n.ctx, http.MethodPost, l.ClusterAddr, "/cluster/v1/vote", nil) == nil, nil
	})
	if err != nil && n.ctx.Err() == nil {
		n.logger.Error("this node is still no voter; restart it to try again", "error", err)
	}
}

// callAPI posts in to path of target and decodes "data" of the answer.
func callAPI(ctx context.Context, target JoinTarget, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	transport := &http.Transport{TLSClientConfig: target.TLS, Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}
	client := &http.Client{Transport: transport, Timeout: 5 * time.Second}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, strings.TrimSuffix(target.LeaderAPIAddr, "/")+"/v1/"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return readError(resp)
	}
	return readAnswer(resp, &struct {
		Data any `json:"data"`
	}{out})
}

// apiError is an answer of this API to a request that failed.
type apiError struct {
	status int
	text   string
}

// Error implements error.
func (e *apiError) Error() string { return e.text }

// readError is what this API says of a request that failed. Of any other server's
// answer it shows the status alone: whoever tells this node where to ask must not
// read through it what only this node can reach.
func readError(resp *http.Response) error {
	defer resp.Body.Close()
	var said struct {
		Errors []string `json:"errors"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&said); err != nil {
		return &apiError{resp.StatusCode, resp.Status}
	}
	return &apiError{resp.StatusCode, resp.Status + ": " + strings.Join(said.Errors, "; ")}
}
