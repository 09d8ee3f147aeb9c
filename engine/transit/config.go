package transit

import (
	"context"
	"fmt"

	"strongroom/engine"
	"strongroom/internal/storage"
)

const (
	settingsKey = "config"
	cacheKey    = "cache"
	// minCache is the smallest cache that Vault takes, in entries.
	minCache = 10
)

// settings are those of the mount.
type settings struct {
	DisableUpsert bool `json:"disable_upsert"`
}

// cacheSettings are kept for those who read them back; see writeCache.
type cacheSettings struct {
	Size int64 `json:"size"`
}

func configRoutes() []engine.Route {
	return []engine.Route{
		{
			Path: "config/keys", Help: "Settings for all keys of the mount.",
			Fields:  []engine.Field{{Name: "disable_upsert", Type: engine.Bool, Help: "An encryption does not make its key."}},
			Answers: engine.Answers{engine.Read: settings{}, engine.Update: settings{}},
			Read:    readSettings, Write: writeSettings,
		},
		{
			Path: "cache-config", Help: "Size of Vault's cache of keys; it has no effect here.",
			Fields:  []engine.Field{{Name: "size", Type: engine.Int, Help: "Number of keys; 0: unlimited, else at least 10."}},
			Answers: engine.Answers{engine.Read: cacheSettings{}, engine.Update: cacheSettings{}},
			Read:    readCache, Write: writeCache,
		},
	}
}

func loadSettings(ctx context.Context, v storage.View) (settings, error) {
	var s settings
	if _, err := storage.GetJSON(ctx, v, settingsKey, &s); err != nil {
		return s, fmt.Errorf("transit: read configuration: %w", err)
	}
	return s, nil
}

func readSettings(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	s, err := loadSettings(ctx, req.Storage)
	if err != nil {
		return nil, err
	}
	return &engine.Response{Data: s}, nil
}

func writeSettings(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	s, err := loadSettings(ctx, req.Storage)
	if err != nil {
		return nil, err
	}
	if req.Data.Has("disable_upsert") {
		s.DisableUpsert = req.Data.Bool("disable_upsert")
	}
	return &engine.Response{Data: s}, storage.PutJSON(req.Storage, settingsKey, s)
}

func readCache(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	var s cacheSettings
	if _, err := storage.GetJSON(ctx, req.Storage, cacheKey, &s); err != nil {
		return nil, fmt.Errorf("transit: read cache configuration: %w", err)
	}
	return &engine.Response{Data: s}, nil
}

// writeCache keeps the size and nothing more: this engine's cache is bounded, and
// cannot be stale.
func writeCache(_ context.Context, req *engine.Request) (*engine.Response, error) {
	s := cacheSettings{req.Data.Int("size")}
	if s.Size != 0 && s.Size < minCache {
		return nil, engine.Invalidf("size must be 0 or a value greater or equal to %d", minCache)
	}
	return &engine.Response{
		Data:     s,
		Warnings: []string{"this server bounds its cache of keys by itself: the size is kept, and changes nothing"},
	}, storage.PutJSON(req.Storage, cacheKey, s)
}
