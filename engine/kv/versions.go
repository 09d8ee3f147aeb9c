package kv

import (
	"context"
	"strconv"
	"time"

	"strongroom/engine"
)

// change applies edit to the versions of a secret that req lists and saves what
// it changed. What is not there is passed over: these calls can be repeated.
func change(ctx context.Context, req *engine.Request, operation string, edit func(s *secret, n uint64, v version, now int64) (version, bool)) (*engine.Response, error) {
	given := req.Data.Strings("versions")
	if len(given) == 0 {
		return nil, engine.Invalidf("No version number provided")
	}
	numbers := make([]uint64, len(given))
	for i, text := range given {
		var err error
		if numbers[i], err = strconv.ParseUint(text, 10, 63); err != nil || numbers[i] == 0 {
			return nil, engine.Invalidf("versions must be a list of version numbers, from 1")
		}
	}
	s, err := open(ctx, req)
	if err != nil {
		return nil, err
	}
	if s.edit(numbers, edit) {
		tell(req, operation, dataPath(operation, s.path), &s)
	}
	return nil, nil
}

// dataPath is where a secret can be read after an operation, if that made it readable.
func dataPath(operation, path string) string {
	if operation != "undelete" {
		return ""
	}
	return "data/" + path
}

// edit says whether anything changed.
func (s *secret) edit(numbers []uint64, edit func(s *secret, n uint64, v version, now int64) (version, bool)) bool {
	now, dirty := time.Now().UnixNano(), false
	for _, n := range numbers {
		v, ok := s.version(n)
		if !ok || v.destroyed {
			continue
		}
		if v, ok = edit(s, n, v, now); ok {
			s.set(n, v)
			dirty = true
		}
	}
	if dirty {
		s.save(now)
	}
	return dirty
}

// deleted marks a version; one that is to be deleted later is deleted now.
func deleted(_ *secret, _ uint64, v version, now int64) (version, bool) {
	if !v.readable(now) {
		return v, false
	}
	v.deletion = now
	return v, true
}

// undeleted restores a version, for good: delete_version_after counts from the
// write only.
func undeleted(_ *secret, _ uint64, v version, _ int64) (version, bool) {
	changed := v.deletion != 0
	v.deletion = 0
	return v, changed
}

func destroyed(s *secret, n uint64, v version, _ int64) (version, bool) {
	v.destroyed = true
	if n == s.current {
		s.data = nil
	} else {
		s.view.Delete(s.versionKey(n))
	}
	return v, true
}

func deleteVersions(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	return change(ctx, req, "delete", deleted)
}

func undeleteVersions(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	return change(ctx, req, "undelete", undeleted)
}

func destroyVersions(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	return change(ctx, req, "destroy", destroyed)
}

func deleteLatest(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	s, err := open(ctx, req)
	if err != nil {
		return nil, err
	}
	if s.edit([]uint64{s.current}, deleted) {
		tell(req, "data-delete", "", &s)
	}
	return nil, nil
}
