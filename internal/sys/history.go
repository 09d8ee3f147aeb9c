package sys

import (
	"context"
	"slices"
	"strings"
	"time"

	"strongroom/engine"
	"strongroom/internal/call"
	"strongroom/internal/storage"
)

// historyRoutes serve sys/version-history
// (https://developer.hashicorp.com/vault/api-docs/system/version-history).
func (d *Deps) historyRoutes() []engine.Route {
	return []engine.Route{{Path: "version-history", Help: "The versions that have served this cluster, the oldest first.", Sudo: true, AnyNode: true,
		Answers: engine.Answers{engine.List: engine.Named[installedVersion]{}}, List: versionHistory}}
}

const historyPrefix = "core/versions/"

type installed struct {
	BuildDate string    `json:"build_date"`
	Installed time.Time `json:"timestamp_installed"`
}

// NoteVersion records that this version serves the cluster from now on, unless
// it is known.
func NoteVersion(ctx context.Context, store storage.Store, version, buildDate string) error {
	if version == "" {
		return nil
	}
	tx := storage.Begin(store)
	key := historyPrefix + version
	e, err := tx.Get(ctx, key)
	if err != nil || e.Exists() {
		return err
	}
	if err := storage.PutJSON(tx, key, installed{buildDate, time.Now().UTC()}); err != nil {
		return err
	}
	return tx.Commit(ctx)
}

func versionHistory(ctx context.Context, _ *engine.Request) (*engine.Response, error) {
	tx := call.From(ctx).Tx
	type entry struct {
		version string
		installed
	}
	var all []entry
	for key, err := range tx.Keys(ctx, historyPrefix, "") {
		if err != nil {
			return nil, err
		}
		e := entry{version: strings.TrimPrefix(key, historyPrefix)}
		if _, err := storage.GetJSON(ctx, tx, key, &e.installed); err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b entry) int { return a.Installed.Compare(b.Installed) })
	keys, info := []string{}, map[string]any{}
	var previous any // null for the first
	for _, e := range all {
		keys = append(keys, e.version)
		var built any // null where the program did not say
		if e.BuildDate != "" {
			built = e.BuildDate
		}
		info[e.version] = map[string]any{"build_date": built, "previous_version": previous, "timestamp_installed": e.Installed.Format(time.RFC3339)}
		previous = e.version
	}
	return &engine.Response{Data: map[string]any{"keys": keys, "key_info": info}}, nil
}
