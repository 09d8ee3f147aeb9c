package audit

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"strongroom/internal/storage"
)

// State is what is stored about audit, in one key: its version is all that a
// request has to look at (docs/format/audit.md).
type State struct {
	Key     []byte            `json:"key"`               // of all salts; 32 bytes
	Devices []Spec            `json:"devices,omitempty"` // that the API enabled, in that order
	Headers map[string]Header `json:"headers"`           // recorded request headers, by name in lower case
}

// Header says how a request header is recorded.
type Header struct {
	HMAC bool `json:"hmac"`
}

func stateKey(ns string) string { return "ns/" + ns + "/audit/state" }

// Initialize gives a store that has none the state to begin with, in tx.
func Initialize(ctx context.Context, tx *storage.Tx, ns string) error {
	if v, err := tx.Version(ctx, stateKey(ns)); err != nil || v != 0 {
		return err
	}
	s := State{Key: make([]byte, sha256.Size), Headers: map[string]Header{"user-agent": {}, "correlation-id": {}, "x-correlation-id": {}}}
	rand.Read(s.Key)
	return storage.PutJSON(tx, stateKey(ns), s)
}

// Journal is a Log beside the stored state, for one Session. Safe for concurrent
// use. A nil *Journal records nothing.
type Journal struct {
	log *Log
	key string // of the State

	mu      sync.Mutex // makes the next Devices
	current atomic.Pointer[known]
}

// known is what the state was at a version.
type known struct {
	version  uint64
	declared *[]Spec // what the configuration said
	state    State
	devices  *Devices
}

// Journal is l for the namespace ns of a store.
func (l *Log) Journal(ns string) *Journal { return &Journal{log: l, key: stateKey(ns)} }

// Devices are the devices that record for whoever reads the state by r, which
// from then on depends on it; nil if none is enabled.
func (j *Journal) Devices(ctx context.Context, r storage.VersionReader) (*Devices, error) {
	if j == nil {
		return nil, nil
	}
	k, err := j.load(ctx, r)
	if err != nil {
		return nil, err
	}
	return k.devices, nil
}

func (j *Journal) load(ctx context.Context, r storage.VersionReader) (*known, error) {
	version, err := r.Version(ctx, j.key)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	if k := j.current.Load(); k != nil && k.version == version && k.declared == j.log.declared.Load() {
		return k, nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	e, err := r.Get(ctx, j.key)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	k := &known{version: e.Version, declared: j.log.declared.Load()}
	if e.Exists() {
		if err := json.Unmarshal(e.Value, &k.state); err != nil {
			return nil, fmt.Errorf("audit: decode the stored state: %w", err)
		}
	}
	if have := j.current.Load(); have != nil && have.version > k.version {
		return nil, storage.ErrConflict // read before a change that others know of
	}
	k.devices = j.log.devices(&k.state, *k.declared)
	j.current.Store(k)
	return k, nil
}

// Devices are what records at one moment.
type Devices struct{ list []*recorder }

// recorder is a device with its own form of records.
type recorder struct {
	device   *device
	fault    error // why there is no device
	settings settings
	hash     *hasher
	headers  []header
}

type header struct {
	name      string // in lower case
	canonical string
	hash      bool
}

// devices opens what s and the configuration say and closes what they no longer
// do. A device that cannot be opened is one that fails.
func (l *Log) devices(s *State, specs []Spec) *Devices {
	var headers []header
	for name, h := range s.Headers {
		headers = append(headers, header{name, http.CanonicalHeaderKey(name), h.HMAC})
	}
	slices.SortFunc(headers, func(a, b header) int { return bytes.Compare([]byte(a.name), []byte(b.name)) })
	var list []*recorder
	var ids []string
	for i, spec := range slices.Concat(specs, s.Devices) {
		declared := i < len(specs)
		if _, taken := overlap(specs, spec.Path); taken && !declared {
			continue // the configuration has taken its place
		}
		r := &recorder{headers: headers}
		if ids = append(ids, spec.ID); len(s.Key) == 0 {
			r.fault = errors.New("this cluster has no audit key yet: its active node makes one")
		} else if r.device, r.fault = l.open(spec, declared); r.fault == nil {
			r.settings, r.hash = r.device.settings, newHasher(salt(s.Key, spec.ID))
		} else {
			l.options.Logger.Error("an audit device cannot be opened; while no other records, nothing is served", "path", spec.Path, "error", r.fault)
		}
		list = append(list, r)
	}
	l.retain(ids)
	if len(list) == 0 {
		return nil
	}
	return &Devices{list}
}

// salt is the key of the hashes of the device with that ID.
func salt(key []byte, id string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte("audit salt\x00" + id))
	return h.Sum(nil)
}

// Request records that x is asked; fault is why it is refused, or "". Without
// an error at least one device has the record.
func (d *Devices) Request(ctx context.Context, x *Exchange, fault string) error {
	x.deferred = false
	return d.record(ctx, x, nil, fault)
}

// Defer is Request for what has no effect, such as a read: its record is made
// now and written with the answer's, or by Flush if it comes to act after all.
func (x *Exchange) Defer(fault string) { x.deferred, x.asked, x.fault = true, time.Now(), fault }

// Deferred says whether a record waits so.
func (x *Exchange) Deferred() bool { return x.deferred }

// Flush writes a deferred record.
func (d *Devices) Flush(ctx context.Context, x *Exchange) error {
	if !x.deferred {
		return nil
	}
	return d.Request(ctx, x, x.fault)
}

// Response records that x is answered with resp, or with fault.
func (d *Devices) Response(ctx context.Context, x *Exchange, resp *Response, fault string) error {
	if resp == nil {
		resp = &Response{}
	}
	return d.record(ctx, x, resp, fault)
}

// record gives a record to all devices and waits for each of them, up to its
// timeout. One that has it is enough.
func (d *Devices) record(ctx context.Context, x *Exchange, resp *Response, fault string) error {
	now := time.Now()
	var room [4]handed
	all, faults, full := room[:0], make([]error, len(d.list)), false
	buf := lines.Get().(*[]byte)
	for i, r := range d.list {
		var h handed
		if faults[i] = r.fault; faults[i] == nil {
			line := (*buf)[:0]
			if x.deferred {
				line = r.record(line, x, nil, x.fault, x.asked)
				h.first = len(line)
			}
			*buf = r.record(line, x, resp, fault, now)
			if h.batch, h.room, faults[i] = r.device.submit(*buf, h.first); h.room != nil {
				h.line, full = buf, true
				buf = lines.Get().(*[]byte)
			}
		}
		all = append(all, h)
	}
	putLine(buf)
	if resp != nil {
		x.release()
	}
	if full && len(all) > 1 {
		d.waitEach(ctx, all, faults, now)
	} else {
		for i := range all {
			if faults[i] == nil {
				faults[i] = d.list[i].device.wait(ctx, &all[i], now)
			}
		}
	}
	if slices.Contains(faults, nil) {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrNotRecorded, errors.Join(faults...))
}

// waitEach waits for all at once, each in a goroutine: one whose device has no
// room now is handed over when it has, however long another device takes.
func (d *Devices) waitEach(ctx context.Context, all []handed, faults []error, begun time.Time) {
	var waits sync.WaitGroup
	for i := range all {
		if faults[i] == nil {
			waits.Go(func() { faults[i] = d.list[i].device.wait(ctx, &all[i], begun) })
		}
	}
	waits.Wait()
}

// lines are buffers of records.
var lines = sync.Pool{New: func() any { b := make([]byte, 0, 4096); return &b }}

func putLine(buf *[]byte) {
	if cap(*buf) <= maxPending {
		clear(*buf) // of what log_raw may have shown
		lines.Put(buf)
	}
}

// Closed says whether err is that devices were disabled while they were to
// record: the Devices of now may be able to.
func Closed(err error) bool { return errors.Is(err, errClosed) }
