package metrics

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/expfmt"
)

// PrometheusType is the content type of Prometheus.
const PrometheusType = "text/plain; version=0.0.4; charset=utf-8"

// reading is everything at one moment.
type reading struct {
	series []*series
	gauges []gauge
}

func (r *Registry) read() reading {
	r.mu.Lock()
	var out reading
	for _, s := range r.series {
		out.series = append(out.series, s)
	}
	for _, g := range r.kept {
		out.gauges = append(out.gauges, g)
	}
	sources := slices.Clone(r.gauges)
	r.mu.Unlock()
	emit := func(name string, value float64, labels ...Label) {
		out.gauges = append(out.gauges, gauge{name, labels, value})
	}
	runtimeGauges(emit)
	for _, read := range sources {
		read(emit)
	}
	out.gauges = slices.DeleteFunc(out.gauges, func(g gauge) bool { return !r.options.wants(g.name) })
	for i := range out.gauges {
		g := &out.gauges[i]
		g.name, g.labels = r.options.gaugeName(g.name, g.labels)
	}
	slices.SortFunc(out.series, func(a, b *series) int { return cmp.Compare(keyOf(a.name, a.labels), keyOf(b.name, b.labels)) })
	slices.SortFunc(out.gauges, func(a, b gauge) int { return cmp.Compare(keyOf(a.name, a.labels), keyOf(b.name, b.labels)) })
	out.gauges = slices.CompactFunc(out.gauges, func(a, b gauge) bool { return keyOf(a.name, a.labels) == keyOf(b.name, b.labels) })
	return out
}

// runtimeGauges are what Vault tells of the Go runtime.
func runtimeGauges(emit Emit) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	emit("runtime.alloc_bytes", float64(m.Alloc))
	emit("runtime.sys_bytes", float64(m.Sys))
	emit("runtime.malloc_count", float64(m.Mallocs))
	emit("runtime.free_count", float64(m.Frees))
	emit("runtime.heap_objects", float64(m.HeapObjects))
	emit("runtime.num_goroutines", float64(runtime.NumGoroutine()))
	emit("runtime.total_gc_pause_ns", float64(m.PauseTotalNs))
	emit("runtime.total_gc_runs", float64(m.NumGC))
}

// Prometheus is everything in the text format of Prometheus, with what its
// client library tells of Go (go_*) and the process (process_*).
func (r *Registry) Prometheus() ([]byte, error) {
	p := prometheus.NewRegistry()
	p.MustRegister(collector{r}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	families, err := p.Gather()
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	var b bytes.Buffer
	e := expfmt.NewEncoder(&b, expfmt.NewFormat(expfmt.TypeTextPlain))
	for _, f := range families {
		if err := e.Encode(f); err != nil {
			return nil, fmt.Errorf("metrics: %w", err)
		}
	}
	return b.Bytes(), nil
}

// collector is a Registry as the client library sees it.
type collector struct{ *Registry }

// Describe implements prometheus.Collector: what there will be is not known before.
func (collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c collector) Collect(out chan<- prometheus.Metric) {
	now, all := time.Now(), c.read()
	for _, g := range all.gauges {
		out <- constant(prometheus.NewConstMetric(describe(g.name, g.labels), prometheus.GaugeValue, g.value, values(g.labels)...))
	}
	for _, s := range all.series {
		desc := describe(c.options.Prefix+"."+s.name, s.labels)
		if s.counter != nil {
			out <- constant(prometheus.NewConstMetric(desc, prometheus.CounterValue, float64(s.counter.Value()), values(s.labels)...))
			continue
		}
		counts, count, sum := s.summary.totals()
		out <- constant(prometheus.NewConstSummary(desc, count, milliseconds(float64(sum)), quantiles(s.summary.recent(now, counts)), values(s.labels)...))
	}
}

func constant(m prometheus.Metric, err error) prometheus.Metric {
	if err != nil {
		return prometheus.NewInvalidMetric(prometheus.NewInvalidDesc(err), err)
	}
	return m
}

func milliseconds(ns float64) float64 { return ns / float64(time.Millisecond) }

func describe(name string, labels []Label) *prometheus.Desc {
	var names []string
	for _, l := range labels {
		names = append(names, promName(l.Name))
	}
	return prometheus.NewDesc(promName(name), name, names, nil)
}

func values(labels []Label) (out []string) {
	for _, l := range labels {
		out = append(out, strings.ToValidUTF8(l.Value, "\ufffd"))
	}
	return out
}

// promName is a dotted name as Prometheus takes it, which Vault's dashboards know.
func promName(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_', r == ':':
			return r
		}
		return '_'
	}, name)
}

// quantiles are those that Vault shows, in milliseconds; not numbers where nothing was counted.
func quantiles(counts [ranges]uint64) map[float64]float64 {
	out := map[float64]float64{0.5: math.NaN(), 0.9: math.NaN(), 0.99: math.NaN()}
	var total uint64
	for _, n := range counts {
		total += n
	}
	if total == 0 {
		return out
	}
	for q := range out {
		rank, seen := uint64(math.Ceil(q*float64(total))), uint64(0)
		for i, n := range counts {
			if seen += n; seen >= rank {
				out[q] = milliseconds(middle(i))
				break
			}
		}
	}
	return out
}

// Report is everything that a server counts and times of itself, in the form of sys/metrics; times are in milliseconds.
type Report struct {
	Timestamp         string
	Gauges            []Point
	Points            []Point // go-metrics has them; nothing here makes any
	Counters, Samples []Total
}

// Point is the value of a gauge.
type Point struct {
	Name   string
	Value  float64
	Labels map[string]string
}

// Total is what was counted or timed since the server's start.
type Total struct {
	Name                              string
	Count                             uint64
	Rate, Sum, Min, Max, Mean, Stddev float64
	Labels                            map[string]string
}

// JSON is a Report
// (https://developer.hashicorp.com/vault/api-docs/system/metrics), which here
// tells of the time since the server's start, not of the last ten seconds.
func (r *Registry) JSON() ([]byte, error) {
	all := r.read()
	out := Report{time.Now().UTC().Truncate(window).String(), []Point{}, []Point{}, []Total{}, []Total{}}
	for _, g := range all.gauges {
		if !math.IsNaN(g.value) && !math.IsInf(g.value, 0) {
			out.Gauges = append(out.Gauges, Point{g.name, g.value, labelMap(g.labels)})
		}
	}
	age := max(time.Since(r.begun).Seconds(), 1)
	for _, s := range all.series {
		t := Total{Name: r.options.Prefix + "." + s.name, Labels: labelMap(s.labels)}
		if s.counter != nil {
			n := s.counter.Value()
			t.Count, t.Sum = uint64(n), float64(n)
			t.Rate = t.Sum / age
			out.Counters = append(out.Counters, t)
			continue
		}
		counts, count, sum := s.summary.totals()
		t.Count, t.Sum = count, milliseconds(float64(sum))
		t.Rate = t.Sum / age
		if count > 0 {
			t.Mean = t.Sum / float64(count)
			t.Min, t.Max, t.Stddev = spread(counts, t.Mean, count)
		}
		out.Samples = append(out.Samples, t)
	}
	return json.Marshal(out)
}

// spread is, in milliseconds, the least, the most, and the standard deviation
// from mean of counts, as far as the ranges tell.
func spread(counts [ranges]uint64, mean float64, count uint64) (least, most, deviation float64) {
	first := true
	for i, n := range counts {
		if n == 0 {
			continue
		}
		v := milliseconds(middle(i))
		if first {
			least, first = v, false
		}
		most = v
		deviation += float64(n) * (v - mean) * (v - mean)
	}
	return least, most, math.Sqrt(deviation / float64(count))
}

func labelMap(labels []Label) map[string]string {
	out := map[string]string{}
	for _, l := range labels {
		out[l.Name] = l.Value
	}
	return out
}
