package cli

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/vault/api"
)

// debugTargets are what `debug` can collect.
func debugTargets() []string {
	return []string{"config", "host", "log", "metrics", "pprof", "replication-status", "requests", "server-status"}
}

func debugCommand() *command {
	return &command{
		name: "debug", synopsis: "Collect information about a server for a while",
		usage: "[options]", output: plain,
		help: `
Watches one server, the one at -address, for a while, and leaves what it has seen in a file that can be given to
others: state, host, metrics, log and profiles, but no secret. What the token may not read is missing, and its
index.json says so. An interrupt ends it early, and what is there is kept.

    $ {cmd} -duration=1m -interval=10s -target=metrics -target=pprof`,
		setup: func(f *flag.FlagSet) action {
			d := debugRun{duration: ttl{2 * time.Minute}, interval: ttl{30 * time.Second}, metricsInterval: ttl{10 * time.Second}}
			f.BoolVar(&d.compress, "compress", true, "Make one .tar.gz of the files.")
			f.Var(&d.duration, "duration", "How long to watch.")
			f.Var(&d.interval, "interval", "How often to look, and how long profiles are.")
			f.Var(&d.metricsInterval, "metrics-interval", "How often to look at the metrics.")
			f.StringVar(&d.logFormat, "log-format", "standard", "`Format` of the log: standard or json.")
			f.StringVar(&d.output, "output", "", "Where to leave it. The default is vault-debug- and the time.")
			f.Var(&d.targets, "target", "What to collect: "+strings.Join(debugTargets(), ", ")+". May be given more than once; the default is all.")
			return request(d.run).action()
		},
	}
}

// debugRun is one collection. Its directory is private: profiles and logs tell much.
type debugRun struct {
	duration, interval, metricsInterval ttl
	logFormat, output                   string
	targets                             list
	compress                            bool

	dir    string
	client *api.Client

	mu     sync.Mutex
	seen   map[string][]json.RawMessage // by the file's name
	errors []debugError
}

// debugError is what could not be collected, as index.json lists it.
type debugError struct {
	Error     string    `json:"error"`
	Target    string    `json:"target"`
	Timestamp time.Time `json:"timestamp"`
}

func (d *debugRun) check() error {
	for _, target := range d.targets {
		if !slices.Contains(debugTargets(), target) {
			return usagef("Ignoring invalid targets is not safe: %q is none of %s", target, strings.Join(debugTargets(), ", "))
		}
	}
	switch {
	case d.interval.Duration < time.Second || d.metricsInterval.Duration < time.Second:
		return usagef("-interval and -metrics-interval are 1s at least")
	case d.duration.Duration < d.interval.Duration:
		return usagef("-duration must not be shorter than -interval")
	}
	if len(d.targets) == 0 {
		d.targets = debugTargets()
	}
	return nil
}

func (d *debugRun) run(ctx context.Context, c *call, client *api.Client) error {
	if err := d.check(); err != nil {
		return err
	}
	began := time.Now().UTC()
	d.client, d.seen = client, map[string][]json.RawMessage{}
	if d.output == "" {
		d.output = "vault-debug-" + began.Format("2006-01-02T15-04-05Z")
	}
	d.output = strings.TrimSuffix(strings.TrimSuffix(d.output, ".gz"), ".tar")
	health, err := client.Sys().HealthWithContext(ctx)
	if err != nil {
		return apiError("Error during validation: unable to reach the server", err)
	}
	if d.dir, err = filepath.Abs(d.output); err != nil {
		return usagef("Error finding the output: %w", err)
	}
	if err := os.Mkdir(d.dir, 0o700); err != nil {
		return usagef("Error making the output directory: %w; name another with -output", err)
	}
	c.printf("==> Starting debug capture...\n         Vault Address: %s\n        Server Version: %s\n              Duration: %s\n              Interval: %s\n      Metrics Interval: %s\n               Targets: %s\n                Output: %s\n",
		client.Address(), health.Version, d.duration.Duration, d.interval.Duration, d.metricsInterval.Duration, strings.Join(d.targets, ", "), d.shown())
	d.capture(ctx)
	c.println("Finished capturing information, bundling files...")
	if err := d.write(began, health.Version); err != nil {
		return usagef("Error writing what was collected: %w", err)
	}
	c.printf("Success! Bundle written to: %s", d.shown())
	return nil
}

func (d *debugRun) shown() string {
	if d.compress {
		return d.output + ".tar.gz"
	}
	return d.output
}

// capture asks for every target until the time is over or the user has had enough.
func (d *debugRun) capture(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, d.duration.Duration)
	defer cancel()
	var all sync.WaitGroup
	for _, target := range d.targets {
		all.Go(func() {
			switch target {
			case "log":
				d.log(ctx)
			case "pprof":
				every(ctx, d.interval.Duration, func() { d.profiles(ctx) })
			case "metrics":
				every(ctx, d.metricsInterval.Duration, func() { d.poll(ctx, target, "metrics.json", "sys/metrics") })
			case "config":
				d.poll(ctx, target, "config.json", "sys/config/state/sanitized") // it does not change while a server runs
			case "host":
				every(ctx, d.interval.Duration, func() { d.poll(ctx, target, "host_info.json", "sys/host-info") })
			case "replication-status":
				every(ctx, d.interval.Duration, func() { d.poll(ctx, target, "replication_status.json", "sys/replication/status") })
			case "requests":
				every(ctx, d.interval.Duration, func() { d.poll(ctx, target, "requests.json", "sys/in-flight-req") })
			case "server-status":
				every(ctx, d.interval.Duration, func() {
					d.poll(ctx, target, "server_status.json", "sys/health", "sys/seal-status")
				})
			}
		})
	}
	all.Wait()
}

// every calls look now and then at each interval, until ctx ends.
func every(ctx context.Context, interval time.Duration, look func()) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		look()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// poll notes the answers of the paths, with the time, as one element of the file's array.
func (d *debugRun) poll(ctx context.Context, target, file string, paths ...string) {
	element := map[string]any{"timestamp": time.Now().UTC()}
	for _, path := range paths {
		var query map[string][]string
		if path == "sys/health" { // whatever the state is, it is what is asked for
			query = map[string][]string{"standbyok": {"true"}, "perfstandbyok": {"true"}, "sealedcode": {"200"}, "uninitcode": {"200"}}
		}
		resp, err := d.client.Logical().ReadRawWithDataWithContext(ctx, path, query)
		var text []byte
		if resp != nil {
			text, _ = io.ReadAll(resp.Body)
			resp.Body.Close()
		}
		if err == nil && !json.Valid(text) {
			err = errors.New("the answer is no JSON")
		}
		if err != nil {
			d.failed(ctx, target, err)
			return
		}
		element[path[strings.LastIndex(path, "/")+1:]] = json.RawMessage(text)
	}
	made, err := json.Marshal(element)
	if err != nil {
		d.failed(ctx, target, err)
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seen[file] = append(d.seen[file], made)
}

// failed notes what could not be collected. The end of the time is no fault.
func (d *debugRun) failed(ctx context.Context, target string, err error) {
	if ctx.Err() != nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.errors = append(d.errors, debugError{err.Error(), target, time.Now().UTC()})
}

// profiles saves one profile of each kind, in a folder named for the time.
func (d *debugRun) profiles(ctx context.Context) {
	dir := filepath.Join(d.dir, time.Now().UTC().Format("2006-01-02T15-04-05Z"))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		d.failed(ctx, "pprof", err)
		return
	}
	seconds := fmt.Sprint(int(min(d.interval.Duration, 30*time.Second).Seconds()))
	var all sync.WaitGroup
	for name, file := range map[string]string{
		"allocs": "allocs.prof", "block": "block.prof", "goroutine": "goroutine.prof", "heap": "heap.prof", "mutex": "mutex.prof",
		"threadcreate": "threadcreate.prof", "profile": "profile.prof", "trace": "trace.out",
	} {
		all.Go(func() {
			query := map[string][]string{}
			if name == "profile" || name == "trace" {
				query["seconds"] = []string{seconds}
			}
			resp, err := d.client.Logical().ReadRawWithDataWithContext(ctx, "sys/pprof/"+name, query)
			if err == nil {
				defer resp.Body.Close()
				err = save(filepath.Join(dir, file), resp.Body)
			}
			if err != nil {
				d.failed(ctx, "pprof", fmt.Errorf("%s: %w", name, err))
			}
		})
	}
	all.Wait()
}

// log saves what the server writes to its log meanwhile.
func (d *debugRun) log(ctx context.Context) {
	lines, err := d.client.Sys().Monitor(ctx, "trace", d.logFormat)
	if err != nil {
		d.failed(ctx, "log", err)
		return
	}
	out, err := os.OpenFile(filepath.Join(d.dir, "vault.log"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		d.failed(ctx, "log", err)
		return
	}
	defer out.Close()
	for line := range lines {
		if _, err := fmt.Fprintln(out, line); err != nil {
			d.failed(ctx, "log", err)
			return
		}
	}
}

func save(path string, from io.Reader) error {
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, from)
	return errors.Join(err, out.Close())
}
