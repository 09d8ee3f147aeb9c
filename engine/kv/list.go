package kv

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"
	"unicode/utf8"

	"strongroom/engine"
)

// list answers the names in the folder "path", after the name "after" and at
// most "limit" of them.
func list(ctx context.Context, req *engine.Request, limit int64) (*engine.Response, error) {
	return names(req.Storage.Children(ctx, secretPrefix+folder(req), text(req.Data, "after")), limit, "list")
}

// scan answers, in order, the paths of all secrets below the folder "path",
// relative to it, after the path "after" and at most "limit" of them
// (https://openbao.org/docs/rfcs/scan-operation).
func scan(ctx context.Context, req *engine.Request, limit int64) (*engine.Response, error) {
	prefix := secretPrefix + folder(req)
	after := text(req.Data, "after")
	if after != "" {
		after = prefix + after
	}
	return names(func(yield func(string, error) bool) {
		for k, err := range req.Storage.Keys(ctx, prefix, after) {
			if !yield(strings.TrimPrefix(k, prefix), err) {
				return
			}
		}
	}, limit, "scan")
}

// folder is "path" with a slash at its end; "" for the mount itself.
func folder(req *engine.Request) string {
	path := req.Data.String("path")
	if path != "" && !strings.HasSuffix(path, "/") {
		path += "/"
	}
	return path
}

// names answers what all yields, up to limit (none if under 1). It is written as
// it comes: a folder of many secrets is never a list of texts in memory.
func names(all iter.Seq2[string, error], limit int64, what string) (*engine.Response, error) {
	const head = `{"keys":[`
	b := append(make([]byte, 0, 4<<10), head...)
	n := int64(0)
	for name, err := range all {
		if err != nil {
			return nil, fmt.Errorf("kv: %s: %w", what, err)
		}
		if len(name)+4 > cap(b)-len(b) { // append would grow a long list by a quarter, over and over
			b = slices.Grow(b, len(b)+len(name))
		}
		if n++; n > 1 {
			b = append(b, ',')
		}
		b = appendText(b, name)
		if n == limit {
			break
		}
	}
	if n == 0 {
		return nil, engine.ErrNotFound
	}
	return &engine.Response{Data: json.RawMessage(append(b, "]}"...))}, nil
}

// appendText appends s as a JSON string.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= utf8.RuneSelf || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			quoted, _ := json.Marshal(s) // a text always encodes
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}
