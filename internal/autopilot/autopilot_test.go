package autopilot

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// fakeCluster is a cluster whose members are as healthy as the test says.
type fakeCluster struct {
	raft    *raft.Raft
	mu      sync.Mutex
	config  Config
	silent  map[string]time.Time // since when
	never   map[string]bool      // non-voters
	removed chan string
	asked   func() // before every answer of Config
}

func (f *fakeCluster) Config() Config {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.asked != nil {
		f.asked()
	}
	return f.config
}

func (f *fakeCluster) Ask(context.Context) {}

func (f *fakeCluster) Remove(id string) {
	f.raft.RemoveServer(raft.ServerID(id), 0, 0)
	f.removed <- id
}

func (f *fakeCluster) Members() []Member {
	f.mu.Lock()
	defer f.mu.Unlock()
	term := f.raft.CurrentTerm()
	var out []Member
	for _, s := range f.raft.GetConfiguration().Configuration().Servers {
		m := Member{ID: string(s.ID), Leader: s.ID == "n0", NonVoter: f.never[string(s.ID)], Heard: time.Now(),
			Stats: Stats{LastTerm: term, LastIndex: f.raft.LastIndex()}}
		if since, ok := f.silent[m.ID]; ok {
			m.Heard = since
		}
		out = append(out, m)
	}
	return out
}

func (f *fakeCluster) set(change func()) { f.mu.Lock(); change(); f.mu.Unlock() }

// start is a Raft cluster of n voters in memory, n0 leading, with a pilot in a hurry.
func start(t *testing.T, n int) (*fakeCluster, *Pilot) {
	t.Helper()
	var rafts []*raft.Raft
	var transports []*raft.InmemTransport
	conf := raft.Configuration{}
	for i := range n {
		addr, tr := raft.NewInmemTransport(raft.ServerAddress(fmt.Sprintf("a%d", i)))
		transports = append(transports, tr)
		conf.Servers = append(conf.Servers, raft.Server{ID: raft.ServerID(fmt.Sprintf("n%d", i)), Address: addr})
	}
	for i, tr := range transports {
		for _, other := range transports {
			tr.Connect(other.LocalAddr(), other)
		}
		c := raft.DefaultConfig()
		c.LocalID, c.Logger = conf.Servers[i].ID, hclog.NewNullLogger()
		c.HeartbeatTimeout, c.ElectionTimeout, c.LeaderLeaseTimeout = 60*time.Millisecond, 60*time.Millisecond, 50*time.Millisecond
		if i > 0 {
			c.HeartbeatTimeout, c.ElectionTimeout = time.Minute, time.Minute // n0 leads
		}
		store, snaps := raft.NewInmemStore(), raft.NewDiscardSnapshotStore()
		if err := raft.BootstrapCluster(c, store, store, snaps, tr, conf); err != nil {
			t.Fatal(err)
		}
		r, err := raft.NewRaft(c, &raft.MockFSM{}, store, store, snaps, tr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Shutdown().Error() })
		rafts = append(rafts, r)
	}
	if !<-rafts[0].LeaderCh() {
		t.Fatal("n0 does not lead")
	}
	f := &fakeCluster{raft: rafts[0], config: Default(), silent: map[string]time.Time{}, never: map[string]bool{}, removed: make(chan string, n)}
	p := Start(rafts[0], f, 20*time.Millisecond, 40*time.Millisecond, hclog.NewNullLogger())
	t.Cleanup(p.Stop)
	return f, p
}

func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("in 10 s not: " + what)
		}
	}
}

func TestDeadServersAreRemoved(t *testing.T) {
	f, p := start(t, 5)
	until(t, "healthy", func() bool {
		st, ok := p.State()
		return ok && st.Healthy && st.FailureTolerance == 2 && len(st.Voters) == 5
	})
	f.set(func() {
		f.config.CleanupDeadServers, f.config.MinQuorum = true, 3
		for _, id := range []string{"n2", "n3", "n4"} { // a majority
			f.silent[id] = time.Now().Add(-25 * time.Hour)
		}
	})
	gone := []string{<-f.removed, <-f.removed}
	slices.Sort(gone)
	until(t, "three voters and one of them sick", func() bool {
		st, ok := p.State()
		return ok && len(st.Voters) == 3 && !st.Healthy
	})
	select {
	case id := <-f.removed:
		t.Errorf("%s was removed below the minimum, after %v", id, gone)
	case <-time.After(300 * time.Millisecond): // several rounds
	}
}

func TestNobodyIsRemovedUnasked(t *testing.T) {
	f, p := start(t, 3)
	f.set(func() { f.silent["n2"] = time.Now().Add(-25 * time.Hour) })
	until(t, "one server failed", func() bool { st, ok := p.State(); return ok && st.Servers["n2"].NodeStatus == "failed" && !st.Healthy })
	select {
	case id := <-f.removed:
		t.Errorf("%s was removed", id)
	case <-time.After(200 * time.Millisecond):
	}
}

func TestVotes(t *testing.T) {
	f, p := start(t, 1)
	f.set(func() { f.never["n8"] = true })
	for _, id := range []string{"n8", "n9"} {
		if err := f.raft.AddNonvoter(raft.ServerID(id), raft.ServerAddress(id), 0, 0).Error(); err != nil {
			t.Fatal(err)
		}
	}
	suffrage := func(id string) raft.ServerSuffrage {
		for _, s := range f.raft.GetConfiguration().Configuration().Servers {
			if string(s.ID) == id {
				return s.Suffrage
			}
		}
		return -1
	}
	until(t, "a vote for n9", func() bool { return suffrage("n9") == raft.Voter })
	if suffrage("n8") != raft.Nonvoter {
		t.Error("a node that joined without a vote has one")
	}
	until(t, "the state to say so", func() bool {
		st, ok := p.State()
		return ok && slices.Equal(st.NonVoters, []string{"n8"}) && st.Servers["n8"].NodeType == "non-voter"
	})
}

// A member that is removed while a round of autopilot is under way is not made a
// voter by it: it would be one that nobody can reach.
func TestRemovedIsNotPromoted(t *testing.T) {
	f, p := start(t, 1)
	has := func() bool {
		return slices.ContainsFunc(f.raft.GetConfiguration().Configuration().Servers, func(s raft.Server) bool { return s.ID == "n9" })
	}
	for range 10 { // each time the removal falls into another step of a round
		f.set(func() { f.never["n9"] = true })
		if err := f.raft.AddNonvoter("n9", "n9", 0, 0).Error(); err != nil {
			t.Fatal(err)
		}
		until(t, "n9 to be healthy", func() bool { st, ok := p.State(); return ok && st.Servers["n9"].Healthy })
		removed := make(chan error, 1)
		f.set(func() {
			f.never["n9"] = false
			calls := 0
			f.asked = func() {
				st, _ := p.State()
				if calls++; st.Servers["n9"].NodeType != "voter" { // as autopilot sees it: about to be promoted
					return
				}
				f.asked = nil
				removed <- f.raft.RemoveServer("n9", 0, 0).Error()
			}
		})
		if err := <-removed; err != nil {
			t.Fatal(err)
		}
		until(t, "the state without n9", func() bool { st, ok := p.State(); _, there := st.Servers["n9"]; return ok && !there || has() })
		if has() {
			t.Fatal("n9 is back")
		}
	}
}

func TestConfigCheck(t *testing.T) {
	if err := Default().Check(); err != nil {
		t.Errorf("the default: %v", err)
	}
	for name, change := range map[string]func(*Config){
		"no quorum":   func(c *Config) { c.CleanupDeadServers = true },
		"too early":   func(c *Config) { c.DeadServerLastContactThreshold = 59 * time.Second },
		"no contact":  func(c *Config) { c.LastContactThreshold = 0 },
		"in the past": func(c *Config) { c.ServerStabilizationTime = -1 },
	} {
		c := Default()
		change(&c)
		if c.Check() == nil {
			t.Errorf("%s passed", name)
		}
	}
}
