package sys

import (
	"context"
	"path"
	"strings"
	"time"

	"strongroom/engine"
	"strongroom/internal/call"
	"strongroom/internal/snapshot"
)

// snapshotRoutes serve sys/storage/raft/snapshot-auto
// (https://developer.hashicorp.com/vault/api-docs/system/storage/raftautosnapshots)
// and give sys/storage/raft/snapshot and snapshot-force their place among the
// routes, for authorization and help: their bodies are streams, which httpapi
// serves.
func (d *Deps) snapshotRoutes() []engine.Route {
	restored := engine.Maybe{Data: engine.Bare{Data: Restored{}}}
	const streamed = "storage/raft/snapshot"
	fields := []engine.Field{
		{Name: "name", Type: engine.Name, Help: "Name of the schedule."},
		{Name: "interval", Type: engine.Duration, Help: "Time between two snapshots."},
		{Name: "retain", Type: engine.Int, Help: "How many snapshots are kept; 1 if not given."},
		{Name: "path_prefix", Help: "Folder to write to, an absolute path on the nodes."},
		{Name: "file_prefix", Help: "What the names of the files begin with; vault-snapshot if not given."},
		{Name: "storage_type", Help: "local: others are not in this release."},
		{Name: "local_max_space", Type: engine.Int, Help: "Bytes that all snapshots of the schedule may use on a node; 0 is no limit."},
	}
	return []engine.Route{
		{Path: streamed, Help: "Take a snapshot, or restore one of this cluster.", Answers: engine.Answers{engine.Read: engine.Stream("application/gzip"), engine.Update: restored},
			External: true, Read: notStreamed, Write: notStreamed},
		{Path: streamed + "-force", Help: "Restore a snapshot, of any cluster.", Answers: engine.Answers{engine.Update: restored}, External: true, Write: notStreamed},
		{Path: streamed + "-auto/config", Help: "List the schedules of snapshots.", Sudo: true, Answers: engine.Answers{engine.List: engine.Keys{}}, List: d.listPlans},
		{Path: streamed + "-auto/config/{name}", Help: "Read, write or delete a schedule of snapshots.", Sudo: true, Fields: fields,
			Answers: engine.Answers{engine.Read: snapshotPlan{}, engine.Update: engine.Nothing{}, engine.Delete: engine.Nothing{}},
			Read:    d.readPlan, Write: d.writePlan, Delete: d.deletePlan},
		{Path: streamed + "-auto/status/{name}", Help: "How a schedule of snapshots fares.", Fields: fields[:1], Answers: engine.Answers{engine.Read: snapshotPlanStatus{}}, Read: d.planStatus},
	}
}

// notStreamed answers a snapshot's path where it does not come as a stream.
func notStreamed(context.Context, *engine.Request) (*engine.Response, error) {
	return nil, engine.ErrUnsupported
}

func (d *Deps) listPlans(ctx context.Context, _ *engine.Request) (*engine.Response, error) {
	names, err := snapshot.Plans(ctx, call.From(ctx).Tx)
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, engine.ErrNotFound
	}
	return &engine.Response{Data: map[string]any{"keys": names}}, nil
}

func (d *Deps) readPlan(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	p, _, ok, err := snapshot.LoadPlan(ctx, call.From(ctx).Tx, req.Data.String("name"))
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, engine.ErrNotFound
	}
	return &engine.Response{Data: map[string]any{
		"interval": int64(p.Interval / time.Second), "retain": p.Retain, "path_prefix": p.PathPrefix, "file_prefix": p.FilePrefix,
		"storage_type": "local", "local_max_space": p.LocalMaxSpace,
	}}, nil
}

// writePlan makes or changes a schedule; what is not given stays.
func (d *Deps) writePlan(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	tx, name := call.From(ctx).Tx, req.Data.String("name")
	p, _, exists, err := snapshot.LoadPlan(ctx, tx, name)
	if err != nil {
		return nil, err
	}
	if !exists {
		p.Retain, p.FilePrefix = 1, "vault-snapshot"
	}
	switch kind := req.Data.String("storage_type"); {
	case kind == "" && !exists:
		return nil, engine.Invalidf("storage_type is required: local")
	case kind != "" && kind != "local":
		return nil, engine.Invalidf("storage_type %q is not in this release: use local, and have another program carry the files away", kind)
	}
	if req.Data.Has("interval") {
		p.Interval = req.Data.Duration("interval")
	}
	if req.Data.Has("retain") {
		p.Retain = int(req.Data.Int("retain"))
	}
	if req.Data.Has("path_prefix") {
		p.PathPrefix = req.Data.String("path_prefix")
	}
	if req.Data.Has("file_prefix") {
		p.FilePrefix = req.Data.String("file_prefix")
	}
	if req.Data.Has("local_max_space") {
		p.LocalMaxSpace = req.Data.Int("local_max_space")
	}
	if err := validPlan(p); err != nil {
		return nil, err
	}
	p.PathPrefix = path.Clean(p.PathPrefix)
	twin, err := p.Twin(ctx, tx, name)
	if err != nil {
		return nil, err
	}
	if twin != "" {
		return nil, engine.Invalidf("the schedule %q writes files of the same names to the same folder, and each would delete the other's: give this one its own path_prefix or file_prefix", twin)
	}
	return nil, p.Save(tx, name)
}

func validPlan(p snapshot.Plan) error {
	switch {
	case p.Interval < time.Second:
		return engine.Invalidf("interval is required, and is a second at least")
	case p.Retain < 1:
		return engine.Invalidf("retain must be at least 1")
	case !path.IsAbs(p.PathPrefix) || strings.ContainsRune(p.PathPrefix, 0):
		return engine.Invalidf("path_prefix must be the absolute path of a folder")
	case p.FilePrefix == "" || len(p.FilePrefix) > 128 || strings.ContainsFunc(p.FilePrefix, func(r rune) bool { return r == '/' || r < ' ' || r == 0x7f }):
		return engine.Invalidf("file_prefix must be the beginning of a file's name, of 1 to 128 bytes")
	case p.LocalMaxSpace < 0:
		return engine.Invalidf("local_max_space cannot be negative")
	}
	return nil
}

func (d *Deps) deletePlan(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	snapshot.DeletePlan(call.From(ctx).Tx, req.Data.String("name"))
	return nil, nil
}

func (d *Deps) planStatus(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	p, s, ok, err := snapshot.LoadPlan(ctx, call.From(ctx).Tx, req.Data.String("name"))
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, engine.ErrNotFound
	}
	return &engine.Response{Data: map[string]any{
		"consecutive_errors": s.ConsecutiveErrors, "last_snapshot_start": s.LastStart, "last_snapshot_end": s.LastEnd, "last_snapshot_url": s.LastURL,
		"last_snapshot_error": s.LastError, "next_snapshot_start": p.Next(s, time.Now().UTC()), "snapshot_start": s.Start, "snapshot_url": s.URL,
	}}, nil
}
