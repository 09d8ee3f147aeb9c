// Package consumer owns what operators report of the resources in Kubernetes that use what this server keeps: which they are,
// which paths they use, and how they are (docs/operator.md). It keeps that in the memory of the active node alone, in bounded
// space, and forgets what is not renewed. It judges no policy: who reports says of each path whether the reporter may use it.
package consumer

import (
	"context"
	"sync"
	"time"
)

const (
	// Period is how often reporters are asked to renew what they reported.
	Period = 5 * time.Minute
	// Life is how long it is kept without that.
	Life = 3 * Period
	// MaxBatch is how many entries a report may have.
	MaxBatch = 1000

	maxPaths     = 64
	maxInstances = 64 // of one reporter
	maxText      = 128
	maxName      = 253 // Kubernetes' own limit
	maxPath      = 1024
	// What an instance takes, an entry besides its texts, and each of its paths besides that, in bytes.
	instanceCost, entryCost, pathCost = 1024, 400, 64
)

// Limits bound the memory that is taken, in bytes.
type Limits struct{ Reporter, All int }

// DefaultLimits are room for some 15,000 resources of one login, and 120,000 of all.
var DefaultLimits = Limits{Reporter: 8 << 20, All: 64 << 20}

// Entry is one resource as it is reported. One without paths is gone: the instance has no more to tell of it.
type Entry struct {
	Kind      string   `json:"kind"`
	Namespace string   `json:"namespace"`
	Name      string   `json:"name"`
	Paths     []string `json:"paths"`   // of the API; one that ends in a slash is all below it
	State     string   `json:"state"`   // Valid, or the reason of what is wrong
	Version   string   `json:"version"` // that the resource holds; "": the engine has none
	Synced    string   `json:"synced"`  // when it last held what the server does, in RFC 3339; "": never
}

// Resource is one as it is shown. It never changes.
type Resource struct {
	Cluster string `json:"cluster"` // the name that its operator gives the Kubernetes cluster
	Entry
	Reporter string    `json:"reporter"` // the display name of the token
	Reported time.Time `json:"reported"` // when it was last told anew
}

// Report is what one process of an operator tells by one login.
type Report struct {
	Namespace string // of the server, by id; paths are in it
	Reporter  string // who reports, by an id that outlives the token where there is one
	Name      string // the same, for people
	Cluster   string
	Instance  string // of the operator: a name of the process that no other has
	Reset     bool   // the entries, and those of reports after this one, are all there is
	Entries   []Entry
	Allowed   func(path string) bool // whether the reporter may use what is there
}

// Outcome is the answer to a Report.
type Outcome struct {
	// Known: the instance has reported before, and that is still held, or Reset was set. Else the report was dropped: all is to
	// be told again, with Reset.
	Known    bool `json:"known"`
	Accepted int  `json:"accepted"` // entries
	Dropped  int  `json:"dropped"`  // entries of none of whose paths the reporter may make any use
	Invalid  int  `json:"invalid"`  // entries that are malformed
	NoRoom   int  `json:"no_room"`  // entries for which there is no memory
	Held     int  `json:"held"`     // entries of the instance, after this report
}

// Registry holds what was reported. Safe for concurrent use.
type Registry struct {
	limits Limits
	since  time.Time

	mu        sync.Mutex
	reporters map[reporterKey]*reporter
	bytes     int
}

type reporterKey struct{ namespace, id string }

type instanceKey struct{ cluster, id string }

type resourceKey struct{ cluster, kind, namespace, name string }

// reporter is all that one login has reported in one namespace, by whichever instances.
type reporter struct {
	instances map[instanceKey]*instance
	resources map[resourceKey]held
	bytes     int
}

type instance struct {
	expires time.Time
	checked time.Time // when all its paths were last asked of Report.Allowed
	held    int
}

type held struct {
	*Resource
	of   *instance
	cost int // in bytes
}

// New makes an empty registry.
func New(limits Limits) *Registry {
	return &Registry{limits: limits, since: time.Now(), reporters: map[reporterKey]*reporter{}}
}

// Since is when the registry began to hold anything: with this node's leadership.
func (r *Registry) Since() time.Time { return r.since }

// Report takes what is reported, and renews what the instance reported before. A resource that another instance of the same
// reporter told of in the same cluster is this one's from then on. Where Known is false nothing is taken.
func (r *Registry) Report(report Report) Outcome {
	now := time.Now()
	var out Outcome
	entries := out.admit(report)
	r.mu.Lock()
	defer r.mu.Unlock()
	key := reporterKey{report.Namespace, report.Reporter}
	of := r.reporters[key]
	if of == nil {
		of = &reporter{instances: map[instanceKey]*instance{}, resources: map[resourceKey]held{}}
		r.reporters[key] = of
	}
	defer r.tidy(key, of)
	r.expire(of, now)
	in := of.instances[instanceKey{report.Cluster, report.Instance}]
	if in == nil && report.Reset {
		if in = r.begin(of, instanceKey{report.Cluster, report.Instance}); in == nil {
			out.NoRoom = len(entries)
		}
	}
	if in == nil {
		return out
	}
	if report.Reset {
		r.drop(of, func(h held) bool { return h.of == in })
	}
	in.expires = now.Add(Life)
	if now.Sub(in.checked) >= Period/2 {
		r.recheck(of, in, report.Allowed)
		in.checked = now
	}
	for _, e := range entries {
		r.put(of, in, e, report, now, &out)
	}
	out.Known, out.Held = true, in.held
	return out
}

// admit are the entries that may be held, with those of their paths that the reporter may use.
func (out *Outcome) admit(report Report) []Entry {
	var entries []Entry
	for _, e := range report.Entries {
		if !e.sound() {
			out.Invalid++
			continue
		}
		paths := usable(e.Paths, report.Allowed)
		if len(e.Paths) > 0 && len(paths) == 0 {
			out.Dropped++ // what was held of the resource goes
		}
		e.Paths = paths
		entries = append(entries, e)
	}
	return entries
}

func usable(paths []string, allowed func(string) bool) []string {
	var kept []string
	for _, p := range paths {
		if allowed(p) {
			kept = append(kept, p)
		}
	}
	return kept
}

// begin adds an instance; nil: there is no room.
func (r *Registry) begin(of *reporter, key instanceKey) *instance {
	if len(of.instances) >= maxInstances || r.bytes+instanceCost > r.limits.All {
		return nil
	}
	in := &instance{checked: time.Now()}
	of.instances[key] = in
	of.bytes += instanceCost
	r.bytes += instanceCost
	return in
}

// put holds e, or forgets it if it has no paths.
func (r *Registry) put(of *reporter, in *instance, e Entry, report Report, now time.Time, out *Outcome) {
	key := resourceKey{report.Cluster, e.Kind, e.Namespace, e.Name}
	if h, had := of.resources[key]; had && (h.of == in || len(e.Paths) > 0) {
		r.forget(of, key)
	}
	if len(e.Paths) == 0 {
		return
	}
	resource := &Resource{Cluster: report.Cluster, Entry: e, Reporter: report.Name, Reported: now}
	cost := resource.cost()
	if of.bytes+cost > r.limits.Reporter || r.bytes+cost > r.limits.All {
		out.NoRoom++
		return
	}
	of.resources[key] = held{resource, in, cost}
	of.bytes += cost
	r.bytes += cost
	in.held++
	out.Accepted++
}

// recheck takes from the instance's resources the paths that the reporter may use no more.
func (r *Registry) recheck(of *reporter, in *instance, allowed func(string) bool) {
	for key, h := range of.resources {
		if h.of != in {
			continue
		}
		paths := usable(h.Paths, allowed)
		switch len(paths) {
		case len(h.Paths):
		case 0:
			r.forget(of, key)
		default:
			less := *h.Resource
			less.Paths = paths
			of.resources[key] = held{&less, in, h.cost}
		}
	}
}

func (r *Registry) forget(of *reporter, key resourceKey) {
	h := of.resources[key]
	delete(of.resources, key)
	of.bytes -= h.cost
	r.bytes -= h.cost
	h.of.held--
}

func (r *Registry) drop(of *reporter, which func(held) bool) {
	for key, h := range of.resources {
		if which(h) {
			r.forget(of, key)
		}
	}
}

// expire forgets the instances that were not renewed, and counts them.
func (r *Registry) expire(of *reporter, now time.Time) int {
	over := map[*instance]bool{}
	for key, in := range of.instances {
		if !now.Before(in.expires) {
			over[in] = true
			delete(of.instances, key)
			of.bytes -= instanceCost
			r.bytes -= instanceCost
		}
	}
	if len(over) > 0 {
		r.drop(of, func(h held) bool { return over[h.of] })
	}
	return len(over)
}

// tidy forgets a reporter of whom nothing is held.
func (r *Registry) tidy(key reporterKey, of *reporter) {
	if len(of.instances) == 0 {
		delete(r.reporters, key)
	}
}

// Sweep forgets what was not renewed, and says of how many instances that was. It never fails.
func (r *Registry) Sweep(context.Context) (int, error) {
	now, n := time.Now(), 0
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, of := range r.reporters {
		n += r.expire(of, now)
		r.tidy(key, of)
	}
	return n, nil
}
