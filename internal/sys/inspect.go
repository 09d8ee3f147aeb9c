package sys

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/hashicorp/go-hclog"

	"strongroom/engine"
	"strongroom/internal/inspect"
)

// Inspect is what may be looked at of the server that a Session is in.
type Inspect struct {
	Flights *inspect.Flights
	Logs    *inspect.Logs
	Config  map[string]any // of this node, without secrets; see sys/config/state
}

// inspectRoutes serve sys/in-flight-req, sys/loggers, sys/pprof and say what
// sys/monitor, which is a stream and served elsewhere, is for
// (https://developer.hashicorp.com/vault/api-docs/system/in-flight-req, …/loggers,
// …/pprof, …/monitor). Each tells of the node that is asked.
func (d *Deps) inspectRoutes() []engine.Route {
	level := engine.Field{Name: "level", Type: engine.String, Help: "trace, debug, info, warn or error."}
	name := engine.Field{Name: "name", Type: engine.String, Help: "Name of the logger."}
	loggers := engine.Answers{engine.Read: engine.TopLevel{Data: map[string]string{}}, engine.Update: engine.Nothing{}, engine.Delete: engine.Nothing{}}
	return []engine.Route{
		{Path: "in-flight-req", Help: "The requests that are under way on this node.", AnyNode: true, Answers: engine.Answers{engine.Read: engine.TopLevel{Data: map[string]inspect.Flight{}}}, Read: d.readFlights},
		{Path: "loggers", Help: "How much the loggers of the active node write.", Fields: []engine.Field{level},
			External: true, Answers: loggers, Read: d.readLoggers, Write: d.writeLoggers, Delete: d.resetLoggers},
		{Path: "loggers/{name}", Help: "How much one logger of the active node writes.", Fields: []engine.Field{name, level},
			External: true, Answers: loggers, Read: d.readLoggers, Write: d.writeLoggers, Delete: d.resetLoggers},
		{Path: "monitor", Help: "The log of this node, as it is written.", AnyNode: true, Answers: engine.Answers{engine.Read: engine.Stream("text/plain")},
			Fields: []engine.Field{{Name: "log_level", Type: engine.String, Default: "info", Help: "trace, debug, info, warn or error."},
				{Name: "log_format", Type: engine.String, Default: "standard", Help: "standard or json."}},
			Read: func(context.Context, *engine.Request) (*engine.Response, error) {
				return nil, engine.Invalidf("sys/monitor is a stream: it cannot be wrapped")
			}},
		{Path: "pprof", Help: "The profiles there are.", Sudo: true, AnyNode: true, Answers: engine.Answers{engine.Read: engine.Keys{}, engine.List: engine.Keys{}}, Read: readProfiles, List: readProfiles},
		{Path: "pprof/{name}", Help: "A profile of this node's process, for \"go tool pprof\".", Sudo: true, AnyNode: true, Answers: engine.Answers{engine.Read: engine.Stream("*/*")},
			Fields: []engine.Field{{Name: "name", Type: engine.String, Help: "profile (of the CPU), trace, heap, allocs, goroutine, block, mutex, threadcreate or cmdline."},
				{Name: "debug", Type: engine.Int, Help: "More than 0: as text."},
				{Name: "seconds", Type: engine.Duration, Help: "How long profile and trace watch: 30 and 1 by default, at most 60."}},
			Read: func(ctx context.Context, req *engine.Request) (*engine.Response, error) {
				return Profile(ctx, req.Data.String("name"), int(req.Data.Int("debug")), req.Data.Duration("seconds"))
			}},
	}
}

func (d *Deps) readFlights(context.Context, *engine.Request) (*engine.Response, error) {
	data := map[string]any{}
	for id, f := range d.Inspect.Flights.All() {
		data[id] = f
	}
	return &engine.Response{Data: data, TopLevel: true}, nil
}

func (d *Deps) readLoggers(_ context.Context, req *engine.Request) (*engine.Response, error) {
	data := map[string]any{}
	for name, level := range d.Inspect.Logs.Levels() {
		if want := req.Data.String("name"); want == "" || want == name {
			data[name] = level
		}
	}
	if len(data) == 0 {
		return nil, engine.Errorf(engine.NotFound, "logger %q not found: sys/loggers lists them", req.Data.String("name"))
	}
	return &engine.Response{Data: data, TopLevel: true}, nil
}

func (d *Deps) writeLoggers(_ context.Context, req *engine.Request) (*engine.Response, error) {
	level, ok := inspect.ParseLevel(req.Data.String("level"))
	if !ok {
		return nil, engine.Invalidf("invalid level provided: %s: it must be trace, debug, info, warn or error", req.Data.String("level"))
	}
	return nil, d.setLevel(req, level)
}

func (d *Deps) resetLoggers(_ context.Context, req *engine.Request) (*engine.Response, error) {
	return nil, d.setLevel(req, hclog.NoLevel)
}

func (d *Deps) setLevel(req *engine.Request, level hclog.Level) error {
	name := req.Data.String("name")
	if !d.Inspect.Logs.SetLevel(name, level) {
		return engine.Errorf(engine.NotFound, "logger %q not found: sys/loggers lists them", name)
	}
	return nil
}

func readProfiles(context.Context, *engine.Request) (*engine.Response, error) {
	return &engine.Response{Data: map[string]any{"keys": append([]string{"profile", "trace"}, inspect.Profiles()...)}}, nil
}

// longestProfile is less than a request may take by default.
const longestProfile = time.Minute

// Profile is the profile called name. Listeners may be configured to give it to
// whoever asks.
func Profile(ctx context.Context, name string, debug int, length time.Duration) (*engine.Response, error) {
	if length == 0 {
		length = map[string]time.Duration{"profile": 30 * time.Second, "trace": time.Second}[name]
	}
	if length > longestProfile {
		return nil, engine.Invalidf("seconds must be at most %d", int(longestProfile.Seconds()))
	}
	body, kind, err := inspect.Profile(ctx, name, debug, length)
	if errors.Is(err, inspect.ErrProfile) {
		return nil, engine.Errorf(engine.NotFound, "%v", err)
	}
	if err != nil {
		return nil, err
	}
	return &engine.Response{Raw: &engine.Raw{Status: http.StatusOK, ContentType: kind, Body: body}}, nil
}
