package node

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"strongroom/engine"
	"strongroom/internal/barrier"
	"strongroom/internal/cluster"
	"strongroom/internal/seal"
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

// challenger issues and checks challenges while this node is active.
func (n *Node) challenger(ctx context.Context) (*cluster.Challenger, *member, error) {
	m, k := n.member.Load(), n.keys.Load()
	if m == nil || k == nil {
		return nil, nil, barrier.ErrSealed
	}
	if c := k.challenger.Load(); c != nil {
		return c, m, nil
	}
	e, err := m.barrier.Get(ctx, caPath)
	if err != nil {
		return nil, nil, err
	}
	ca, err := cluster.ParseCA(e.Value)
	if err != nil {
		return nil, nil, err
	}
	k.challenger.CompareAndSwap(nil, cluster.NewChallenger(k.join, ca))
	return k.challenger.Load(), m, nil
}

// Challenge makes a challenge for a node that wants to join.
func (n *Node) Challenge(ctx context.Context) (*Challenge, error) {
	c, m, err := n.challenger(ctx)
	if err != nil {
		return nil, err
	}
	if m.port == nil {
		return nil, engine.Invalidf("this server has no cluster port, so no node can join it: give it storage \"raft\" and a cluster_addr")
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
	servers, forgot := m.store.Servers(), false
	for _, s := range servers {
		same, there := s.ID == answer.NodeID, s.Address == answer.ClusterAddr
		if same != there || same && s.ID == n.config.NodeID {
			return nil, engine.Invalidf("node id %q or cluster address %s belongs to another member of the cluster: give the joining node its own, or remove the old member first", answer.NodeID, answer.ClusterAddr)
		}
		forgot = forgot || same && s.Voter
	}
	welcome, err := c.Verify(answer)
	if err != nil {
		n.logger.Warn("a node that wants to join failed its challenge", "error", err)
		return nil, engine.Errorf(engine.Denied, "the join challenge was not answered correctly")
	}
	// A voter that has to join has lost its disk, and with it what it acknowledged: with its old vote it could help to elect a node without that.
	// There is a majority without it, or this node would not be active.
	if forgot {
		if err := m.store.RemoveServer(ctx, answer.NodeID); err != nil {
			return nil, err
		}
	}
	if err := m.store.AddNonvoter(ctx, answer.NodeID, answer.ClusterAddr); err != nil {
		return nil, err
	}
	n.logger.Info("a node joins", "node_id", answer.NodeID, "cluster_addr", answer.ClusterAddr)
	return welcome, nil
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
	if inv := n.pending.Load(); inv != nil {
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
			inv := &invitation{target: t}
			if err := callAPI(ctx, t, "sys/storage/raft/bootstrap/challenge", map[string]string{"server_id": n.config.NodeID}, &inv.Challenge); err != nil {
				n.logger.Debug("no invitation to a cluster", "leader_api_addr", t.LeaderAPIAddr, "error", err)
				inv = nil
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

// join enters the cluster of the invitation with the unseal key.
func (n *Node) join(ctx context.Context, key seal.Key) (*member, error) {
	if !n.lookForCluster(ctx) { // a fresh challenge: the first has long run out
		return nil, engine.Errorf(engine.Unavailable, "the cluster to join does not answer: see that its active node is unsealed and reachable at the addresses in retry_join, then unseal again")
	}
	inv := n.pending.Load()
	joiner, answer, err := cluster.AnswerChallenge(key.JoinKey(), inv.Challenge.Challenge, n.config.NodeID, n.config.ClusterAddr)
	if err != nil {
		return nil, engine.Invalidf("unseal failed: the keys do not open this cluster's seal, so at least one of them is wrong; all %d were discarded: enter them again", inv.Seal.Threshold)
	}
	var welcome cluster.Welcome
	if err := callAPI(ctx, inv.target, "sys/storage/raft/bootstrap/answer", answer, &welcome); err != nil {
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
	return readAnswer(resp, &struct {
		Data any `json:"data"`
	}{out})
}
