package server

import (
	"os"
	"strings"
	"time"

	gometrics "github.com/hashicorp/go-metrics"

	"strongroom/internal/metrics"
)

// telemetry decodes the telemetry block
// (https://developer.hashicorp.com/vault/docs/configuration/telemetry). What is
// measured is for Prometheus to fetch; nothing is sent anywhere.
func (d *decoder) telemetry(o *metrics.Options) setters {
	disableHostname, hostLabel := true, false
	host := func() {
		o.Host, o.HostInName = "", !disableHostname
		if !disableHostname || hostLabel {
			o.Host, _ = os.Hostname()
		}
		o.HostInName = o.Host != "" && !hostLabel
	}
	known := setters{
		"metrics_prefix":            text(&o.Prefix),
		"prometheus_retention_time": duration(&o.Retention),
		"usage_gauge_period":        duration(&o.UsagePeriod),
		"disable_hostname":          func(f field) error { defer host(); return boolean(&disableHostname)(f) },
		"enable_hostname_label":     func(f field) error { defer host(); return boolean(&hostLabel)(f) },
		"filter_default": func(f field) error {
			show := true
			err := boolean(&show)(f)
			o.HideOthers = !show
			return err
		},
		"prefix_filter": func(f field) error {
			err := texts(&o.Filter)(f)
			for _, rule := range o.Filter {
				if !strings.HasPrefix(rule, "+") && !strings.HasPrefix(rule, "-") {
					return f.errorf("%q must begin with + or -: \"+vault.token\" to have what begins with vault.token, \"-vault.expire\" not to", rule)
				}
			}
			return err
		},
	}
	d.ignore(known, notYet, "statsite_address", "statsd_address", "dogstatsd_addr", "dogstatsd_tags", "lease_metrics_epsilon", "num_lease_metrics_buckets",
		"add_lease_metrics_namespace_labels", "add_mount_point_rollback_metrics", "stackdriver_project_id", "stackdriver_location", "stackdriver_namespace", "stackdriver_debug_logs")
	for _, name := range []string{"api_token", "api_app", "api_url", "submission_interval", "submission_url", "check_id", "check_force_metric_activation",
		"check_instance_id", "check_search_tag", "check_tags", "check_display_name", "broker_id", "broker_select_tag"} {
		known["circonus_"+name] = d.ignored(notYet)
	}
	return d.ignore(known, nothing, "maximum_gauge_cardinality")
}

// defaultRetention is Vault's of prometheus_retention_time.
const defaultRetention = 24 * time.Hour

// measure makes the server's registry, and has the Raft library write its own
// metrics there: its documentation calls them raft.apply, raft.commitTime and so on.
func measure(o metrics.Options) *metrics.Registry {
	r := metrics.New(o)
	c := gometrics.DefaultConfig("")
	c.EnableHostname, c.EnableRuntimeMetrics = false, false
	gometrics.NewGlobal(c, library{r}) // it fails on filters only, and there are none
	return r
}

// library is a gometrics.MetricSink.
type library struct{ r *metrics.Registry }

func dotted(key []string) string { return strings.Join(key, ".") }

func toLabels(labels []gometrics.Label) []metrics.Label {
	var out []metrics.Label
	for _, l := range labels {
		out = append(out, metrics.Label{Name: l.Name, Value: l.Value})
	}
	return out
}

// SetGauge implements gometrics.MetricSink.
func (l library) SetGauge(key []string, v float32) { l.SetGaugeWithLabels(key, v, nil) }

// SetGaugeWithLabels implements gometrics.MetricSink.
func (l library) SetGaugeWithLabels(key []string, v float32, labels []gometrics.Label) {
	l.r.Gauge(dotted(key), float64(v), toLabels(labels)...)
}

// EmitKey implements gometrics.MetricSink.
func (library) EmitKey([]string, float32) {}

// IncrCounter implements gometrics.MetricSink.
func (l library) IncrCounter(key []string, v float32) { l.IncrCounterWithLabels(key, v, nil) }

// IncrCounterWithLabels implements gometrics.MetricSink.
func (l library) IncrCounterWithLabels(key []string, v float32, labels []gometrics.Label) {
	l.r.Counter(dotted(key), toLabels(labels)...).Add(int64(v))
}

// AddSample implements gometrics.MetricSink.
func (l library) AddSample(key []string, v float32) { l.AddSampleWithLabels(key, v, nil) }

// AddSampleWithLabels implements gometrics.MetricSink: times are in milliseconds.
func (l library) AddSampleWithLabels(key []string, v float32, labels []gometrics.Label) {
	l.r.Summary(dotted(key), toLabels(labels)...).Observe(time.Duration(float64(v) * float64(time.Millisecond)))
}
