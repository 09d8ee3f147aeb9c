package sys

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"strongroom/engine"
	"strongroom/internal/call"
	"strongroom/internal/consumer"
)

// kubernetesRoutes serve what operators report of the resources in Kubernetes that use the secrets here (ADR 28).
func (d *Deps) kubernetesRoutes() []engine.Route {
	limit := engine.Field{Name: "limit", Type: engine.Int, Default: int64(500), Help: "At most so many, up to 10000."}
	return []engine.Route{
		{
			Path: "kubernetes/report", Self: true, External: true, Write: d.report, Answers: engine.Answers{engine.Update: reported{}},
			Help: "Takes what an operator in Kubernetes tells of the resources that use what the calling token may use.",
			Fields: []engine.Field{
				{Name: "cluster", Required: true, Help: "What the Kubernetes cluster is called."},
				{Name: "instance", Required: true, Help: "A name of the reporting process that no other has."},
				{Name: "reset", Type: engine.Bool, Help: "Forget what the instance reported before."},
				{Name: "resources", Type: engine.Any, Help: "A list of {kind, namespace, name, paths, state, version, synced}, of at most 1000; one without paths is gone. None: all is as it was."},
			},
		},
		{
			Path: "kubernetes/consumers", Read: d.consumers, Answers: engine.Answers{engine.Read: consumers{}},
			Help: "The resources in Kubernetes that use secrets here, as their operators report them.",
			Fields: []engine.Field{
				{Name: "prefix", Help: "Of the paths that they use."},
				{Name: "search", Help: "A part of cluster, kind, namespace/name, state or path."},
				{Name: "cluster", Help: "Of that cluster alone."},
				{Name: "kind", Help: "Of that kind alone."},
				{Name: "state", Help: "In that state alone."},
				limit,
			},
		},
		{
			Path: "kubernetes/consumers/{path...}", Self: true, Read: d.consumersOf, Answers: engine.Answers{engine.Read: consumers{}},
			Help:   "Those of them that use one path, for whoever may read the metadata of the secret there.",
			Fields: []engine.Field{{Name: "path", Required: true, Help: "Of the API, such as secret/data/app."}, limit},
		},
	}
}

// reported is what an operator is told in return.
type reported struct {
	consumer.Outcome
	Renew   int `json:"renew_seconds"`
	Expires int `json:"expires_seconds"`
}

// consumers are resources in Kubernetes.
type consumers struct {
	Resources []consumer.Resource `json:"resources"`
	Total     int                 `json:"total" help:"How many there are; resources may be fewer."`
	States    map[string]int      `json:"states"`
	Since     string              `json:"since"`
}

func (d *Deps) report(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	c := call.From(ctx)
	cluster, instance := req.Data.String("cluster"), req.Data.String("instance")
	if cluster == "" || instance == "" || !consumer.Printable(cluster) || !consumer.Printable(instance) {
		return nil, engine.Invalidf("cluster and instance must be printable texts of 1 to 128 bytes")
	}
	var entries []consumer.Entry
	if raw := req.Data.Raw("resources"); raw != nil {
		if json.Unmarshal(raw, &entries) != nil {
			return nil, engine.Invalidf("resources must be a list of objects with kind, namespace, name, paths, state, version and synced")
		}
	}
	if len(entries) > consumer.MaxBatch {
		return nil, engine.Invalidf("a report has at most %d resources, not %d: tell of the rest in further ones, without reset", consumer.MaxBatch, len(entries))
	}
	out := d.Consumers.Report(consumer.Report{
		Namespace: c.Namespace, Reporter: cmp.Or(c.Token.EntityID, c.Token.Accessor, c.Token.DisplayName), Name: c.Token.DisplayName,
		Cluster: cluster, Instance: instance, Reset: req.Data.Bool("reset"), Entries: entries,
		Allowed: func(path string) bool { return may(c, path, "read", "create", "update") },
	})
	return &engine.Response{Data: reported{out, int(consumer.Period / time.Second), int(consumer.Life / time.Second)}}, nil
}

// may says whether the caller has one of some capabilities at path.
func may(c *call.Call, path string, capabilities ...string) bool {
	have := c.ACL.Capabilities(c.Prefix + path)
	return slices.ContainsFunc(have, func(h string) bool { return h == "root" || slices.Contains(capabilities, h) })
}

func (d *Deps) consumers(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	text := req.Data.String
	return d.found(req, consumer.Query{
		Namespace: call.From(ctx).Namespace, Prefix: text("prefix"), Search: text("search"), Cluster: text("cluster"), Kind: text("kind"), State: text("state"),
	})
}

func (d *Deps) consumersOf(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	c, path := call.From(ctx), req.Data.String("path")
	if !administers(c, path) {
		return nil, engine.ErrDenied
	}
	return d.found(req, consumer.Query{Namespace: c.Namespace, Path: path})
}

// administers says whether the caller may know who uses what is at path: not every reader, for two tenants who read the same
// secret are not to learn of each other. It is whoever may read the metadata of a secret in KV version 2, or write a secret
// in version 1, which has none; and of anything, whoever is granted read on the path of this very question.
func administers(c *call.Call, path string) bool {
	if c.ACL.Follows(c.Prefix + "sys/kubernetes/consumers/" + path) {
		return true
	}
	m, rest, found := c.Routing.Find(path)
	if !found || m.Entry.Type != "kv" {
		return false
	}
	if m.Entry.Options["version"] != "2" {
		return may(c, path, "create", "update")
	}
	name, data := strings.CutPrefix(rest, "data/")
	return data && c.ACL.Follows(c.Prefix+m.Entry.Path+"metadata/"+name)
}

func (d *Deps) found(req *engine.Request, q consumer.Query) (*engine.Response, error) {
	if q.Limit = int(req.Data.Int("limit")); q.Limit < 1 || q.Limit > 10_000 {
		return nil, engine.Invalidf("limit must be 1 to 10000")
	}
	a := d.Consumers.Find(q)
	resources := a.Resources
	if resources == nil {
		resources = []*consumer.Resource{}
	}
	return &engine.Response{Data: map[string]any{
		"resources": resources, "total": a.Total, "states": a.States, "since": d.Consumers.Since().UTC().Format(time.RFC3339),
	}}, nil
}
