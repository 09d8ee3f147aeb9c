package kv

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"strongroom/engine"
)

// pick returns the number and times of the version that req asks for, or
// ErrNotFound.
func (s *secret) pick(req *engine.Request) (uint64, version, error) {
	n := req.Data.Int("version")
	if n < 0 {
		return 0, version{}, engine.Invalidf("version must not be negative")
	}
	if n == 0 {
		n = int64(s.current)
	}
	v, ok := s.version(uint64(n))
	if !s.found || !ok {
		return 0, v, engine.ErrNotFound
	}
	return uint64(n), v, nil
}

// answer is what a read of version n gives: data under name, and metadata. A
// version that is deleted or destroyed has null for data and is Missing.
func (s *secret) answer(name string, data []byte, n uint64, v version) *engine.Response {
	b := make([]byte, 0, len(data)+len(s.custom)+224)
	b = append(b, `{"`...)
	b = append(b, name...)
	b = append(b, `":`...)
	if data == nil {
		b = append(b, "null"...)
	}
	b = append(b, data...)
	b = append(b, `,"metadata":`...)
	b = s.appendVersion(b, n, v)
	return &engine.Response{Data: json.RawMessage(append(b, '}')), Missing: data == nil}
}

func readData(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	s, err := open(ctx, req)
	if err != nil {
		return nil, err
	}
	n, v, err := s.pick(req)
	if err != nil {
		return nil, err
	}
	var data []byte
	if v.readable(time.Now().UnixNano()) {
		if data, err = s.load(ctx, n); err != nil {
			return nil, err
		}
	}
	return s.answer("data", data, n, v), nil
}

func readSubkeys(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	depth := req.Data.Int("depth")
	if depth < 0 {
		return nil, engine.Invalidf("depth must not be negative")
	}
	s, err := open(ctx, req)
	if err != nil {
		return nil, err
	}
	n, v, err := s.pick(req)
	if err != nil {
		return nil, err
	}
	var keys []byte
	if v.readable(time.Now().UnixNano()) {
		data, err := s.load(ctx, n)
		if err != nil {
			return nil, err
		}
		if keys, err = subkeys(data, depth); err != nil {
			return nil, err
		}
	}
	return s.answer("subkeys", keys, n, v), nil
}

// given returns the "data" of a write, checked and without spaces.
func given(req *engine.Request) ([]byte, error) {
	if !req.Data.Has("data") {
		return nil, engine.Invalidf("no data provided")
	}
	raw := req.Data.Raw("data")
	if err := checkData(raw); err != nil {
		return nil, err
	}
	b := bytes.NewBuffer(make([]byte, 0, len(raw)))
	if err := json.Compact(b, raw); err != nil {
		return nil, engine.Invalidf("data must be a JSON object")
	}
	return b.Bytes(), nil
}

// checkAndSet refuses a write that a newer one came before.
func checkAndSet(req *engine.Request, c config, r *record) error {
	var options struct {
		CAS *json.Number `json:"cas"` // a number, or its text
	}
	if raw := req.Data.Raw("options"); raw != nil {
		if err := json.Unmarshal(raw, &options); err != nil {
			return engine.Invalidf("error parsing check-and-set parameter: options.cas must be a whole number")
		}
	}
	if options.CAS == nil {
		if c.CASRequired || r.casRequired {
			return engine.Invalidf("check-and-set parameter required for this call")
		}
		return nil
	}
	cas, err := options.CAS.Int64()
	if err != nil {
		return engine.Invalidf("error parsing check-and-set parameter: options.cas must be a whole number")
	}
	if cas != int64(r.current) {
		return engine.Invalidf("check-and-set parameter did not match the current version")
	}
	return nil
}

func writeData(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	if err := checkPath(req.Data.String("path")); err != nil {
		return nil, err
	}
	data, err := given(req)
	if err != nil {
		return nil, err
	}
	s, err := open(ctx, req)
	if err != nil {
		return nil, err
	}
	c, err := loadConfig(ctx, req.Storage)
	if err != nil {
		return nil, err
	}
	if err := checkAndSet(req, c, &s.record); err != nil {
		return nil, err
	}
	return s.written(req, "data-write", c, data), nil
}

// written adds data and answers the metadata of the new version.
func (s *secret) written(req *engine.Request, operation string, c config, data []byte) *engine.Response {
	v := s.add(c, data)
	tell(req, operation, req.Path, s)
	b := s.appendVersion(make([]byte, 0, len(s.custom)+192), s.current, v)
	return &engine.Response{Data: json.RawMessage(b)}
}

func patchData(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	patch, err := given(req)
	if err != nil {
		return nil, err
	}
	s, err := open(ctx, req)
	if err != nil {
		return nil, err
	}
	last, ok := s.version(s.current)
	if !ok {
		return nil, engine.ErrNotFound
	}
	if !last.readable(time.Now().UnixNano()) {
		return s.answer("data", nil, s.current, last), nil
	}
	c, err := loadConfig(ctx, req.Storage)
	if err != nil {
		return nil, err
	}
	if err := checkAndSet(req, c, &s.record); err != nil {
		return nil, err
	}
	data, err := mergePatch(s.data, patch)
	if err != nil {
		return nil, err
	}
	if err := checkData(data); err != nil {
		return nil, err
	}
	return s.written(req, "data-patch", c, data), nil
}
