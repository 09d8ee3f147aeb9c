package node

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/hashicorp/raft"

	"strongroom/internal/autopilot"
	"strongroom/internal/barrier"
	"strongroom/internal/cluster"
	"strongroom/internal/storage/raftstore"
)

// enter makes this node a running member under identity.
func (n *Node) enter(identity *cluster.Identity) (*member, error) {
	m, err := n.open(identity)
	if err != nil {
		return nil, err
	}
	n.member.Store(m)
	n.poke()
	return m, nil
}

// open starts the cluster port, Raft and a sealed barrier over it.
func (n *Node) open(identity *cluster.Identity) (*member, error) {
	m := &member{since: time.Now()}
	cfg := n.config.Raft
	cfg.NodeID, cfg.Logger = n.config.NodeID, n.logger.Named("raft")
	if n.config.Dir != "" {
		cfg.Dir = n.raftDir()
		if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
			return nil, fmt.Errorf("node: %w", err)
		}
	}
	if n.config.ClusterBind == "" {
		cfg.Heartbeat = 50 * time.Millisecond // nobody to hear from: lead at once
		_, cfg.Transport = raft.NewInmemTransport(raft.ServerAddress(n.raftAddr()))
	} else {
		port, err := cluster.Listen(cluster.Config{Listen: n.config.ClusterBind, Advertise: n.config.ClusterAddr, Identity: identity,
			Handler: n.clusterHandler(), Admit: m.admits, ReadIndex: n.answerReadIndex, Logger: n.logger.Named("cluster")})
		if err != nil {
			return nil, fmt.Errorf("node: cluster port: %w", err)
		}
		m.port = port
		cfg.Transport = port.Transport(n.logger.Named("raft-net"))
	}
	store, err := raftstore.Open(cfg)
	if err != nil {
		if m.port != nil {
			m.port.Close()
		}
		return nil, fmt.Errorf("node: %w", err)
	}
	m.store, m.barrier = store, barrier.New(store)
	m.opened.Store(true)
	if m.port != nil {
		m.port.Recheck() // whoever came before the store could be asked
	}
	return m, nil
}

// peerState is what nodes tell each other of themselves.
type peerState struct {
	NodeID   string `json:"node_id"`
	Sealed   bool   `json:"sealed"`
	Active   bool   `json:"active"`
	Leaving  bool   `json:"leaving"` // it does not take leadership
	Hostname string `json:"hostname"`
	APIAddr  string `json:"api_addr"`
	Version  string `json:"version"`

	LastContact time.Duration `json:"last_contact"` // since the leader was heard, in ns; negative: never
	LastTerm    uint64        `json:"last_term"`
	LastIndex   uint64        `json:"last_index"`

	Serial string `json:"serial"` // of the certificate it shows
	Issuer string `json:"issuer"` // cluster.CA.ID
	Trust  uint64 `json:"trust"`  // cluster.Trust.Version
}

func (p peerState) stats() autopilot.Stats {
	return autopilot.Stats{LastContact: p.LastContact, LastTerm: p.LastTerm, LastIndex: p.LastIndex}
}

// clusterHandler serves the other nodes: what they forward, and what they ask.
// All of them have shown a certificate of the cluster.
func (n *Node) clusterHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /cluster/v1/state", func(w http.ResponseWriter, _ *http.Request) {
		m := n.member.Load()
		if m == nil {
			http.Error(w, "this node is starting", http.StatusServiceUnavailable)
			return
		}
		writePeer(w, n.ownState(m))
	})
	mux.HandleFunc("POST /cluster/v1/certificate", n.serveCertificate)
	mux.HandleFunc("POST "+unsealPath, n.serveUnseal)
	mux.HandleFunc("POST "+leavePath, n.serveLeave)
	mux.HandleFunc("POST /cluster/v1/vote", func(w http.ResponseWriter, r *http.Request) {
		id, _ := cluster.PeerID(r.Context())
		if err := n.promote(r.Context(), id); err != nil {
			n.logger.Warn("cannot make a node a voter", "node_id", id, "error", err)
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
	mux.Handle("/v1/", n.forward)
	return mux
}

// writePeer answers another node; if it has gone, it asks again.
func writePeer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

// promote makes the member with that id a voter, if it is none. A removal waits
// meanwhile: whom it has removed must not come back as a voter that nobody can reach.
func (n *Node) promote(ctx context.Context, id string) error {
	m := n.member.Load()
	if m == nil || m.term.Load() == 0 {
		return fmt.Errorf("this node does not lead")
	}
	n.membership.mu.Lock()
	defer n.membership.mu.Unlock()
	for _, s := range m.store.Servers() {
		switch {
		case s.ID != id:
		case s.Voter, m.nonVoter(ctx, id):
			return nil
		case n.session.Load() == nil:
			return fmt.Errorf("this node is not active")
		default:
			return m.store.AddVoter(ctx, id, s.Address)
		}
	}
	return fmt.Errorf("%q is not a member of the cluster", id)
}

// askState asks the node at addr for its state.
func (n *Node) askState(ctx context.Context, addr string) (peerState, error) {
	var st peerState
	return st, n.callPeer(ctx, http.MethodGet, addr, "/cluster/v1/state", &st)
}

// callPeer asks the node at addr, for a second at most.
func (n *Node) callPeer(ctx context.Context, method, addr, path string, out any) error {
	return n.callPeerFor(ctx, time.Second, method, addr, path, out)
}

func (n *Node) callPeerFor(ctx context.Context, limit time.Duration, method, addr, path string, out any) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "https://"+addr+path, nil)
	if err != nil {
		return err
	}
	resp, err := n.Peer(addr).RoundTrip(req)
	if err != nil {
		return err
	}
	return readAnswer(resp, out)
}

// readAnswer decodes the JSON of a good answer, at most 1 MiB, into out (nil for
// none), and makes an error of any other.
func readAnswer(resp *http.Response, out any) error {
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", resp.Status, bytes.TrimSpace(body))
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(body, out)
}
