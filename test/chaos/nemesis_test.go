package chaos

import (
	"fmt"
	"net/http"
	"time"

	"strongroom/test/cluster"
)

// fault is something that goes wrong, and is put right.
type fault struct {
	name string
	hold time.Duration // how long it stays
	// deadly says that no majority can serve while it stays.
	deadly bool
	// strike makes it happen, and returns whom it hit, if that is chosen then, and how to put it right.
	strike func(w *world) (victim string, heal func())
}

// struck is a fault that was.
type struck struct {
	name          string
	begin, healed time.Duration // since the begin of the history
	gap           time.Duration // longest time without an acknowledged change, from its begin until the cluster served again
}

// suffer lets a fault happen, puts it right, and sees that the cluster serves again: all nodes there, and unsealed.
func (w *world) suffer(f fault) {
	w.t.Helper()
	w.awaitWrites(20, serveLimit)
	s := struck{begin: w.history.now()}
	victim, heal := f.strike(w)
	s.name = f.name
	if victim != "" {
		s.name += " (" + victim + ")"
	}
	<-time.After(f.hold)
	heal()
	s.healed = w.history.now()
	w.rejoin()
	w.awaitWrites(20, serveLimit)
	s.gap = w.history.longestGap(s.begin, w.history.now())
	w.faults = append(w.faults, s)
	limit := serveLimit
	if f.deadly {
		limit += s.healed - s.begin
	}
	if s.gap > limit {
		w.t.Errorf("%s: no write was acknowledged for %s, want at most %s", s.name, s.gap, limit)
	}
}

// rejoin brings back the nodes that do not run, unseals those that are sealed, and waits until each of them serves.
func (w *world) rejoin() {
	w.t.Helper()
	for i, n := range w.Nodes {
		if !n.Running() {
			w.t.Logf("%s has ended by itself", n.Name)
			w.restart(n)
		}
		client := w.client(i)
		w.eventually(serveLimit, func() error {
			status, err := client.Sys().SealStatusWithContext(w.t.Context())
			if err == nil && status.Sealed {
				return w.Unseal(w.t.Context(), n)
			}
			return err
		})
		w.eventually(serveLimit, func() error {
			_, err := client.Auth().Token().LookupSelfWithContext(w.t.Context())
			return err
		})
	}
}

// restart starts a node again. The old process must be gone, or end by SIGTERM.
func (w *world) restart(n *cluster.Node) {
	w.t.Helper()
	if err := n.Restart(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// comeBack restarts a node and checks its way back: sealed, catching up while sealed, unsealed by its shares, serving at once.
func (w *world) comeBack(n *cluster.Node) {
	w.t.Helper()
	ctx := w.t.Context()
	active := w.leader()
	w.restart(n)
	client, err := n.Client(w.Keys.Root)
	if err != nil {
		w.t.Fatal(err)
	}
	status, err := client.Sys().SealStatusWithContext(ctx)
	if err != nil || !status.Sealed || !status.Initialized {
		w.t.Errorf("a restarted node must be initialized and sealed: %+v, %v", status, err)
	}
	target := w.applied(active)
	w.eventually(serveLimit, func() error {
		if got := w.applied(n); got < target {
			return fmt.Errorf("%s has applied %d of %d", n.Name, got, target)
		}
		return nil
	})
	if _, err := client.KVv2("secret").Get(ctx, "0/a"); !isStatus(err, http.StatusServiceUnavailable) {
		w.t.Errorf("a sealed node answered a read with %v, want 503", err)
	}
	if err := w.Unseal(ctx, n); err != nil {
		w.t.Error(err)
	}
	if _, err := client.KVv2("secret").Get(ctx, "0/a"); err != nil {
		w.t.Errorf("read through %s just after its unseal: %v", n.Name, err)
	}
}

func (w *world) leader() *cluster.Node {
	w.t.Helper()
	leader, err := w.Leader(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return leader
}

// index is a node's place in w.Nodes, which is its point on the wire too.
func (w *world) index(n *cluster.Node) int {
	for i, other := range w.Nodes {
		if other == n {
			return i
		}
	}
	panic("not a node of this cluster: " + n.Name)
}

// leaderAndStandbys are the nodes by what they do now.
func (w *world) leaderAndStandbys() (leader *cluster.Node, standbys []*cluster.Node) {
	w.t.Helper()
	leader = w.leader()
	for _, n := range w.Nodes {
		if n != leader {
			standbys = append(standbys, n)
		}
	}
	if w.rng.IntN(2) == 0 {
		standbys[0], standbys[1] = standbys[1], standbys[0]
	}
	return leader, standbys
}

// applied is the Raft index a node has applied, by its own word; a sealed one says it too.
func (w *world) applied(n *cluster.Node) uint64 {
	w.t.Helper()
	client, err := n.Client("")
	if err != nil {
		w.t.Fatal(err)
	}
	status, err := client.Sys().LeaderWithContext(w.t.Context())
	if err != nil {
		w.t.Errorf("sys/leader of %s: %v", n.Name, err)
		return 0
	}
	return status.RaftAppliedIndex
}

// eventually asks until ok says nil, and the test fails with its last word after limit.
func (w *world) eventually(limit time.Duration, ok func() error) {
	w.t.Helper()
	for deadline := time.Now().Add(limit); ; {
		err := ok()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			w.t.Errorf("after %s: %v", limit, err)
			return
		}
		<-time.After(10 * time.Millisecond)
	}
}
