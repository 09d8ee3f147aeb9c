// Package cubbyhole owns the secrets engine at cubbyhole/: a store of keys and
// values that each token has for itself alone. The server gives it the slice of
// the token that asks, and deletes that slice when the token ends; so nothing
// here knows of tokens, and no other token's data is within reach.
// https://developer.hashicorp.com/vault/api-docs/secret/cubbyhole
package cubbyhole

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"unicode"
	"unicode/utf8"

	"strongroom/engine"
)

// maxData is the most bytes of JSON one value may have.
const maxData = 1 << 20

// Cubbyhole is the engine.
type Cubbyhole struct{}

// Factory makes the engine; it has no options.
func Factory(engine.Env) (engine.Engine, error) { return Cubbyhole{}, nil }

// Routes implements engine.Engine. The body is the caller's own, so no name in
// it may be refused: the parameter is of the type Any.
func (Cubbyhole) Routes() []engine.Route {
	return []engine.Route{{
		Path: "{path...}",
		Help: "Data that the calling token alone can see, and that is gone when it ends.",
		Fields: []engine.Field{
			{Name: "path", Type: engine.Any, Help: "Path of the value, or of the folder to list."},
		},
		Answers:  engine.Answers{engine.Read: map[string]any{}, engine.List: engine.Keys{}, engine.Update: engine.Nothing{}, engine.Delete: engine.Nothing{}},
		FreeForm: true,
		Exists:   exists,
		Read:     read, Write: write, Delete: remove, List: list,
	}}
}

func exists(ctx context.Context, req *engine.Request) (bool, error) {
	v, err := req.Storage.Version(ctx, req.Data.String("path"))
	return v != 0, err
}

func read(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	e, err := req.Storage.Get(ctx, req.Data.String("path"))
	if err != nil {
		return nil, err
	}
	if !e.Exists() {
		return nil, engine.ErrNotFound
	}
	return &engine.Response{Data: json.RawMessage(e.Value)}, nil
}

func write(_ context.Context, req *engine.Request) (*engine.Response, error) {
	path := req.Data.String("path")
	if err := checkPath(path); err != nil {
		return nil, err
	}
	if len(req.Body) > maxData {
		return nil, engine.Errorf(engine.TooLarge, "the value is %d bytes of JSON, at most %d are allowed", len(req.Body), maxData)
	}
	if !utf8.Valid(req.Body) {
		return nil, engine.Invalidf("the data must be valid UTF-8; encode binary values, for example with base64")
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
	req.Storage.Put(path, data.Bytes())
	return nil, nil
}

// checkPath keeps keys to one spelling a path.
func checkPath(path string) error {
	if strings.HasSuffix(path, "/") {
		return engine.Invalidf("cannot write to a path ending in '/'")
	}
	if strings.ContainsFunc(path, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) {
		return engine.Invalidf("the path must consist of printable characters")
	}
	for seg := range strings.SplitSeq(path, "/") {
		if seg == "" || seg == "." || seg == ".." {
			return engine.Invalidf("the path must not have the segment %q", seg)
		}
	}
	return nil
}

func remove(_ context.Context, req *engine.Request) (*engine.Response, error) {
	req.Storage.Delete(req.Data.String("path"))
	return nil, nil
}

func list(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	folder := req.Data.String("path")
	if folder != "" && !strings.HasSuffix(folder, "/") {
		folder += "/"
	}
	keys, err := req.Storage.List(ctx, folder, "", 0)
	if err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, engine.ErrNotFound
	}
	return &engine.Response{Data: map[string]any{"keys": keys}}, nil
}
