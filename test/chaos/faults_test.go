package chaos

import (
	"context"
	"fmt"
	"net/http/httptrace"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"strongroom/test/cluster"
)

// faults are all that can go wrong.
func faults() []fault {
	const short, long = time.Second, 2500 * time.Millisecond
	return []fault{
		{name: "SIGKILL of the leader", hold: long, strike: killLeader},
		{name: "SIGKILL of a standby", hold: short, strike: killStandby},
		{name: "SIGKILL of the leader and a standby", hold: short, deadly: true, strike: killTwo},
		{name: "SIGKILL of all, one unsealed", deadly: true, strike: killAll},
		{name: "SIGTERM of the leader", hold: short, strike: terminateLeader},
		{name: "SIGTERM of one after the other", strike: rollingRestart},
		{name: "step-down, three times", strike: stepDown},
		{name: "SIGSTOP of the leader", hold: long, strike: pauseLeader},
		{name: "SIGSTOP of a standby", hold: long, strike: pauseStandby},
		{name: "SIGSTOP of all", hold: short, deadly: true, strike: pauseAll},
		{name: "leader alone", hold: long, strike: leaderAlone},
		{name: "standby alone", hold: long, strike: standbyAlone},
		{name: "everybody alone", hold: long, deadly: true, strike: allAlone},
		{name: "standbys apart", hold: long, strike: standbysApart},
		{name: "leader hears nobody", hold: long, strike: leaderDeaf},
		{name: "nobody hears the leader", hold: long, strike: leaderMute},
		{name: "leader alone on and off", hold: 0, strike: leaderFlaps},
		{name: "a quarter of the packets lost", hold: long, strike: lossy},
		{name: "packets 50 to 150 ms late, some twice", hold: long, strike: slowWire},
		{name: "full disk of the leader", hold: long, strike: func(w *world) (string, func()) { leader := w.leader(); return leader.Name, w.fill(leader) }},
		{name: "full disk of a standby", hold: long, strike: fillStandby},
		{name: "fsync takes 300 ms at the leader", hold: long, strike: func(w *world) (string, func()) { leader := w.leader(); return leader.Name, w.slowDisk(leader) }},
		{name: "fsync takes 300 ms at all", hold: long, strike: slowDisks},
	}
}

func killLeader(w *world) (string, func()) {
	leader := w.leader()
	leader.Kill()
	return leader.Name, func() { w.comeBack(leader) }
}

func killStandby(w *world) (string, func()) {
	_, standbys := w.leaderAndStandbys()
	standbys[0].Kill()
	return standbys[0].Name, func() { w.comeBack(standbys[0]) }
}

func killTwo(w *world) (string, func()) {
	leader, standbys := w.leaderAndStandbys()
	leader.Kill()
	standbys[0].Kill()
	return leader.Name + ", " + standbys[0].Name, func() {
		w.restart(leader)
		w.restart(standbys[0])
	}
}

// killAll is a power cut. One unsealed node is enough to serve, whichever of the three Raft makes leader first.
func killAll(w *world) (string, func()) {
	for _, n := range w.Nodes {
		n.Kill()
	}
	one := w.Nodes[w.rng.IntN(nodes)]
	return "only " + one.Name, func() {
		for _, n := range w.Nodes {
			w.restart(n)
		}
		if err := w.Unseal(w.t.Context(), one); err != nil {
			w.t.Error(err)
		}
		w.eventually(serveLimit, func() error {
			if active := w.leader(); active != one {
				return fmt.Errorf("%s is active, but only %s is unsealed", active.Name, one.Name)
			}
			return nil
		})
		w.awaitWrites(10, serveLimit)
	}
}

// terminateLeader is an orderly end, with the exit code 0.
func terminateLeader(w *world) (string, func()) {
	leader := w.leader()
	if err := leader.Terminate(); err != nil {
		w.t.Error(err)
	}
	return leader.Name, func() { w.comeBack(leader) }
}

// rollingRestart is an upgrade: each is back before the next goes.
func rollingRestart(w *world) (string, func()) {
	for _, n := range w.Nodes {
		if err := n.Terminate(); err != nil {
			w.t.Error(err)
		}
		w.comeBack(n)
		w.awaitWrites(5, serveLimit)
	}
	return "", func() {}
}

func stepDown(w *world) (string, func()) {
	for range 3 {
		leader := w.leader()
		if err := w.client(w.index(leader)).Sys().StepDownWithContext(w.t.Context()); err != nil {
			w.t.Errorf("step-down of %s: %v", leader.Name, err)
		}
		w.awaitWrites(5, serveLimit)
	}
	return "", func() {}
}

// pauseLeader hangs the leader as a stopped machine does, and when it goes on it must not answer from the past: not one of the reads that
// waited in its sockets meanwhile.
func pauseLeader(w *world) (string, func()) {
	leader := w.leader()
	node := w.index(leader)
	w.pause(leader)
	return leader.Name, func() {
		w.awaitWrites(10, serveLimit) // by another leader, of which this one knows nothing
		var late, sent sync.WaitGroup
		for i := range 24 {
			client, a := w.client(node), action{kind: read, key: secretKey(w.serial.Load(), i%3), node: node}
			sent.Add(1)
			trace := &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { sent.Done() }}
			ctx := httptrace.WithClientTrace(context.Background(), trace)
			late.Go(func() {
				w.history.do(1000+i, a, func() outcome { return readKeyWith(ctx, client, a.key) })
			})
		}
		sent.Wait()
		w.resume(leader)
		late.Wait()
	}
}

func pauseStandby(w *world) (string, func()) {
	_, standbys := w.leaderAndStandbys()
	w.pause(standbys[0])
	return standbys[0].Name, func() { w.resume(standbys[0]) }
}

func pauseAll(w *world) (string, func()) {
	for _, n := range w.Nodes {
		w.pause(n)
	}
	return "", func() {
		for _, i := range w.rng.Perm(nodes) {
			w.resume(w.Nodes[i])
		}
	}
}

func (w *world) pause(n *cluster.Node) {
	if err := n.Pause(); err != nil {
		w.t.Error(err)
	}
}

func (w *world) resume(n *cluster.Node) {
	if err := n.Resume(); err != nil {
		w.t.Error(err)
	}
}

// Clients reach every node through all of what follows, the more so a leader that was one.

// both sets the links between two nodes.
func (w *world) both(x, y *cluster.Node, l link) {
	w.wire.set(w.index(x), w.index(y), l)
	w.wire.set(w.index(y), w.index(x), l)
}

func (w *world) alone(n *cluster.Node) {
	for _, other := range w.Nodes {
		if other != n {
			w.both(n, other, link{cut: true})
		}
	}
}

func (w *world) allLinks(l link) {
	for i, x := range w.Nodes {
		for _, y := range w.Nodes[i+1:] {
			w.both(x, y, l)
		}
	}
}

func leaderAlone(w *world) (string, func()) {
	leader := w.leader()
	w.alone(leader)
	return leader.Name, w.wire.heal
}

func standbyAlone(w *world) (string, func()) {
	_, standbys := w.leaderAndStandbys()
	w.alone(standbys[0])
	return standbys[0].Name, w.wire.heal
}

func allAlone(w *world) (string, func()) {
	w.allLinks(link{cut: true})
	return "", w.wire.heal
}

func standbysApart(w *world) (string, func()) {
	_, standbys := w.leaderAndStandbys()
	w.both(standbys[0], standbys[1], link{cut: true})
	return "", w.wire.heal
}

func leaderDeaf(w *world) (string, func()) {
	leader, standbys := w.leaderAndStandbys()
	for _, n := range standbys {
		w.wire.set(w.index(n), w.index(leader), link{cut: true})
	}
	return leader.Name, w.wire.heal
}

func leaderMute(w *world) (string, func()) {
	leader, standbys := w.leaderAndStandbys()
	for _, n := range standbys {
		w.wire.set(w.index(leader), w.index(n), link{cut: true})
	}
	return leader.Name, w.wire.heal
}

func leaderFlaps(w *world) (string, func()) {
	leader := w.leader()
	for range 4 {
		w.alone(leader)
		<-time.After(500 * time.Millisecond)
		w.wire.heal()
		<-time.After(300 * time.Millisecond)
	}
	return leader.Name, func() {}
}

func lossy(w *world) (string, func()) {
	w.allLinks(link{loss: 0.25})
	return "", w.wire.heal
}

func slowWire(w *world) (string, func()) {
	w.allLinks(link{delay: 50 * time.Millisecond, jitter: 100 * time.Millisecond, twice: 0.1})
	return "", w.wire.heal
}

// fill leaves no room on a node's disk, and returns how to give it back.
func (w *world) fill(n *cluster.Node) func() {
	path := filepath.Join(n.Data, "filler")
	fd, err := unix.Open(path, unix.O_CREAT|unix.O_WRONLY|unix.O_APPEND, 0o600)
	if err != nil {
		w.t.Error(err)
		return func() {}
	}
	defer unix.Close(fd)
	for size := 1 << 20; size >= 1; {
		if _, err := unix.Write(fd, make([]byte, size)); err != nil { // until the last page is gone
			size /= 16
		}
	}
	big := w.bulk()
	return func() {
		if err := unix.Unlink(path); err != nil {
			w.t.Error(err)
		}
		big.Wait()
	}
}

// bulk writes more than the log has room for in the file that it has already, through every node. Whether it succeeds is all the same.
func (w *world) bulk() *sync.WaitGroup {
	var all sync.WaitGroup
	value := map[string]any{"value": strings.Repeat("x", 256<<10)}
	for i := range nodes {
		kv := w.client(i).KVv2("secret")
		all.Go(func() {
			for n := range 40 {
				if _, err := kv.Put(w.t.Context(), fmt.Sprintf("bulk/%d", i), value); err != nil && n > 10 {
					return
				}
			}
		})
	}
	return &all
}

func fillStandby(w *world) (string, func()) {
	_, standbys := w.leaderAndStandbys()
	return standbys[0].Name, w.fill(standbys[0])
}

func slowDisks(w *world) (string, func()) {
	var heals []func()
	for _, n := range w.Nodes {
		heals = append(heals, w.slowDisk(n))
	}
	return "", func() {
		for _, heal := range heals {
			heal()
		}
	}
}

// slowDisk makes every sync of a node's files take 300 ms more.
func (w *world) slowDisk(n *cluster.Node) func() {
	cmd := exec.Command("strace", "-f", "-qq", "-o", "/dev/null", "-p", strconv.Itoa(n.PID()),
		"-e", "trace=fsync,fdatasync,sync_file_range", "-e", "inject=fsync,fdatasync,sync_file_range:delay_enter=300000")
	p, err := w.Run("strace-"+n.Name, cmd)
	if err != nil {
		w.t.Error(err)
		return func() {}
	}
	return func() {
		if err := p.Signal(syscall.SIGINT); err != nil { // it detaches from the node
			w.t.Error(err)
		}
		<-p.Exited()
	}
}
