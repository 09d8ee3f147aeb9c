package auth

import (
	"context"
	"encoding/json"
	"fmt"

	"strongroom/engine"
	"strongroom/internal/storage"
)

// cacheSize bounds how many of a method's roles are kept decoded.
const cacheSize = 1024

// Stored are the roles of a method, or its users: a folder of documents by name. Its methods serve the routes of them that are alike
// everywhere. Safe for concurrent use.
type Stored[T any] struct {
	folder string // with a slash at the end
	param  string // the path parameter that names one
	decode func([]byte) (*T, error)
	cache  *storage.Cache[*T]
}

// NewStored are the documents in folder, named by the path parameter param, as decode reads them.
func NewStored[T any](folder, param string, decode func([]byte) (*T, error)) *Stored[T] {
	return &Stored[T]{folder, param, decode, storage.NewCache[*T](cacheSize)}
}

// FromJSON decodes documents that are JSON and nothing more; what names one in errors.
func FromJSON[T any](what string) func([]byte) (*T, error) {
	return func(b []byte) (*T, error) {
		v := new(T)
		if err := json.Unmarshal(b, v); err != nil {
			return nil, fmt.Errorf("%s: decode: %w", what, err)
		}
		return v, nil
	}
}

// Load returns the document of that name, which must not be changed; nil if there is none.
func (s *Stored[T]) Load(ctx context.Context, req *engine.Request, name string) (*T, error) {
	v, _, err := s.cache.Get(ctx, req.Storage, s.folder+name, name, s.decode)
	return v, err
}

// Named is Load of what the request names; engine.ErrNotFound if there is none.
func (s *Stored[T]) Named(ctx context.Context, req *engine.Request) (*T, error) {
	v, err := s.Load(ctx, req, req.Data.String(s.param))
	if err == nil && v == nil {
		err = engine.ErrNotFound
	}
	return v, err
}

// Put stores v under name.
func (s *Stored[T]) Put(req *engine.Request, name string, v *T) error {
	return storage.PutJSON(req.Storage, s.folder+name, v)
}

// Exists says whether there is what the request names.
func (s *Stored[T]) Exists(ctx context.Context, req *engine.Request) (bool, error) {
	v, err := req.Storage.Version(ctx, s.folder+req.Data.String(s.param))
	return v != 0, err
}

// List answers the names, a page at a time: its route has ListFields.
func (s *Stored[T]) List(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	return List(ctx, req, s.folder)
}

// Delete deletes what the request names; it is no error if it is not there.
func (s *Stored[T]) Delete(_ context.Context, req *engine.Request) (*engine.Response, error) {
	req.Storage.Delete(s.folder + req.Data.String(s.param))
	return nil, nil
}
