package declare

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/go-hclog"

	"strongroom/engine"
	"strongroom/internal/gateway"
	"strongroom/internal/storage"
	"strongroom/internal/token"
)

// statePath is where the progress is stored, inside the barrier
// (docs/format/declare.md).
const statePath = "core/declared"

// state is how far a cluster's plan has come. A cluster without one was made
// before there were any, and takes none.
type state struct {
	Complete bool                `json:"complete"`
	Plan     string              `json:"plan,omitempty"` // hash of the text that was completed
	Done     map[string]string   `json:"done,omitempty"` // STANZA/REQUEST → "applied" or "failed", which was allowed
	Kept     map[string]exchange `json:"kept,omitempty"` // what later requests ask of those done
}

// exchange is what became of a request, for the sources request and response.
// It may hold secrets; it goes when the plan is complete.
type exchange struct {
	Request  map[string]any `json:"request"`
	Response map[string]any `json:"response"`
}

// Await marks a new cluster as one that takes a plan.
func Await(tx *storage.Tx) error { return storage.PutJSON(tx, statePath, state{}) }

func load(ctx context.Context, r storage.Reader) (*state, bool, error) {
	e, err := r.Get(ctx, statePath)
	if err != nil || !e.Exists() {
		return &state{Complete: true}, false, err
	}
	s := new(state)
	d := json.NewDecoder(bytes.NewReader(e.Value))
	d.UseNumber()
	return s, true, d.Decode(s)
}

// Server serves requests; a Session is one.
type Server interface {
	Serve(ctx context.Context, req *gateway.Request) (*gateway.Response, error)
}

// Run makes the requests of p that this cluster has not had yet, until one
// fails. That a request is done is committed together with what it does, so
// that a node which goes on after a crash repeats none. An error says where the
// failed request stands and what to do, and shows no value.
func (p *Plan) Run(ctx context.Context, store storage.Store, server Server, logger hclog.Logger) error {
	s, known, err := load(ctx, store)
	switch {
	case err != nil:
		return err
	case s.Complete && p.Empty():
		return nil
	case s.Complete && !known:
		logger.Warn("this cluster is older than its first initialize stanza, which is for new clusters: nothing of it was applied; make its requests yourself")
		return nil
	case s.Complete && s.Plan != p.hash():
		logger.Warn("the initialize stanzas differ from those this cluster was made with: nothing was applied, as they are for a new cluster; make the changes by the API")
		return nil
	case s.Complete:
		return nil
	}
	if p.Empty() {
		return update(ctx, store, func(s *state) { *s = state{Complete: true} })
	}
	for _, r := range p.requests {
		if err := r.apply(ctx, store, server, logger); err != nil {
			return err
		}
	}
	if err := update(ctx, store, func(s *state) { *s = state{Complete: true, Plan: p.hash()} }); err != nil {
		return err
	}
	logger.Info("the initialize stanzas were applied", "requests", len(p.requests))
	return nil
}

// update changes the progress in a commit of its own.
func update(ctx context.Context, store storage.Store, change func(*state)) error {
	tx := storage.Begin(store)
	s, _, err := load(ctx, tx)
	if err != nil {
		return err
	}
	change(s)
	if err := storage.PutJSON(tx, statePath, s); err != nil {
		return err
	}
	return tx.Commit(ctx)
}

func (s *state) note(key, outcome string) {
	if s.Done == nil {
		s.Done = map[string]string{}
	}
	s.Done[key] = outcome
}

// apply makes r, unless it is done.
func (r *Request) apply(ctx context.Context, store storage.Store, server Server, logger hclog.Logger) error {
	s, _, err := load(ctx, store)
	if err != nil {
		return err
	}
	if _, done := s.Done[r.key()]; done {
		return nil
	}
	req, allowed, err := r.build(ctx, s)
	if err != nil {
		err = fmt.Errorf("%w: %w", errValue, err)
	} else {
		_, err = server.Serve(ctx, req)
	}
	if err == nil {
		logger.Info("applied", "initialize", r.Stanza, "request", r.Name)
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if undecided(err) {
		return err // whoever leads tries again
	}
	if allowed {
		logger.Warn("a request of an initialize stanza failed, as its allow_failure permits", "at", r.At, "initialize", r.Stanza, "request", r.Name, "error", err)
		return update(ctx, store, func(s *state) { s.note(r.key(), "failed") })
	}
	return &Failure{r.errorf("%w; nothing after it was applied: correct it on every node and restart the active one, which goes on with this request", err)}
}

// undecided says whether err is not about the request, but about the server as it
// is now: without a leader, over a rate limit (which may be declared too), or with no
// audit device that records.
func undecided(err error) bool {
	if answered, ok := errors.AsType[*engine.Error](err); ok {
		return slices.Contains([]engine.Kind{engine.Unavailable, engine.TooMany, engine.Internal}, answered.Kind)
	}
	return !errors.Is(err, errValue)
}

// Failure is a request that will not succeed as it stands: trying again is of no use.
type Failure struct{ Err error }

func (f *Failure) Error() string { return f.Err.Error() }

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Err }

// errValue marks what is wrong with a request before it is made.
var errValue = errors.New("it cannot be made")

// build is r as the gateway takes it.
func (r *Request) build(ctx context.Context, s *state) (*gateway.Request, bool, error) {
	all, err := s.evaluate(ctx, map[string]any{"operation": r.Operation, "path": r.Path, "token": r.Token, "data": r.Data, "allow_failure": r.AllowFailure})
	if err != nil {
		return nil, false, err
	}
	m := all.(map[string]any)
	allowed, _ := strconv.ParseBool(text(m["allow_failure"]))
	op, err := operation(text(m["operation"]))
	if err != nil {
		return nil, allowed, err
	}
	path, err := cleanPath(text(m["path"]))
	if err != nil {
		return nil, allowed, err
	}
	q := &gateway.Request{ID: uuid.NewString(), Operation: op, Path: path, Token: text(m["token"])}
	if q.Token == "" {
		q.Caller = r.caller()
	}
	if data, ok := m["data"].(map[string]any); ok {
		if op.Reads() || op == engine.Delete {
			q.Query = map[string][]string{}
			for key, value := range data {
				if list, ok := value.([]any); ok {
					for _, element := range list {
						q.Query[key] = append(q.Query[key], text(element))
					}
					continue
				}
				q.Query[key] = []string{text(value)}
			}
		} else if q.Body, err = json.Marshal(data); err != nil {
			return nil, allowed, err
		}
	}
	kept := map[string]any{"operation": string(op), "path": path, "token": q.Token, "data": m["data"]}
	q.Beside = func(ctx context.Context, tx *storage.Tx, resp *gateway.Response) error {
		s, _, err := load(ctx, tx)
		if err != nil {
			return err
		}
		s.note(r.key(), "applied")
		if r.keep {
			if s.Kept == nil {
				s.Kept = map[string]exchange{}
			}
			s.Kept[r.key()] = exchange{kept, answer(resp)}
		}
		return storage.PutJSON(tx, statePath, s)
	}
	return q, allowed, nil
}

// caller is the server itself. It has no token: a batch token's kind keeps
// handlers from making it anybody's parent.
func (r *Request) caller() *token.Token {
	return &token.Token{Type: token.Batch, Policies: []string{"root"}, DisplayName: "initialize", Created: time.Now().Unix(),
		Meta: map[string]string{"initialize": r.Stanza, "request": r.Name}}
}

// answer is resp with the names that the API gives its parts.
func answer(resp *gateway.Response) map[string]any {
	out := map[string]any{"data": resp.Data, "lease_id": resp.LeaseID}
	if a := resp.Auth; a != nil {
		out["auth"] = map[string]any{"client_token": a.ClientToken, "accessor": a.Token.Accessor, "policies": a.Token.Policies, "entity_id": a.EntityID}
	}
	if w := resp.WrapInfo; w != nil {
		out["wrap_info"] = map[string]any{"token": w.Token, "accessor": w.Accessor}
	}
	return out
}

func text(value any) string {
	if value == nil {
		return ""
	}
	return fmt.Sprint(value)
}
