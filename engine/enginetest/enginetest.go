// Package enginetest runs an engine without a server, for its tests: requests
// go through the engine's routes and fields to a transaction, as the gateway
// sends them, and commit.
package enginetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"strongroom/engine"
	"strongroom/internal/storage"
)

// Mounted is an engine on a store of its own.
type Mounted struct {
	tb     testing.TB
	Mount  engine.Mount
	Store  storage.Store
	Engine engine.Engine
	router *engine.Router
	// Before edits each request before its handler runs; nil leaves it alone.
	Before func(*engine.Request)
	// Passwords makes passwords by policies; nil: there are none.
	Passwords engine.Passwords
	// Emitted are the events of the requests that were committed.
	Emitted []engine.Event
}

// New mounts what factory makes at path with options, in store.
func New(tb testing.TB, store storage.Store, path string, factory engine.Factory, options map[string]string) *Mounted {
	tb.Helper()
	m := engine.Mount{Path: path, Accessor: "test_1", UUID: "test", Options: options, DefaultTTL: 768 * time.Hour, MaxTTL: 768 * time.Hour}
	e, err := factory(engine.Env{Mount: m, Logger: hclog.NewNullLogger()})
	if err != nil {
		tb.Fatal(err)
	}
	router, err := engine.NewRouter(e.Routes())
	if err != nil {
		tb.Fatal(err)
	}
	return &Mounted{tb: tb, Mount: m, Store: store, Engine: e, router: router}
}

// Do sends one operation with body (encoded to JSON; nil for none) and commits
// it, again as long as others write first.
func (m *Mounted) Do(op engine.Operation, path string, body any) (*engine.Response, error) {
	m.tb.Helper()
	return m.DoQuery(op, path, body, nil)
}

// DoQuery is Do with query parameters.
func (m *Mounted) DoQuery(op engine.Operation, path string, body any, query map[string][]string) (*engine.Response, error) {
	m.tb.Helper()
	var raw []byte
	if body != nil {
		var err error
		if raw, err = json.Marshal(body); err != nil {
			m.tb.Fatal(err)
		}
	}
	memo := &engine.Memo{}
	for {
		resp, err := m.once(op, path, raw, query, memo)
		if !errors.Is(err, storage.ErrConflict) {
			return resp, err
		}
	}
}

func (m *Mounted) once(op engine.Operation, path string, raw []byte, query map[string][]string, memo *engine.Memo) (*engine.Response, error) {
	ctx := m.tb.Context()
	route, params, ok := m.router.Match(op, path)
	if !ok {
		return nil, engine.Errorf(engine.NotFound, "no route for %s %s", op, path)
	}
	h := route.Handler(op)
	if h == nil {
		return nil, engine.ErrUnsupported
	}
	data, _, err := engine.Decode(route.Fields, raw, query, params)
	if err != nil {
		return nil, err
	}
	tx := storage.Begin(m.Store)
	req := m.request(tx)
	req.Operation, req.Path, req.Data, req.Body, req.Memo = op, path, data, raw, memo
	if route.External {
		req.Desk = m.Desk()
	}
	if m.Before != nil {
		m.Before(req)
	}
	resp, err := h(ctx, req)
	if err != nil {
		return nil, err
	}
	defer CheckAnswer(m.tb, route, op, resp) // a lease's effect may complete it
	tx.OnApplied(func(uint64) { m.Emitted = append(m.Emitted, req.Events()...) })
	if err := tx.Commit(ctx); err != nil {
		return nil, err
	}
	if resp != nil && resp.Lease != nil && resp.Lease.Act != nil {
		if len(resp.Lease.Revoke) == 0 {
			m.tb.Errorf("%s %s lends what it could not take back: Lease.Revoke is empty", op, path)
		}
		return resp, resp.Lease.Act(ctx)
	}
	return resp, nil
}

// Revoke has the engine end what a lease with that Lease.Revoke has lent.
func (m *Mounted) Revoke(revoke []byte) error {
	m.tb.Helper()
	tx := storage.Begin(m.Store)
	if err := m.Engine.(engine.Revoker).Revoke(m.tb.Context(), m.request(tx), revoke); err != nil {
		return err
	}
	return tx.Commit(m.tb.Context())
}

// Renew has the engine renew a lease.
func (m *Mounted) Renew(lease engine.Lease) (engine.Lease, error) {
	m.tb.Helper()
	tx := storage.Begin(m.Store)
	got, err := m.Engine.(engine.LeaseRenewer).RenewLease(m.tb.Context(), m.request(tx), lease)
	if err != nil {
		return got, err
	}
	return got, tx.Commit(m.tb.Context())
}

// request is what an engine has of tx, whoever asks.
func (m *Mounted) request(tx *storage.Tx) *engine.Request {
	return &engine.Request{Mount: m.Mount, Namespace: "root", Storage: tx.View("mount/test/"), Due: due{tx, duePrefix}, Work: due{tx, workPrefix}, Passwords: m.Passwords}
}

// Desk commits for the engine, as that of an External request does.
func (m *Mounted) Desk() engine.Desk { return desk{m} }

type desk struct{ m *Mounted }

// Commit implements engine.Desk.
func (d desk) Commit(ctx context.Context, do func(context.Context, *engine.Request) error) error {
	for {
		tx := storage.Begin(d.m.Store)
		if err := do(ctx, d.m.request(tx)); err != nil {
			return err
		}
		if err := tx.Commit(ctx); !errors.Is(err, storage.ErrConflict) {
			return err
		}
	}
}

const (
	duePrefix  = "due/"
	workPrefix = "work/"
)

// due is the mount's due index, or its queue of work, in a corner of the store.
type due struct {
	tx     *storage.Tx
	prefix string
}

func (d due) Add(at int64, id string)    { d.tx.Put(fmt.Sprintf("%s%020d/%s", d.prefix, at, id), nil) }
func (d due) Remove(at int64, id string) { d.tx.Delete(fmt.Sprintf("%s%020d/%s", d.prefix, at, id)) }

// Work has the engine do what is due elsewhere at now, item by item, until nothing
// is, and says how much it did. What fails stays.
func (m *Mounted) Work(now time.Time) (n int, failed error) {
	m.tb.Helper()
	ctx := m.tb.Context()
	for key, err := range m.Store.Keys(ctx, workPrefix, "") {
		if err != nil {
			m.tb.Fatal(err)
		}
		var at int64
		digits, id, _ := strings.Cut(strings.TrimPrefix(key, workPrefix), "/")
		if _, err := fmt.Sscanf(digits, "%d", &at); err != nil {
			m.tb.Fatal(err)
		}
		if at > now.Unix() {
			break
		}
		n++
		if err := m.Engine.(engine.Worker).Work(ctx, m.Desk(), at, id); err != nil {
			failed = err
			continue
		}
		tx := storage.Begin(m.Store)
		tx.Delete(key)
		if err := tx.Commit(ctx); err != nil {
			m.tb.Fatal(err)
		}
	}
	return n, failed
}

// Due is how many items stand in the due index.
func (m *Mounted) Due() (n int) {
	m.tb.Helper()
	for _, err := range m.Store.Keys(m.tb.Context(), duePrefix, "") {
		if err != nil {
			m.tb.Fatal(err)
		}
		n++
	}
	return n
}

// Expire has the engine end what is due at now, item by item as the sweeper
// does, and says how many there were.
func (m *Mounted) Expire(now time.Time) (n int) {
	m.tb.Helper()
	ctx := m.tb.Context()
	for key, err := range m.Store.Keys(ctx, duePrefix, "") {
		if err != nil {
			m.tb.Fatal(err)
		}
		var at int64
		digits, id, _ := strings.Cut(strings.TrimPrefix(key, duePrefix), "/")
		if _, err := fmt.Sscanf(digits, "%d", &at); err != nil {
			m.tb.Fatal(err)
		}
		if at > now.Unix() {
			break
		}
		tx := storage.Begin(m.Store)
		tx.Delete(key)
		if err := m.Engine.(engine.Expirer).Expire(ctx, m.request(tx), at, id); err != nil {
			m.tb.Fatal(err)
		}
		if err := tx.Commit(ctx); err != nil {
			m.tb.Fatal(err)
		}
		n++
	}
	return n
}

// JSON encodes a response's data, for comparison in tests.
func JSON(tb testing.TB, resp *engine.Response) string {
	tb.Helper()
	if resp == nil {
		return ""
	}
	b, err := json.Marshal(resp.Data)
	if err != nil {
		tb.Fatal(fmt.Errorf("encode response: %w", err))
	}
	return string(b)
}
