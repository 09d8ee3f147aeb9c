// Package metrics owns what a server counts and times of itself: counters and
// summaries that any number of requests write without waiting for one another,
// and gauges that are read when somebody asks. It never holds a secret, a token
// or the path of a secret: names and labels come from the code, and from mount
// paths, of which there is a bounded number.
package metrics

import (
	"math/bits"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Label is one dimension of a metric.
type Label struct{ Name, Value string }

// Emit takes the value of a gauge at the moment; name is dotted: "core.unsealed".
type Emit func(name string, value float64, labels ...Label)

// Registry holds the metrics of one server. The methods of a nil Registry, and
// of the nil metrics it makes, do nothing. Safe for concurrent use.
type Registry struct {
	options Options
	begun   time.Time

	mu     sync.Mutex // of the fields below; taken when a metric is made and when somebody asks
	series map[string]*series
	gauges []func(Emit)
	kept   map[string]gauge // those of Gauge
}

// series is a counter or a summary with its name.
type series struct {
	name    string
	labels  []Label
	counter *Counter
	summary *Summary
}

type gauge struct {
	name   string
	labels []Label
	value  float64
}

// New makes an empty registry.
func New(o Options) *Registry {
	if o.Prefix == "" {
		o.Prefix = "vault"
	}
	return &Registry{options: o, begun: time.Now(), series: map[string]*series{}, kept: map[string]gauge{}}
}

// Retention is how long what was counted is kept for Prometheus; 0 turns its
// format off. Nothing is ever dropped here: the sizes are bounded.
func (r *Registry) Retention() time.Duration {
	if r == nil {
		return 0
	}
	return r.options.Retention
}

// UsagePeriod is how old a gauge may be that takes time to find out.
func (r *Registry) UsagePeriod() time.Duration {
	if r == nil || r.options.UsagePeriod <= 0 {
		return defaultUsagePeriod
	}
	return r.options.UsagePeriod
}

// Counter returns the counter of that dotted name and labels, made at its first use.
func (r *Registry) Counter(name string, labels ...Label) *Counter {
	if s := r.one(name, labels, func(s *series) { s.counter = new(Counter) }); s != nil {
		return s.counter
	}
	return nil
}

// Summary returns the summary of that dotted name and labels, made at its first
// use. One name is either a counter or a summary.
func (r *Registry) Summary(name string, labels ...Label) *Summary {
	if s := r.one(name, labels, func(s *series) { s.summary = new(Summary) }); s != nil {
		return s.summary
	}
	return nil
}

// most bounds how many series there are: labels and mounts come from outside.
const most = 5000

func (r *Registry) one(name string, labels []Label, fill func(*series)) *series {
	if r == nil || !r.options.wants(name) {
		return nil
	}
	key := keyOf(name, labels)
	r.mu.Lock()
	defer r.mu.Unlock()
	s, ok := r.series[key]
	if !ok && len(r.series) < most {
		s = &series{name: name, labels: slices.Clone(labels)}
		fill(s)
		r.series[key] = s
	}
	return s
}

// Watch has read called for the values of gauges whenever somebody asks.
func (r *Registry) Watch(read func(Emit)) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gauges = append(r.gauges, read)
}

// Gauge keeps the last value of a gauge, for what cannot be asked.
func (r *Registry) Gauge(name string, value float64, labels ...Label) {
	if r == nil {
		return
	}
	key := keyOf(name, labels)
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, had := r.kept[key]; had || len(r.kept) < most {
		r.kept[key] = gauge{name, slices.Clone(labels), value}
	}
}

func keyOf(name string, labels []Label) string {
	if len(labels) == 0 {
		return name
	}
	var b strings.Builder
	b.WriteString(name)
	for _, l := range labels {
		b.WriteString("\x00" + l.Name + "\x00" + l.Value)
	}
	return b.String()
}

// shards is how many copies a metric has, so that cores that count at the same
// time seldom write to the same line of memory. A power of two.
const shards = 4

func shard() uint32 { return rand.Uint32() & (shards - 1) }

// Counter only grows.
type Counter struct {
	parts [shards]struct {
		n atomic.Int64
		_ [56]byte
	}
}

// Add adds n.
func (c *Counter) Add(n int64) {
	if c != nil {
		c.parts[shard()].n.Add(n)
	}
}

// Value is the sum of all that was added.
func (c *Counter) Value() (n int64) {
	if c == nil {
		return 0
	}
	for i := range c.parts {
		n += c.parts[i].n.Load()
	}
	return n
}

// Summary times something: how often, how long altogether, and how long most
// took. What it keeps is a count for each range of durations, four ranges to a
// factor of two, so that a quantile is at most an eighth off.
type Summary struct {
	parts [shards]struct {
		sum    atomic.Int64 // nanoseconds
		counts [ranges]atomic.Uint32
		_      [56]byte
	}
	mu         sync.Mutex // of the window, which only those who ask use
	last, base [ranges]uint64
	turned     time.Time
}

const (
	finest = 8   // the first range ends at 2^8 ns
	ranges = 128 // and the last begins at 2^39 ns, nine minutes
)

// rangeOf is the range that d falls in.
func rangeOf(d int64) int {
	v := uint64(max(d, 0)) >> (finest - 2)
	if v < 4 {
		return 0
	}
	exp := bits.Len64(v) - 3
	return min(exp*4+int(v>>exp&3), ranges-1)
}

// middle is a duration in range i, in nanoseconds.
func middle(i int) float64 {
	exp, low := i/4, uint64(4+i%4)
	if i == 0 {
		return 1 << (finest - 1)
	}
	return (float64(low) + 0.5) * float64(uint64(1)<<(exp+finest-2))
}

// Since counts something that began at start and ends now.
func (s *Summary) Since(start time.Time) {
	if s != nil {
		s.Observe(time.Since(start))
	}
}

// Observe counts something that took d.
func (s *Summary) Observe(d time.Duration) {
	if s == nil {
		return
	}
	p := &s.parts[shard()]
	p.sum.Add(int64(d))
	p.counts[rangeOf(int64(d))].Add(1)
}

// totals are what was counted since the server's start.
func (s *Summary) totals() (counts [ranges]uint64, count uint64, sum time.Duration) {
	for i := range s.parts {
		sum += time.Duration(s.parts[i].sum.Load())
		for j := range counts {
			n := uint64(s.parts[i].counts[j].Load())
			counts[j] += n
			count += n
		}
	}
	return counts, count, sum
}

// window is how old at least what quantiles look back at is, if somebody asks that often.
const window = 10 * time.Second

// recent turns totals into what was counted since the time before last that
// somebody asked, so that quantiles tell of the present.
func (s *Summary) recent(now time.Time, counts [ranges]uint64) [ranges]uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.turned) >= window {
		s.base, s.last, s.turned = s.last, counts, now
	}
	for i := range counts {
		counts[i] -= s.base[i]
	}
	return counts
}
