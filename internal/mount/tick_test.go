package mount

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"strongroom/engine"
	"strongroom/internal/storage"
)

// counter is an engine that counts down from what its storage says.
type counter struct{ broken bool }

func (counter) Routes() []engine.Route { return nil }

func (c counter) Tick(ctx context.Context, req *engine.Request) (bool, error) {
	if c.broken {
		return false, errors.New("broken")
	}
	e, err := req.Storage.Get(ctx, "left")
	if err != nil || len(e.Value) == 0 {
		return false, err
	}
	req.Storage.Put("left", e.Value[1:])
	return true, nil
}

// All that is due is done, once, though another engine fails.
func TestTick(t *testing.T) {
	types := map[string]Type{
		"counter": {Factory: func(engine.Env) (engine.Engine, error) { return counter{}, nil }},
		"broken":  {Factory: func(engine.Env) (engine.Engine, error) { return counter{broken: true}, nil }},
	}
	store := storage.NewMem()
	tx := storage.Begin(store)
	table := &Table{Entries: []Entry{{Path: "a/", Type: "broken", UUID: "a"}, {Path: "b/", Type: "counter", UUID: "b"}, {Path: "c/", Type: "counter", UUID: "c"}}}
	if err := table.Save(tx, "root"); err != nil {
		t.Fatal(err)
	}
	tx.View(DataPrefix("b")).Put("left", []byte("xxx"))
	tx.View(DataPrefix("c")).Put("left", []byte("xx"))
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	m := NewManager(types, Limits{}, hclog.NewNullLogger())
	for _, want := range []int{5, 0} {
		n, err := m.Tick(t.Context(), store, "root")
		if n != want || err == nil || !strings.Contains(err.Error(), "mount a/: broken") {
			t.Errorf("%d pieces of work, %v; want %d", n, err, want)
		}
	}
}
