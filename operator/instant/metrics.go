package instant

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"strongroom/operator/condition"
)

// metrics are what a hub counts. None has a label that a tenant chooses, so that their number is bounded.
type metrics struct {
	streams prometheus.Gauge
	events  prometheus.Counter
	syncs   *prometheus.CounterVec
	took    *prometheus.HistogramVec
	count   *prometheus.Desc
	oldest  *prometheus.Desc

	mu     sync.Mutex
	states map[target]state
}

// state is how a resource is.
type state struct {
	reason string // Valid, or the problem's
	good   time.Time
}

func newMetrics() *metrics {
	return &metrics{
		streams: prometheus.NewGauge(prometheus.GaugeOpts{Name: "strongroom_operator_event_streams", Help: "Event streams that are open."}),
		events:  prometheus.NewCounter(prometheus.CounterOpts{Name: "strongroom_operator_events_total", Help: "Events of servers that were received."}),
		syncs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "strongroom_operator_syncs_total", Help: "Times that resources were looked at, by kind and by reason: Valid, or the problem's.",
		}, []string{"kind", "reason"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "strongroom_operator_sync_seconds",
			Help:    "How long syncs took that went well, by kind: from taking up the resource until target and status are written.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"kind"}),
		count: prometheus.NewDesc("strongroom_operator_resources", "Resources by kind and status.", []string{"kind", "reason"}, nil),
		oldest: prometheus.NewDesc("strongroom_operator_oldest_success_seconds",
			"Seconds since the last success of the resource of the kind that has waited longest for one.", []string{"kind"}, nil),
		states: make(map[target]state),
	}
}

// observe notes how a resource is. One that never succeeded counts from when it was first looked at.
func (m *metrics) observe(t target, problem *condition.Problem) {
	now := state{reason: "Valid", good: time.Now()}
	m.mu.Lock()
	if problem != nil {
		now.reason = problem.Reason
		if before, known := m.states[t]; known {
			now.good = before.good
		}
	}
	m.states[t] = now
	m.mu.Unlock()
	m.syncs.WithLabelValues(t.watcher.kind, now.reason).Inc()
}

// forget drops a resource, and tells whether it was known.
func (m *metrics) forget(t target) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, known := m.states[t]
	delete(m.states, t)
	return known
}

// Describe and Collect make a Hub a prometheus.Collector.
func (h *Hub) Describe(to chan<- *prometheus.Desc) {
	h.metrics.streams.Describe(to)
	h.metrics.events.Describe(to)
	h.metrics.syncs.Describe(to)
	h.metrics.took.Describe(to)
	to <- h.metrics.count
	to <- h.metrics.oldest
}

// Collect gives the metrics as they are.
func (h *Hub) Collect(to chan<- prometheus.Metric) {
	m := h.metrics
	m.streams.Collect(to)
	m.events.Collect(to)
	m.syncs.Collect(to)
	m.took.Collect(to)
	type status struct{ kind, reason string }
	counts, oldest := make(map[status]int), make(map[string]time.Duration)
	m.mu.Lock()
	for t, s := range m.states {
		counts[status{t.watcher.kind, s.reason}]++
		oldest[t.watcher.kind] = max(oldest[t.watcher.kind], time.Since(s.good))
	}
	m.mu.Unlock()
	for s, n := range counts {
		to <- prometheus.MustNewConstMetric(m.count, prometheus.GaugeValue, float64(n), s.kind, s.reason)
	}
	for kind, age := range oldest {
		to <- prometheus.MustNewConstMetric(m.oldest, prometheus.GaugeValue, age.Seconds(), kind)
	}
}
