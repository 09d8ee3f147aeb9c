package kv

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"strongroom/engine"
)

// plain is version 1: one value a path, without history.
// https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v1
type plain struct{}

// Routes serves every path. The body is the caller's own, so no name in it may
// be refused: the parameters are of the type Any.
func (plain) Routes() []engine.Route {
	return []engine.Route{{
		Path: "{path...}",
		Help: "A secret: its data, as it was written.",
		Fields: []engine.Field{
			{Name: "path", Type: engine.Any, Help: "Path of the secret, or of the folder to list."},
			{Name: "after", Type: engine.Any, Help: "LIST and SCAN: begin after this name."},
			{Name: "limit", Type: engine.Any, Help: "LIST and SCAN: answer at most so many names."},
		},
		Answers:  engine.Answers{engine.Read: map[string]any{}, engine.List: engine.Keys{}, engine.Scan: engine.Keys{}, engine.Update: engine.Nothing{}, engine.Delete: engine.Nothing{}},
		FreeForm: true,
		Exists:   exists,
		Read:     readPlain, Write: writePlain, Delete: deletePlain, List: listPlain, Scan: scanPlain,
	}}
}

func readPlain(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	e, err := get(ctx, req.Storage, secretPrefix+req.Data.String("path"))
	if err != nil {
		return nil, err
	}
	if !e.Exists() {
		return nil, engine.ErrNotFound
	}
	if len(e.Value) == 0 || e.Value[0] != '{' {
		return nil, errors.New("kv: the secret was written by version 2 of the engine; tune the mount to version=2 again")
	}
	return &engine.Response{
		Data:  json.RawMessage(e.Value),
		Lease: &engine.Lease{TTL: refresh(e.Value, req.Mount.DefaultTTL)},
	}, nil
}

// refresh is how long a reader may rely on data: what its own "ttl" or "lease"
// says, else the mount's default. It is advice and revokes nothing.
func refresh(data []byte, def time.Duration) time.Duration {
	if !bytes.Contains(data, []byte(`"ttl"`)) && !bytes.Contains(data, []byte(`"lease"`)) {
		return def
	}
	var advice struct{ TTL, Lease json.RawMessage }
	if json.Unmarshal(data, &advice) != nil {
		return def
	}
	for _, raw := range []json.RawMessage{advice.TTL, advice.Lease} {
		if len(raw) == 0 || string(raw) == "null" {
			continue
		}
		var s string
		if json.Unmarshal(raw, &s) != nil {
			s = string(raw)
		}
		if d, err := engine.ParseDuration(s); err == nil {
			return d
		}
		return def
	}
	return def
}

func writePlain(_ context.Context, req *engine.Request) (*engine.Response, error) {
	path := req.Data.String("path")
	if err := checkPath(path); err != nil {
		return nil, err
	}
	if err := checkData(req.Body); err != nil {
		return nil, err
	}
	var data bytes.Buffer
	if len(bytes.TrimSpace(req.Body)) > 0 {
		if err := json.Compact(&data, req.Body); err != nil {
			return nil, engine.Invalidf("failed to parse JSON input")
		}
	}
	if s := data.String(); s == "" || s == "{}" || s[0] != '{' {
		return nil, engine.Invalidf("missing data fields")
	}
	req.Storage.Put(secretPrefix+path, data.Bytes())
	req.Emit(engine.Event{Type: "kv-v1/write", Path: req.Path, DataPath: req.Path, Subject: req.Path, Modified: true})
	return nil, nil
}

func deletePlain(_ context.Context, req *engine.Request) (*engine.Response, error) {
	req.Storage.Delete(secretPrefix + req.Data.String("path"))
	req.Emit(engine.Event{Type: "kv-v1/delete", Path: req.Path, Subject: req.Path, Modified: true})
	return nil, nil
}

func listPlain(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	limit, err := plainLimit(req)
	if err != nil {
		return nil, err
	}
	return list(ctx, req, limit)
}

func scanPlain(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	limit, err := plainLimit(req)
	if err != nil {
		return nil, err
	}
	return scan(ctx, req, limit)
}

// plainLimit is the parameter "limit", which is of the type Any here.
func plainLimit(req *engine.Request) (int64, error) {
	s := text(req.Data, "limit")
	if s == "" {
		return 0, nil
	}
	limit, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, engine.Invalidf("limit must be a whole number")
	}
	return limit, nil
}
