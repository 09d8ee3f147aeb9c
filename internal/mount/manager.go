package mount

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"strongroom/engine"
	"strongroom/internal/storage"
)

// Type is one kind of engine that can be mounted.
type Type struct {
	Factory engine.Factory
	Auth    bool // an auth method, mounted below auth/
	System  bool // part of the server: sees the whole namespace's slice and is never enabled by hand
	// Personal: each token has a slice of the data for itself, which ends with it.
	// It stands in every mount table and is never enabled by hand.
	Personal bool
}

// Manager turns stored mount tables into routings. Safe for concurrent use.
type Manager struct {
	types  map[string]Type
	ttl    Limits
	logger hclog.Logger
	cache  *storage.Cache[*Routing]
	gone   *storage.Cache[*Mounted]

	mu      sync.Mutex
	live    map[string]*Routing // by namespace: engines outlive changes of other mounts
	system  map[string]*Mounted // engines and routers of System types, which all namespaces share
	retired map[string]*Mounted // what Retired has made, by UUID, until Dismiss
}

// routings is of how many namespaces the mounts are kept ready, up to twice as many.
const routings = 512

// ErrNoNamespace: the namespace has no mount table; it is gone.
var ErrNoNamespace = errors.New("mount: the namespace has no mount table")

// Limits are the server's lease times, for mounts without their own.
type Limits struct{ Default, Max time.Duration }

// NewManager makes a manager of the engine types given by name.
func NewManager(types map[string]Type, ttl Limits, logger hclog.Logger) *Manager {
	return &Manager{types: types, ttl: ttl, logger: logger, cache: storage.NewCache[*Routing](routings), gone: storage.NewCache[*Mounted](16), live: map[string]*Routing{}, system: map[string]*Mounted{}, retired: map[string]*Mounted{}}
}

// Limits are the server's lease times.
func (m *Manager) Limits() Limits { return m.ttl }

// Type returns the engine type of that name.
func (m *Manager) Type(name string) (Type, bool) {
	t, ok := m.types[name]
	return t, ok
}

// Types yields the names of all types.
func (m *Manager) Types() map[string]Type { return maps.Clone(m.types) }

// Mounted is a mount with the engine that serves it.
type Mounted struct {
	Entry  Entry
	Mount  engine.Mount
	Engine engine.Engine
	Router *engine.Router
	Prefix string // of its slice of storage
	// Personal: below Prefix each token has a slice of its own, named by its ID.
	Personal bool
}

// Routing finds mounts. It is never changed.
type Routing struct {
	byPath map[string]*Mounted
	byUUID map[string]*Mounted
}

// Routing returns the routing of namespace ns as tx sees it.
func (m *Manager) Routing(ctx context.Context, tx *storage.Tx, ns string) (*Routing, error) {
	key := tableKey(ns)
	r, _, err := m.cache.Get(ctx, tx, key, key, func(b []byte) (*Routing, error) { return m.build(ns, b) })
	if err == nil && r == nil {
		err = fmt.Errorf("%w: %s", ErrNoNamespace, ns)
	}
	return r, err
}

func (m *Manager) build(ns string, b []byte) (*Routing, error) {
	t, err := decodeTable(b)
	if err != nil {
		return nil, err
	}
	r := &Routing{byPath: make(map[string]*Mounted, len(t.Entries)), byUUID: make(map[string]*Mounted, len(t.Entries))}
	m.mu.Lock()
	defer m.mu.Unlock()
	last := m.live[ns]
	for _, e := range t.Entries {
		mounted, err := m.engine(ns, e, last)
		if err != nil {
			return nil, fmt.Errorf("mount %s: %w", e.Path, err)
		}
		r.byPath[e.Path], r.byUUID[e.UUID] = mounted, mounted
	}
	if last != nil {
		for uuid, old := range last.byUUID {
			if now := r.byUUID[uuid]; now == nil || now.Router != old.Router { // each engine has a router of its own
				release(old)
			}
		}
	}
	if m.live[ns] = r; len(m.live) > 2*routings {
		for other := range m.live {
			if other != ns && other != "root" {
				delete(m.live, other)
				break
			}
		}
	}
	return r, nil
}

// Retired returns the disabled mount with this UUID, whose engine is to end what
// it has lent; nil once its data is being deleted.
func (m *Manager) Retired(ctx context.Context, tx *storage.Tx, uuid string) (*Mounted, error) {
	key := doomedPrefix + uuid
	mounted, _, err := m.gone.Get(ctx, tx, key, key, func(b []byte) (*Mounted, error) {
		var d doomed
		if err := json.Unmarshal(b, &d); err != nil {
			return nil, fmt.Errorf("mount: decode a disabled mount: %w", err)
		}
		mounted, err := m.make(d.Namespace, d.Entry)
		if err == nil {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.retired[uuid] = mounted
		}
		return mounted, err
	})
	return mounted, err
}

// Dismiss has the engine of a disabled mount, which has nothing left to end, let go
// of what it holds.
func (m *Manager) Dismiss(uuid string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if old := m.retired[uuid]; old != nil {
		release(old)
		delete(m.retired, uuid)
	}
}

// Close has all engines let go of what they hold.
func (m *Manager) Close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.live {
		for _, mounted := range r.byUUID {
			release(mounted)
		}
	}
	for _, mounted := range m.retired {
		release(mounted)
	}
}

func release(m *Mounted) {
	if c, ok := m.Engine.(engine.Closer); ok {
		c.Close()
	}
}

// engine returns the live engine of e, as in last, if nothing about the mount has changed.
func (m *Manager) engine(ns string, e Entry, last *Routing) (*Mounted, error) {
	if last != nil {
		if have := last.byUUID[e.UUID]; have != nil && same(have.Mount, m.describe(e)) {
			kept := *have
			kept.Entry = e
			return &kept, nil
		}
	}
	if t := m.types[e.Type]; !t.System {
		return m.make(ns, e)
	}
	first := m.system[e.Type]
	if first == nil {
		var err error
		if first, err = m.make(ns, e); err != nil {
			return nil, err
		}
		m.system[e.Type] = first
	}
	own := *first // its routes are many, and the same in all namespaces
	own.Entry, own.Mount, own.Prefix = e, m.describe(e), "ns/"+ns+"/"
	return &own, nil
}

// make makes the engine of e.
func (m *Manager) make(ns string, e Entry) (*Mounted, error) {
	want := m.describe(e)
	t, ok := m.types[e.Type]
	if !ok {
		return nil, fmt.Errorf("this server has no engine of type %q", e.Type)
	}
	eng, err := t.Factory(engine.Env{Mount: want, Logger: m.logger.Named(e.Type)})
	if err != nil {
		return nil, err
	}
	router, err := engine.NewRouter(eng.Routes())
	if err != nil {
		return nil, err
	}
	prefix := DataPrefix(e.UUID)
	if t.System {
		prefix = "ns/" + ns + "/"
	}
	return &Mounted{Entry: e, Mount: want, Engine: eng, Router: router, Prefix: prefix, Personal: t.Personal}, nil
}

func same(a, b engine.Mount) bool {
	opts := maps.Equal(a.Options, b.Options)
	a.Options, b.Options = nil, nil
	return opts && a.Path == b.Path && a.Type == b.Type && a.Accessor == b.Accessor && a.UUID == b.UUID &&
		a.DefaultTTL == b.DefaultTTL && a.MaxTTL == b.MaxTTL && a.Description == b.Description
}

func (m *Manager) describe(e Entry) engine.Mount {
	d := engine.Mount{Path: e.Path, Type: e.Type, Accessor: e.Accessor, UUID: e.UUID, Options: e.Options,
		Description: e.Description, DefaultTTL: seconds(e.Config.DefaultLeaseTTL), MaxTTL: seconds(e.Config.MaxLeaseTTL)}
	if d.MaxTTL == 0 {
		d.MaxTTL = m.ttl.Max
	}
	if d.DefaultTTL == 0 {
		d.DefaultTTL = m.ttl.Default
	}
	d.DefaultTTL = min(d.DefaultTTL, d.MaxTTL)
	return d
}

// Check makes an engine of e and drops it: whether this entry could be mounted.
func (m *Manager) Check(e Entry) error {
	t, ok := m.types[e.Type]
	if !ok || t.System || t.Personal {
		return engine.Invalidf("plugin not found in the catalog: %s", e.Type)
	}
	if _, err := t.Factory(engine.Env{Mount: m.describe(e), Logger: m.logger}); err != nil {
		return engine.Invalidf("%v", err)
	}
	return nil
}

// Find returns the mount that path falls in and the rest of the path. The
// path of a mount may be given without its trailing slash.
func (r *Routing) Find(path string) (*Mounted, string, bool) {
	for end := len(path); end > 0; end = strings.LastIndexByte(path[:end], '/') {
		prefix := path[:end]
		if end < len(path) { // path[end] is a slash
			prefix = path[:end+1]
		}
		if m, ok := r.byPath[prefix]; ok {
			return m, path[len(prefix):], true
		}
	}
	if m, ok := r.byPath[path+"/"]; ok {
		return m, "", true
	}
	return nil, "", false
}

// Has says whether a mount with this UUID exists.
func (r *Routing) Has(uuid string) bool { return r.byUUID[uuid] != nil }

// ByUUID returns the mount with this UUID, or nil.
func (r *Routing) ByUUID(uuid string) *Mounted { return r.byUUID[uuid] }

// ByAccessor returns the mount with this accessor, or nil.
func (r *Routing) ByAccessor(accessor string) *Mounted {
	for _, m := range r.byUUID {
		if m.Entry.Accessor == accessor {
			return m
		}
	}
	return nil
}

// All returns the mounts by path.
func (r *Routing) All() map[string]*Mounted { return r.byPath }
