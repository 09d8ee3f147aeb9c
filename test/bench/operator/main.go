// Command operator measures the operator at scale: a real control plane, a real server and the operator as a process, all
// on this machine, with many VaultSecrets in many namespaces, each of which has a role and a login of its own.
//
//	go run ./test/bench/operator                  10,000 VaultSecrets in 100 namespaces; takes about ten minutes
//	go run ./test/bench/operator -secrets 1000 -namespaces 10 -outage 20s
//
// It needs Linux, and asserts nothing: it prints what it measured, beside what the operator is to reach on two cores.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"strongroom/test/cluster"
	"strongroom/test/stage"
)

type options struct {
	dir        string
	secrets    int
	namespaces int
	changes    int           // values changed one after the other
	rest       time.Duration // how long requests are counted while nothing happens
	outage     time.Duration // how long the server is gone
	keep       bool          // the files, with all logs
	args       string        // more arguments for the operator
	out, log   io.Writer
}

func main() {
	o := options{out: os.Stdout, log: os.Stderr}
	flag.StringVar(&o.dir, "dir", "", "`folder` for all data, on the disk to measure; a temporary one by default")
	flag.IntVar(&o.secrets, "secrets", 10_000, "VaultSecrets in all")
	flag.IntVar(&o.namespaces, "namespaces", 100, "namespaces, each with its own role")
	flag.IntVar(&o.changes, "changes", 300, "values to change, one after the other")
	flag.DurationVar(&o.rest, "rest", time.Minute, "how long requests are counted while nothing happens")
	flag.DurationVar(&o.outage, "outage", time.Minute, "how long the server is gone")
	flag.BoolVar(&o.keep, "keep", false, "keep the data and logs")
	flag.StringVar(&o.args, "args", "", "more `arguments` for the operator")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "operator:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	dir, err := os.MkdirTemp(o.dir, "strongroom-bench-")
	if err != nil {
		return err
	}
	if o.keep {
		fmt.Fprintln(o.log, "bench: all files are in", dir)
	} else {
		defer os.RemoveAll(dir)
	}
	s, err := stage.Start(ctx, filepath.Join(dir, "stage"), o.log)
	if err != nil {
		return err
	}
	defer s.Stop() //nolint:errcheck // what was measured counts
	b := &bench{options: o, stage: s}
	fmt.Fprintf(o.out, "%s, %d cores, all processes on this machine; load average at the start %s.\n\n", runtime.Version(), runtime.NumCPU(), load())
	fmt.Fprintf(o.out, "%d VaultSecrets in %d namespaces.\n\n| what | measured | to reach with 10000 in 100 | load average |\n|---|---:|---:|---:|\n", o.secrets, o.namespaces)
	for _, step := range []func(context.Context) error{b.fill, b.cold, b.atRest, b.change, b.outages} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

type bench struct {
	options
	stage *stage.Stage
}

// row prints one figure.
func (b *bench) row(what, figure, goal string) {
	fmt.Fprintf(b.out, "| %s | %s | %s | %s |\n", what, figure, goal, load())
}

// load is the machine's load average of the last minute: others may be at work here.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "?"
	}
	one, _, _ := strings.Cut(string(text), " ")
	return one
}

func (b *bench) namespace(i int) string { return fmt.Sprintf("tenant-%d", i%b.namespaces) }
func (b *bench) name(i int) string      { return fmt.Sprintf("app-%d", i/b.namespaces) }

// each calls work for 0 … n-1, several at a time.
func each(ctx context.Context, n, workers int, work func(context.Context, int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	var next atomic.Int64
	for range workers {
		group.Go(func() error {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return nil
				}
				if err := work(ctx, i); err != nil {
					return err
				}
			}
			return ctx.Err()
		})
	}
	return group.Wait()
}

// fill makes everything but the operator.
func (b *bench) fill(ctx context.Context) error {
	fmt.Fprintln(b.log, "bench: making namespaces, roles, secrets and VaultSecrets")
	if err := each(ctx, b.namespaces, 8, func(ctx context.Context, i int) error { return b.stage.Tenant(ctx, b.namespace(i)) }); err != nil {
		return err
	}
	if err := each(ctx, b.secrets, 32, func(ctx context.Context, i int) error {
		return b.stage.Put(ctx, b.namespace(i)+"/"+b.name(i), map[string]any{"username": "app", "password": fmt.Sprintf("first-%d", i)})
	}); err != nil {
		return err
	}
	return each(ctx, b.secrets, 16, func(ctx context.Context, i int) error { return b.stage.VaultSecret(ctx, b.namespace(i), b.name(i)) })
}

// cold starts the operator, which finds everything still to be done.
func (b *bench) cold(ctx context.Context) error {
	fmt.Fprintln(b.log, "bench: starting the operator")
	used, err := work()
	if err != nil {
		return err
	}
	began := time.Now()
	if err := b.stage.StartOperator(strings.Fields(b.args)...); err != nil {
		return err
	}
	if err := b.valid(ctx, 15*time.Minute); err != nil {
		return err
	}
	took := time.Since(began)
	b.row("all synced from cold", took.Round(100*time.Millisecond).String(), "< 3 min")
	if err := b.cost("all synced from cold", used); err != nil {
		return err
	}
	for _, figure := range []struct{ what, metric, goal string }{
		{"logins until then", "strongroom_operator_logins_total", "100"},
		{"requests to the server until then", "strongroom_operator_server_requests_total", ""},
		{"event streams", "strongroom_operator_event_streams", ""},
		{"times that a VaultSecret was looked at", "strongroom_operator_syncs_total", ""},
	} {
		n, err := b.stage.Metric(ctx, figure.metric, "")
		if err != nil {
			return err
		}
		b.row(figure.what, fmt.Sprintf("%.0f", n), figure.goal)
	}
	return nil
}

// valid waits until the operator says, and then the API server, that all is well.
func (b *bench) valid(ctx context.Context, within time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, within, fmt.Errorf("not all are Valid after %s", within))
	defer cancel()
	ctx, ended := context.WithCancelCause(ctx)
	defer ended(nil)
	return stage.Until(ctx, func(ctx context.Context) error {
		// Looking is work for the operator, and for the API server, beside what is measured.
		if err := sleep(ctx, time.Second/2); err != nil {
			return err
		}
		select {
		case <-b.stage.Operator.Exited():
			ended(errors.New("the operator has ended"))
			return b.stage.Operator.Failure()
		default:
		}
		n, err := b.stage.Metric(ctx, "strongroom_operator_resources", `kind="VaultSecret",reason="Valid"`)
		if err != nil {
			return err
		}
		if int(n) < b.secrets {
			return fmt.Errorf("%.0f are Valid", n)
		}
		counts, err := b.stage.Statuses(ctx)
		if err == nil && counts["Valid"] != b.secrets {
			err = fmt.Errorf("statuses are %v", counts)
		}
		return err
	})
}

// atRest counts requests while nothing happens, once what followed the start is over.
func (b *bench) atRest(ctx context.Context) error {
	fmt.Fprintln(b.log, "bench: waiting until it is at rest")
	const requests = "strongroom_operator_server_requests_total"
	before := -1000.0
	for { // polls that were planned before events flowed come within half a minute
		n, err := b.stage.Metric(ctx, requests, "")
		if err != nil {
			return err
		}
		if n-before < 150 {
			break
		}
		before = n
		if err := sleep(ctx, 40*time.Second); err != nil {
			return err
		}
	}
	syncs, err := b.stage.Metric(ctx, "strongroom_operator_syncs_total", "")
	if err != nil {
		return err
	}
	b.row("times looked at until it rests", fmt.Sprintf("%.0f", syncs), "")
	before, err = b.stage.Metric(ctx, requests, "")
	if err != nil {
		return err
	}
	cpu, err := cpuTime(b.stage.Operator.PID())
	if err != nil {
		return err
	}
	if err := sleep(ctx, b.rest); err != nil {
		return err
	}
	after, err := b.stage.Metric(ctx, requests, "")
	if err != nil {
		return err
	}
	used, err := cpuTime(b.stage.Operator.PID())
	if err != nil {
		return err
	}
	b.row("at rest: requests to the server", fmt.Sprintf("%.2f/s", (after-before)/b.rest.Seconds()), "< 5/s")
	b.row("at rest: CPU of the operator", fmt.Sprintf("%.1f %%", 100*float64(used-cpu)/float64(b.rest)), "")
	return b.memory("at rest")
}

// cpuTime is what a process has used.
func cpuTime(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), ") ") // the name may hold anything but that
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	var ticks int64
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil // 100 a second, on every Linux
}

// work is the CPU time that the processes of the stage have used, by name: what a figure costs on a machine that has
// other work too.
func work() (map[string]time.Duration, error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	used := make(map[string]time.Duration)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it ended
		}
		before, rest, _ := strings.Cut(string(text), ") ")
		pid, name, _ := strings.Cut(before, " (")
		if fields := strings.Fields(rest); len(fields) < 2 || fields[1] != strconv.Itoa(os.Getpid()) {
			continue
		}
		number, err := strconv.Atoi(pid)
		if err != nil {
			return nil, err
		}
		took, err := cpuTime(number)
		if err == nil {
			used[name] += took
		}
	}
	return used, nil
}

// cost prints the work since before.
func (b *bench) cost(what string, before map[string]time.Duration) error {
	after, err := work()
	if err != nil {
		return err
	}
	var all time.Duration
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(after)) {
		took := after[name] - before[name]
		if all += took; took >= time.Second/10 {
			parts = append(parts, fmt.Sprintf("%s %.1f", name, took.Seconds()))
		}
	}
	b.row(what+": CPU of all processes, in seconds", fmt.Sprintf("%.1f: %s", all.Seconds(), strings.Join(parts, ", ")), "")
	return nil
}

// memory prints what the operator has resident, and what it had at most.
func (b *bench) memory(when string) error {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", b.stage.Operator.PID()))
	if err != nil {
		return err
	}
	var now, most int
	for line := range strings.Lines(string(text)) {
		_, _ = fmt.Sscanf(line, "VmRSS: %d kB", &now)
		_, _ = fmt.Sscanf(line, "VmHWM: %d kB", &most)
	}
	b.row(when+": memory of the operator (most so far)", fmt.Sprintf("%d (%d) MiB", now>>10, most>>10), "< 200 MiB")
	return nil
}

// change writes values, and has a watch tell when they are in their Secrets.
func (b *bench) change(ctx context.Context) error {
	fmt.Fprintln(b.log, "bench: changing values")
	var took []time.Duration
	watch, err := b.stage.WatchSecrets(ctx)
	if err != nil {
		return err
	}
	defer watch.Stop()
	for i := range b.changes {
		n := rand.IntN(b.secrets) //nolint:gosec // no secret depends on it
		value := fmt.Sprintf("changed-%d", i)
		began := time.Now()
		if err := b.stage.Put(ctx, b.namespace(n)+"/"+b.name(n), map[string]any{"username": "app", "password": value}); err != nil {
			return err
		}
		if err := watch.Await(ctx, b.namespace(n), b.name(n), "password", value); err != nil {
			return err
		}
		took = append(took, time.Since(began))
	}
	slices.SortFunc(took, cmp.Compare)
	b.row("value written → its Secret: median", took[len(took)/2].Round(time.Millisecond).String(), "< 150 ms")
	b.row("value written → its Secret: p99", took[len(took)*99/100].Round(time.Millisecond).String(), "< 1 s")
	return nil
}

// outages kills the server for a while, and waits until all is well again; then for as long as it takes until every
// status says so, which is the most that has to be undone.
func (b *bench) outages(ctx context.Context) error {
	fmt.Fprintln(b.log, "bench: the server is gone")
	if err := b.gone(ctx, b.outage.String(), func(ctx context.Context) error { return sleep(ctx, b.outage) }); err != nil {
		return err
	}
	fmt.Fprintln(b.log, "bench: the server is gone until all say so")
	if err := b.gone(ctx, "long", b.allOut); err != nil {
		return err
	}
	logins, err := b.stage.Metric(ctx, "strongroom_operator_logins_total", "")
	if err != nil {
		return err
	}
	b.row("logins in all", fmt.Sprintf("%.0f", logins), "")
	return b.memory("at the end")
}

// gone is one outage, which ends when wait returns.
func (b *bench) gone(ctx context.Context, long string, wait func(context.Context) error) error {
	node := b.stage.Servers.Nodes[0]
	requests, err := b.stage.Metric(ctx, "strongroom_operator_server_requests_total", "")
	if err != nil {
		return err
	}
	began := time.Now()
	node.Kill()
	if err := wait(ctx); err != nil {
		return err
	}
	took := time.Since(began)
	after, err := b.stage.Metric(ctx, "strongroom_operator_server_requests_total", "")
	if err != nil {
		return err
	}
	counts, err := b.stage.Statuses(ctx)
	if err != nil {
		return err
	}
	what := fmt.Sprintf("server gone for %s (%s)", took.Round(time.Second), long)
	b.row(what+": requests to it", fmt.Sprintf("%.0f", after-requests), "")
	b.row(what+": statuses that say so then", fmt.Sprint(counts["ServerUnreachable"]), "")
	if err := b.back(ctx, node); err != nil {
		return err
	}
	used, err := work()
	if err != nil {
		return err
	}
	looks, writes, err := b.effort(ctx)
	if err != nil {
		return err
	}
	began = time.Now()
	if err := b.valid(ctx, 10*time.Minute); err != nil {
		return err
	}
	b.row(what+": server back → all statuses true", time.Since(began).Round(100*time.Millisecond).String(), "< 30 s")
	looksThen, writesThen, err := b.effort(ctx)
	if err != nil {
		return err
	}
	b.row(what+", until then: times looked at, writes to the API server", fmt.Sprintf("%.0f, %.0f", looksThen-looks, writesThen-writes), "")
	return b.cost(what+", until then", used)
}

// effort is how often the operator has looked at a resource, and how often it has written to the API server.
func (b *bench) effort(ctx context.Context) (looks, writes float64, err error) {
	if looks, err = b.stage.Metric(ctx, "strongroom_operator_syncs_total", ""); err != nil {
		return 0, 0, err
	}
	for _, method := range []string{"POST", "PUT", "PATCH"} {
		n, err := b.stage.Metric(ctx, "rest_client_requests_total", `method="`+method+`"`)
		if err != nil {
			return 0, 0, err
		}
		writes += n
	}
	return looks, writes, nil
}

// allOut waits until every status says that the server is out.
func (b *bench) allOut(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 15*time.Minute, fmt.Errorf("not all say after 15 minutes that the server is out"))
	defer cancel()
	for {
		counts, err := b.stage.Statuses(ctx)
		if err != nil || counts["ServerUnreachable"] >= b.secrets {
			return err
		}
		if err := sleep(ctx, 5*time.Second); err != nil {
			return err
		}
	}
}

func (b *bench) back(ctx context.Context, node *cluster.Node) error {
	if err := node.Restart(ctx); err != nil {
		return err
	}
	return b.stage.Servers.Unseal(ctx, node)
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
