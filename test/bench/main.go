// Command bench measures the server's common requests beside the limit: what the same machine does, in the same run, from the same client, when
// a bare net/http handler answers the same bytes. It starts everything it needs on loopback, writes to a real disk and takes about five minutes.
//
//	go run ./test/bench            a Markdown table
//	go run ./test/bench -json      the same as JSON
//	go run ./test/bench -leases N  start and memory, empty and with N leases and N/10 secrets
//	go run ./test/bench -churn N   memory and disk after N tokens were made and revoked, three times
//
// It needs Linux, and asserts nothing about time.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

type options struct {
	dir    string
	length time.Duration
	asJSON bool
	only   string // part of a workload's name; "": all
	leases int    // for the figures at scale; 0: none
	churn  int    // tokens made and revoked, for what that leaves; 0: none
	log    io.Writer
}

func main() {
	var o options
	role := flag.String("role", "", "") // for the program's own children
	flag.StringVar(&o.dir, "dir", "", "`folder` for the servers' data, on the disk to measure; a temporary one by default")
	flag.DurationVar(&o.length, "length", 2*time.Second, "how long each figure is measured")
	flag.IntVar(&o.leases, "leases", 0, "measure start and memory with so many leases, and a tenth as many secrets, instead of requests (1000000 take some minutes)")
	flag.IntVar(&o.churn, "churn", 0, "measure memory and disk after so many tokens were made and revoked, instead of requests (100000 take a minute)")
	flag.StringVar(&o.only, "only", "", "measure only the requests whose `name` holds this")
	flag.BoolVar(&o.asJSON, "json", false, "print JSON instead of a table; durations are nanoseconds")
	flag.Parse()
	o.log = os.Stderr
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	switch *role {
	case roleLimit:
		err = serveLimit(os.Stdin, os.Stdout)
	case roleRaft:
		err = serveRaft(os.Stdin, os.Stdout)
	case roleReview:
		err = serveReview(os.Stdin, os.Stdout)
	default:
		err = run(ctx, o, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// connections are the loads: one client that waits for each answer, some, and many.
var connections = []int{1, 16, 64}

func run(ctx context.Context, o options, out io.Writer) error {
	dir, err := os.MkdirTemp(o.dir, "strongroom-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	rep := report{Cores: runtime.NumCPU(), Go: runtime.Version()}
	if rep.SyncsPerS, err = syncRate(dir, time.Second); err != nil {
		return err
	}
	var review reviewer
	_, stopReview, err := startChild(roleReview, fmt.Sprint(max(connections[0], connections[len(connections)-1])), &review)
	if err != nil {
		return err
	}
	defer stopReview()
	b := &bench{options: o, review: &review, dir: dir}
	switch {
	case o.leases > 0:
		err = b.scale(ctx, &rep)
	case o.churn > 0:
		rep.Churn, err = b.measureChurn(ctx)
	default:
		err = b.requests(ctx, &rep)
	}
	if err != nil {
		return err
	}
	if o.asJSON {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		return e.Encode(rep)
	}
	rep.markdown(out)
	return nil
}

// requests measures what requests cost.
func (b *bench) requests(ctx context.Context, rep *report) (err error) {
	for _, s := range []setting{{nodes: 1}, {nodes: 1, audited: true}, {nodes: 3}} {
		rows, err := b.servers(ctx, s)
		if err != nil {
			return err
		}
		rep.Rows = append(rep.Rows, rows...)
	}
	rep.Raft, err = b.rawRaft(rep.Rows)
	return err
}

// scale measures what much data costs.
func (b *bench) scale(ctx context.Context, rep *report) error {
	for _, leases := range []int{0, b.leases} {
		s, err := b.measureScale(ctx, leases, leases/10)
		if err != nil {
			return err
		}
		rep.Scale = append(rep.Scale, s)
	}
	return nil
}

// bench is a run under way.
type bench struct {
	options
	review *reviewer
	dir    string
	limits map[string]figures // by workload and connections: measured once
	entry  int                // bytes of a KV write in Raft's log
}

// setting is a cluster to measure.
type setting struct {
	nodes   int
	audited bool // each node has one file audit device
}

// servers measures all workloads in one setting.
func (b *bench) servers(ctx context.Context, s setting) ([]row, error) {
	fmt.Fprintf(b.log, "bench: starting %d server(s)\n", s.nodes)
	t, err := startTarget(ctx, filepath.Join(b.dir, fmt.Sprintf("%d-%v", s.nodes, s.audited)), s, b.log, b.review)
	if err != nil {
		return nil, err
	}
	defer t.Stop()
	all := workloads(b.review, t.approle)
	if s.nodes > 1 {
		all = append(all[:1:1], append([]workload{all[0].on("a standby", t.standby)}, all[1:]...)...)
	}
	all = slices.DeleteFunc(all, func(w workload) bool {
		return !strings.Contains(w.name, b.only)
	})
	if b.limits == nil {
		if err := b.measureLimit(ctx, t, all); err != nil {
			return nil, err
		}
	}
	var rows []row
	for _, w := range all {
		for _, conns := range connections {
			fmt.Fprintf(b.log, "bench: %s, %s, %d connection(s)\n", w.name, t.name, conns)
			addr := t.addr
			if w.addr != "" {
				addr = w.addr
			}
			l := load{addr: addr, conns: conns, warmup: b.length / 5, length: b.length, requests: w.requests(addr, t.token),
				cpu: func() (time.Duration, error) { return cpuTime(t.pids...) }}
			before, err := t.entries(ctx)
			if err != nil {
				return nil, err
			}
			f, err := l.run(ctx)
			if err != nil {
				return nil, fmt.Errorf("%s, %s, %d connections: %w", w.name, t.name, conns, err)
			}
			after, err := t.entries(ctx)
			if err != nil {
				return nil, err
			}
			f.Entries = float64(after-before) / float64(f.All)
			rows = append(rows, row{Workload: w.name, Servers: t.name, Conns: conns, Limit: b.limits[limitKey(w, conns)], Server: f})
		}
	}
	if b.entry == 0 && slices.ContainsFunc(all, isWrite) {
		if err := t.writeOne(ctx, all); err != nil { // the last entry is to be a write of KV
			return nil, err
		}
		if err := t.Stop(); err != nil {
			return nil, err
		}
		if b.entry, err = entrySize(t.Nodes[0].Data); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

func limitKey(w workload, conns int) string { return fmt.Sprintf("%s/%d", w.prefix, conns) }

// rawRaft measures the limit of writes, for the server's own that rows hold.
func (b *bench) rawRaft(rows []row) ([]raftRow, error) {
	var out []raftRow
	for _, r := range rows {
		if r.Workload != kvWrite || r.Conns != connections[len(connections)-1] || strings.HasSuffix(r.Servers, auditedSuffix) {
			continue
		}
		nodes := 1
		if r.Servers != "1 node" {
			nodes = 3
		}
		fmt.Fprintf(b.log, "bench: raw Raft, %d node(s), entries of %d bytes\n", nodes, b.entry)
		rate, err := rawRaft(filepath.Join(b.dir, fmt.Sprintf("raw-%d", nodes)), nodes, rawLoad{Writers: r.Conns, Size: b.entry, Warmup: b.length / 5, Length: max(b.length, 300*time.Millisecond)})
		if err != nil {
			return nil, err
		}
		out = append(out, raftRow{Servers: r.Servers, Writers: r.Conns, Entry: b.entry, Limit: rate, Server: r.Server.Rate})
	}
	return out, nil
}

// measureLimit runs the same loads against the bare handler, which answers what t does.
func (b *bench) measureLimit(ctx context.Context, t *target, all []workload) error {
	answers, err := t.answers(ctx, all)
	if err != nil {
		return err
	}
	input, err := json.Marshal(answers)
	if err != nil {
		return err
	}
	var addr string
	pid, stop, err := startChild(roleLimit, string(input), &addr)
	if err != nil {
		return err
	}
	defer stop()
	b.limits = map[string]figures{}
	for _, w := range all {
		for _, conns := range connections {
			fmt.Fprintf(b.log, "bench: %s, the limit, %d connection(s)\n", w.name, conns)
			l := load{addr: addr, conns: conns, warmup: b.length / 5, length: b.length, requests: w.requests(addr, t.token),
				cpu: func() (time.Duration, error) { return cpuTime(pid) }}
			if b.limits[limitKey(w, conns)], err = l.run(ctx); err != nil {
				return fmt.Errorf("%s, the limit, %d connections: %w", w.name, conns, err)
			}
		}
	}
	return nil
}
