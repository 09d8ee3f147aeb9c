package sys

import (
	"context"
	"net/http"

	"strongroom/engine"
	"strongroom/internal/metrics"
)

// metricsRoutes serve sys/metrics
// (https://developer.hashicorp.com/vault/api-docs/system/metrics): what the node
// that is asked tells of itself, the active one or not.
func (d *Deps) metricsRoutes() []engine.Route {
	return []engine.Route{{
		Path: "metrics", Help: "What this node counts and times of itself.", AnyNode: true, Answers: engine.Answers{engine.Read: engine.Bare{Data: metrics.Report{}}},
		Fields: []engine.Field{{Name: "format", Type: engine.String, Help: `"prometheus", or "" for JSON.`}},
		Read: func(_ context.Context, req *engine.Request) (*engine.Response, error) {
			return Metrics(d.Metrics, req.Data.String("format"))
		},
	}}
}

// Metrics is what r tells in format. Listeners may be configured to give it to
// whoever asks, in every state of the node.
func Metrics(r *metrics.Registry, format string) (*engine.Response, error) {
	if r == nil {
		return nil, engine.Invalidf("this server does not measure itself")
	}
	read, kind := r.JSON, "application/json"
	switch format {
	case "":
	case "prometheus":
		if r.Retention() == 0 {
			return nil, engine.Invalidf("prometheus is not enabled: set prometheus_retention_time in the telemetry block of the configuration to more than 0")
		}
		read, kind = r.Prometheus, metrics.PrometheusType
	default:
		return nil, engine.Invalidf("metrics endpoint called with unknown format %q: there are \"prometheus\" and JSON, the default", format)
	}
	body, err := read()
	if err != nil {
		return nil, err
	}
	return &engine.Response{Raw: &engine.Raw{Status: http.StatusOK, ContentType: kind, Body: body}}, nil
}
