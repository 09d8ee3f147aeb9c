package kv

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"

	"strongroom/engine"
)

// The limits of custom metadata, as Vault documents them.
const (
	maxCustomKeys  = 64
	maxCustomKey   = 128 // bytes
	maxCustomValue = 512 // bytes
)

func readMetadata(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	s, err := open(ctx, req)
	if err != nil {
		return nil, err
	}
	if !s.found {
		return nil, engine.ErrNotFound
	}
	b := make([]byte, 0, 320+len(s.custom)+s.history.len()*128)
	return &engine.Response{Data: json.RawMessage(s.appendMetadata(b))}, nil
}

func listMetadata(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	return list(ctx, req, req.Data.Int("limit"))
}

func scanMetadata(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	return scan(ctx, req, req.Data.Int("limit"))
}

func writeMetadata(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	if err := checkPath(req.Data.String("path")); err != nil {
		return nil, err
	}
	s, err := open(ctx, req)
	if err != nil {
		return nil, err
	}
	if req.Data.Has("custom_metadata") {
		if err := s.setCustom(req.Data.Map("custom_metadata")); err != nil {
			return nil, err
		}
	}
	return s.configure(ctx, req, "metadata-write")
}

// patchMetadata is a JSON merge patch (RFC 7396): null puts a setting back to
// its default and removes a key of custom_metadata.
func patchMetadata(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	s, err := open(ctx, req)
	if err != nil {
		return nil, err
	}
	if !s.found {
		return nil, engine.ErrNotFound
	}
	var patch map[string]json.RawMessage
	if len(req.Body) > 0 {
		if err := json.Unmarshal(req.Body, &patch); err != nil {
			return nil, engine.Invalidf("failed to parse JSON input")
		}
	}
	isNull := func(name string) bool { return string(patch[name]) == "null" }
	if isNull("max_versions") {
		s.maxVersions = 0
	}
	if isNull("cas_required") {
		s.casRequired = false
	}
	if isNull("delete_version_after") {
		s.deleteAfter = 0
	}
	if isNull("custom_metadata") {
		s.custom = nil
	}
	if req.Data.Has("custom_metadata") {
		if err := s.patchCustom(patch["custom_metadata"], req.Data.Map("custom_metadata")); err != nil {
			return nil, err
		}
	}
	return s.configure(ctx, req, "metadata-patch")
}

// configure takes over the settings that req gives, saves, and warns of those
// that the mount overrules.
func (s *secret) configure(ctx context.Context, req *engine.Request, operation string) (*engine.Response, error) {
	d, err := req.Data, error(nil)
	if d.Has("max_versions") {
		if s.maxVersions, err = maxVersions(d); err != nil {
			return nil, err
		}
	}
	if d.Has("cas_required") {
		s.casRequired = d.Bool("cas_required")
	}
	if d.Has("delete_version_after") {
		s.deleteAfter = d.Duration("delete_version_after")
	}
	c, err := loadConfig(ctx, req.Storage)
	if err != nil {
		return nil, err
	}
	var warnings []string
	if c.CASRequired && d.Has("cas_required") && !s.casRequired {
		warnings = append(warnings, `"cas_required" is set to false, but the mount's configuration requires it; the mount's applies`)
	}
	if d.Has("delete_version_after") && c.DeleteAfter != 0 && s.deleteAfter > c.DeleteAfter {
		warnings = append(warnings, fmt.Sprintf(`"delete_version_after" is set to %s, but the mount's configuration says %s; the mount's applies`, s.deleteAfter, c.DeleteAfter))
	}
	s.save(time.Now().UnixNano())
	tell(req, operation, req.Path, s)
	if warnings == nil {
		return nil, nil
	}
	return &engine.Response{Warnings: warnings}, nil
}

// patchCustom merges values into the custom metadata and removes the keys that
// are null in raw, their object as it came.
func (s *secret) patchCustom(raw json.RawMessage, values map[string]string) error {
	merged := map[string]string{}
	if len(s.custom) > 0 {
		if err := json.Unmarshal(s.custom, &merged); err != nil {
			return errCorrupt
		}
	}
	var object map[string]*json.RawMessage
	if err := json.Unmarshal(raw, &object); err == nil {
		for k, v := range object {
			if v == nil {
				delete(merged, k)
			}
		}
	}
	for k, v := range values {
		merged[k] = v
	}
	return s.setCustom(merged)
}

func (s *secret) setCustom(values map[string]string) error {
	const failed = "custom_metadata validation failed: "
	if n := len(values); n > maxCustomKeys {
		return engine.Invalidf(failed+"payload must contain at most %d keys, provided %d", maxCustomKeys, n)
	}
	unprintable := func(s string) bool { return strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) }
	for k, v := range values {
		switch {
		case k == "" || len(k) > maxCustomKey:
			return engine.Invalidf(failed+"length of key %q is %d but must be between 1 and %d", k, len(k), maxCustomKey)
		case len(v) > maxCustomValue:
			return engine.Invalidf(failed+"length of value for key %q is %d but max allowed is %d", k, len(v), maxCustomValue)
		case unprintable(k):
			return engine.Invalidf(failed+"key %q contains unprintable characters", k)
		case unprintable(v):
			return engine.Invalidf(failed+"value for key %q contains unprintable characters", k)
		}
	}
	s.custom = nil
	if len(values) == 0 {
		return nil
	}
	var err error
	s.custom, err = json.Marshal(values)
	return err
}

// deleteMetadata removes a secret with all its versions.
func deleteMetadata(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	s, err := open(ctx, req)
	if err != nil || !s.found {
		return nil, err
	}
	for n := s.first(); n < s.current; n++ {
		if v, _ := s.version(n); !v.destroyed {
			s.view.Delete(s.versionKey(n))
		}
	}
	s.view.Delete(secretPrefix + s.path)
	tell(req, "metadata-delete", "", nil)
	return nil, nil
}
