package metrics

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

func families(t *testing.T, r *Registry) map[string]*dto.MetricFamily {
	t.Helper()
	text, err := r.Prometheus()
	if err != nil {
		t.Fatal(err)
	}
	p := expfmt.NewTextParser(model.UTF8Validation)
	out, err := p.TextToMetricFamilies(strings.NewReader(string(text)))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return out
}

// TestQuantiles compares quantiles with those of the sorted durations.
func TestQuantiles(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 2))
		s := New(Options{}).Summary("x")
		var all []float64
		for range 1 + r.IntN(2000) {
			d := time.Duration(math.Exp(6+r.Float64()*20)) + 300
			s.Observe(d)
			all = append(all, milliseconds(float64(d)))
		}
		slices.Sort(all)
		counts, count, sum := s.totals()
		if int(count) != len(all) || sum <= 0 {
			t.Fatalf("seed %d: %d counted of %d", seed, count, len(all))
		}
		for q, got := range quantiles(counts) {
			want := all[int(math.Ceil(q*float64(len(all))))-1]
			if math.Abs(got-want) > want/8 {
				t.Errorf("seed %d: quantile %v is %v, want %v", seed, q, got, want)
			}
		}
	}
}

// TestRanges: the ranges are in order, and each holds its own middle.
func TestRanges(t *testing.T) {
	for i := range ranges {
		if got := rangeOf(int64(middle(i))); got != i {
			t.Errorf("the middle of range %d, %v ns, falls in range %d", i, middle(i), got)
		}
	}
	for _, d := range []int64{-1, 0, 1, math.MaxInt64} {
		if i := rangeOf(d); i < 0 || i >= ranges {
			t.Errorf("%d ns falls in range %d", d, i)
		}
	}
}

// TestWindow: quantiles tell of what was lately, counts and sums of everything.
func TestWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(Options{})
		s := r.Summary("core.handle_request")
		read := func() *dto.Summary {
			for range 2 { // twice within a window is like once
				families(t, r)
			}
			return families(t, r)["vault_core_handle_request"].Metric[0].GetSummary()
		}
		s.Observe(time.Second)
		time.Sleep(window)
		if got := read(); got.GetSampleCount() != 1 || math.Abs(got.Quantile[0].GetValue()-1000) > 125 {
			t.Errorf("at first: %v", got)
		}
		time.Sleep(window)
		s.Observe(time.Millisecond)
		read()
		time.Sleep(window)
		s.Observe(time.Millisecond)
		if got := read(); got.GetSampleCount() != 3 || got.GetSampleSum() != 1002 || got.Quantile[2].GetValue() > 2 {
			t.Errorf("later: %v", got)
		}
		time.Sleep(window)
		read()
		time.Sleep(window)
		if got := read(); got.GetSampleCount() != 3 || !math.IsNaN(got.Quantile[0].GetValue()) {
			t.Errorf("with nothing lately: %v", got)
		}
	})
}

func TestPrometheus(t *testing.T) {
	r := New(Options{})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 1000 {
				r.Counter("token.creation", Label{"auth_method", "kubernetes"}).Add(1)
				r.Summary("route.read.secret-").Observe(time.Millisecond)
			}
		})
	}
	r.Watch(func(emit Emit) { emit("core.unsealed", 1, Label{"cluster", "a \"b\"\n"}) })
	r.Gauge("raft.peers", 2)
	r.Gauge("raft.peers", 3)
	all.Wait()
	got := families(t, r)
	if v := got["vault_token_creation"].Metric[0]; v.GetCounter().GetValue() != 8000 || v.Label[0].GetValue() != "kubernetes" {
		t.Error(v)
	}
	if v := got["vault_route_read_secret_"].Metric[0].GetSummary(); v.GetSampleCount() != 8000 || v.GetSampleSum() != 8000 {
		t.Error(v)
	}
	if v := got["vault_core_unsealed"].Metric[0]; v.GetGauge().GetValue() != 1 || v.Label[0].GetValue() != "a \"b\"\n" {
		t.Error(v)
	}
	if v := got["vault_raft_peers"].Metric[0].GetGauge().GetValue(); v != 3 {
		t.Error(v)
	}
	for _, name := range []string{"vault_runtime_alloc_bytes", "vault_runtime_num_goroutines", "go_goroutines", "process_open_fds"} {
		if got[name] == nil {
			t.Errorf("%s is missing", name)
		}
	}
}

func TestJSON(t *testing.T) {
	r := New(Options{Prefix: "sr"})
	r.Counter("token.creation").Add(2)
	r.Summary("core.handle_request").Observe(2 * time.Millisecond)
	r.Summary("core.handle_login_request")
	r.Watch(func(emit Emit) { emit("core.unsealed", 1); emit("bad", math.NaN()) })
	b, err := r.JSON()
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Timestamp         string
		Gauges            []struct{ Name string }
		Points            []any
		Counters, Samples []struct {
			Name      string
			Count     int
			Sum, Mean float64
			Labels    map[string]string
		}
	}
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	if got.Timestamp == "" || got.Points == nil || got.Gauges[0].Name != "sr.core.unsealed" {
		t.Errorf("%s", b)
	}
	if c := got.Counters[0]; c.Name != "sr.token.creation" || c.Count != 2 || c.Labels == nil {
		t.Errorf("%+v", c)
	}
	if s := got.Samples[1]; s.Name != "sr.core.handle_request" || s.Count != 1 || s.Sum != 2 || s.Mean != 2 {
		t.Errorf("%+v", s)
	}
}

func TestOptions(t *testing.T) {
	emit := func(emit Emit) { emit("core.active", 1); emit("expire.num_leases", 1) }
	for _, test := range []struct {
		options Options
		has     string
		hasNot  string
	}{
		{Options{Host: "h1"}, `vault_core_active{host="h1"} 1`, "vault_h1"},
		{Options{Host: "h-1", HostInName: true}, "vault_h_1_core_active 1", "vault_core_active"},
		{Options{Filter: []string{"-vault.core", "+vault.core.a"}}, "vault_core_active", "vault_core_handle_request"},
		{Options{HideOthers: true, Filter: []string{"+vault.expire"}}, "vault_expire_num_leases", "vault_core"},
	} {
		r := New(test.options)
		r.Watch(emit)
		r.Summary("core.handle_request").Observe(1)
		text, err := r.Prometheus()
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), test.has) || strings.Contains(string(text), test.hasNot) {
			t.Errorf("%+v: has %q: %v; has %q: %v", test.options, test.has, strings.Contains(string(text), test.has), test.hasNot, strings.Contains(string(text), test.hasNot))
		}
	}
}

// TestBounded: labels that come from outside cannot fill the memory, and what is over the bound is dropped.
func TestBounded(t *testing.T) {
	r := New(Options{})
	for i := range most + 10 {
		r.Counter("x", Label{"i", fmt.Sprint(i)}).Add(1)
		r.Gauge("y", 1, Label{"i", fmt.Sprint(i)})
	}
	if len(r.series) != most || len(r.kept) != most {
		t.Errorf("%d series and %d gauges", len(r.series), len(r.kept))
	}
}

// TestNil: without a registry nothing is counted, and nothing breaks.
func TestNil(t *testing.T) {
	var r *Registry
	r.Counter("x").Add(1)
	r.Summary("x").Since(time.Now())
	r.Gauge("x", 1)
	r.Watch(nil)
	if r.Counter("x").Value() != 0 || r.Retention() != 0 || r.UsagePeriod() == 0 {
		t.Error("a nil registry counts")
	}
}

func BenchmarkObserve(b *testing.B) {
	s := New(Options{}).Summary("x")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			s.Since(time.Now())
		}
	})
}
