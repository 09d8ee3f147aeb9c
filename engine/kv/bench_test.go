package kv

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"strongroom/engine"
	"strongroom/engine/enginetest"
	"strongroom/internal/storage"
)

var kilobyte = json.RawMessage(`{"data":{"value":"` + strings.Repeat("x", 1000) + `"}}`)

// request makes a request as the gateway would, outside the timed loop.
func request(b *testing.B, m *enginetest.Mounted, op engine.Operation, path string, body []byte, query map[string][]string) (engine.Handler, *engine.Request) {
	r, err := engine.NewRouter(m.Engine.Routes())
	if err != nil {
		b.Fatal(err)
	}
	route, params, _ := r.Match(op, path)
	d, _, err := engine.Decode(route.Fields, body, query, params)
	if err != nil {
		b.Fatal(err)
	}
	return route.Handler(op), &engine.Request{Operation: op, Path: path, Mount: m.Mount, Data: d, Body: body}
}

// handle runs the handler alone, over a transaction; commit and router are others' costs.
func handle(b *testing.B, m *enginetest.Mounted, op engine.Operation, path string, body []byte, query map[string][]string) {
	h, req := request(b, m, op, path, body, query)
	b.ReportAllocs()
	for b.Loop() {
		req.Storage = storage.Begin(m.Store).View("mount/test/")
		if _, err := h(b.Context(), req); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRead(b *testing.B) {
	for _, version := range []string{"1", "2"} {
		m := enginetest.New(b, newStore(), "kv/", Factory, map[string]string{"version": version})
		path := map[string]string{"1": "a", "2": "data/a"}[version]
		for range 10 {
			if _, err := m.Do(engine.Update, path, kilobyte); err != nil {
				b.Fatal(err)
			}
		}
		b.Run("v"+version, func(b *testing.B) { handle(b, m, engine.Read, path, nil, nil) })
		if version == "2" {
			b.Run("v2old", func(b *testing.B) {
				handle(b, m, engine.Read, path, nil, map[string][]string{"version": {"3"}})
			})
			b.Run("v2metadata", func(b *testing.B) { handle(b, m, engine.Read, "metadata/a", nil, nil) })
		}
	}
	// The limit: the store's Get of as many bytes, in its transaction.
	b.Run("limit", func(b *testing.B) {
		s := newStore()
		s.plant("mount/test/s/a", kilobyte)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := storage.Begin(s).View("mount/test/").Get(b.Context(), "s/a"); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkWrite(b *testing.B) {
	for _, version := range []string{"1", "2"} {
		m := enginetest.New(b, newStore(), "kv/", Factory, map[string]string{"version": version})
		path := map[string]string{"1": "a", "2": "data/a"}[version]
		for range 10 {
			if _, err := m.Do(engine.Update, path, kilobyte); err != nil {
				b.Fatal(err)
			}
		}
		b.Run("v"+version, func(b *testing.B) { handle(b, m, engine.Update, path, kilobyte, nil) })
	}
}

func BenchmarkList(b *testing.B) {
	m, _ := mountV2(b)
	for i := range 100 {
		if _, err := m.Do(engine.Update, fmt.Sprint("data/folder/", i), kilobyte); err != nil {
			b.Fatal(err)
		}
	}
	handle(b, m, engine.List, "metadata/folder/", nil, nil)
}
