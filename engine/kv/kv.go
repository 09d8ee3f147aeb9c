// Package kv is the key-value secrets engine, in its two versions: version 1
// keeps one value a path; version 2 keeps a history of versions with metadata.
// It owns what a secret is in storage (docs/format/kv.md) and never interprets
// the data of one.
//
// What a read costs decided the format. A version 2 secret is ONE record:
// its metadata, its versions' times and, last, the current version's data.
// Reading a secret is therefore one Get, and the answer is assembled by
// appending the stored JSON between two pieces of metadata: the data is never
// decoded. Earlier versions lie apart, a key each, and are two Gets. The price
// is paid by writes, which move the data they replace out to its own key
// besides writing the new; they are rarer than reads and stay one batch. The
// alternative, a record of metadata and one a version, makes every read two
// Gets and two decryptions and saves a write nothing but that copy.
//
// A version 1 value is the JSON as it came, under the same key, so a mount that
// is tuned to version 2 needs no migration: a record that begins with "{" is
// read as a secret with one version and becomes a version 2 record when it is
// next written.
package kv

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"strongroom/engine"
	"strongroom/internal/storage"
)

const (
	secretPrefix  = "s/" // s/<path>: the secret's record, or its version 1 value
	versionPrefix = "v/" // v/<path>/<n>: the data of version n, once it is not current
	configKey     = "config"

	// maxData bounds the JSON of one version in bytes, so that a write and the
	// version it moves out fit a storage.Batch; Vault's integrated storage has
	// the same limit (max_entry_size).
	maxData = 1 << 20
)

// Factory makes the engine of a KV mount: version 1 unless the mount's option
// "version" is "2".
func Factory(env engine.Env) (engine.Engine, error) {
	switch v := env.Mount.Options["version"]; v {
	case "", "1":
		return plain{}, nil
	case "2":
		return versioned{}, nil
	default:
		return nil, engine.Invalidf("kv: there is no version %q; the option \"version\" must be 1 or 2", v)
	}
}

// checkPath says whether a secret may be written at path. Reads need not ask:
// nothing is stored at a path that it refuses.
func checkPath(path string) error {
	if strings.HasSuffix(path, "/") {
		return engine.Invalidf("cannot write to a path ending in '/'")
	}
	if !utf8.ValidString(path) {
		return engine.Invalidf("the path must be valid UTF-8")
	}
	if strings.ContainsFunc(path, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return engine.Invalidf("the path must consist of printable characters")
	}
	for seg := range strings.SplitSeq(path, "/") {
		switch seg {
		case "":
			return engine.Invalidf("the path must not have empty segments")
		case ".", "..":
			return engine.Invalidf("the path must not have the segment %q", seg)
		}
	}
	return nil
}

// checkData bounds data, the JSON of one secret.
func checkData(data []byte) error {
	if len(data) > maxData {
		return engine.Errorf(engine.TooLarge, "the secret is %d bytes of JSON, at most %d are allowed", len(data), maxData)
	}
	if !utf8.Valid(data) {
		return engine.Invalidf("the data must be valid UTF-8; encode binary values, for example with base64")
	}
	return nil
}

// exists serves Route.Exists for all paths that name a secret.
func exists(ctx context.Context, req *engine.Request) (bool, error) {
	v, err := req.Storage.Version(ctx, secretPrefix+req.Data.String("path"))
	return v != 0, err
}

// text is a parameter that may be of the type Any, as those of version 1 are.
func text(d engine.Data, name string) string {
	s := d.String(name)
	if raw := d.Raw(name); raw != nil && json.Unmarshal(raw, &s) != nil {
		return string(raw)
	}
	return s
}

// get is View.Get with the operation put before an error.
func get(ctx context.Context, v storage.View, key string) (storage.Entry, error) {
	e, err := v.Get(ctx, key)
	if err != nil {
		return e, fmt.Errorf("kv: read: %w", err)
	}
	return e, nil
}
