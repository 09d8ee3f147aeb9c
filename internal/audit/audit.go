// Package audit owns the audit log: the records of what was asked and answered,
// the keyed hashes that stand in them for secrets, and the devices that keep
// them. It decides nothing about requests: whoever serves one records it before
// it acts and again before its answer leaves, and gives up if that fails. A
// secret in clear is only ever in memory here, unless a device's log_raw asks
// for it.
package audit

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/go-hclog"
)

// ErrNotRecorded: no device could record. Whatever was to be recorded must not
// happen, and its answer must not leave.
var ErrNotRecorded = errors.New("no audit device could record")

// Spec says what a device is: where it is in sys/audit, its type and options
// (https://developer.hashicorp.com/vault/docs/audit).
type Spec struct {
	Path        string            `json:"path"` // with a trailing slash: "file/"
	Type        string            `json:"type"` // file, socket, syslog or http
	Description string            `json:"description,omitempty"`
	Options     map[string]string `json:"options,omitempty"`
	Local       bool              `json:"local,omitempty"`
	// ID tells this device from one that was at its path before; its hashes
	// depend on it. A declared device is known by its path for good.
	ID string `json:"id"`
}

// Options are what a Log is opened with.
type Options struct {
	AllowAPI    bool      // devices may be enabled through the API
	AllowPrefix bool      // and such devices may have a prefix
	Forbidden   []string  // files and folders that no file device writes to, besides those of programs
	Stdout      io.Writer // of file_path = "stdout"; nil: os.Stdout
	Node        string    // this node's id, for who searches its files
	Logger      hclog.Logger
}

// Log is the devices of this process. Safe for concurrent use.
type Log struct {
	options  Options
	declared atomic.Pointer[[]Spec] // replaced whole, by Redeclare

	mu      sync.Mutex
	live    map[string]*device // by Spec.ID
	closing sync.WaitGroup     // devices that were disabled
}

// Open opens the devices that the configuration declares: one that cannot be
// opened is an error that says what to do.
func Open(declared []Spec, options Options) (*Log, error) {
	if options.Stdout == nil {
		options.Stdout = os.Stdout
	}
	if options.Logger == nil {
		options.Logger = hclog.NewNullLogger()
	}
	l := &Log{options: options, live: map[string]*device{}}
	l.declared.Store(&[]Spec{})
	if _, err := l.Redeclare(declared); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// Redeclare puts other declared devices in the place of the present ones, and
// says whether any differs. An error says what to do, and leaves all as it was.
// What records meanwhile goes on with the old ones or the new ones.
func (l *Log) Redeclare(declared []Spec) (changed bool, err error) {
	next := make([]Spec, 0, len(declared))
	fresh := map[string]*device{}
	discard := func(err error) (bool, error) {
		for _, d := range fresh {
			err = errors.Join(err, d.close())
		}
		return false, err
	}
	for _, s := range declared {
		path, err := CleanPath(s.Path)
		if err != nil {
			return discard(err)
		}
		s.Path, s.ID = path, "declared/"+path
		if other, taken := overlap(next, s.Path); taken {
			return discard(fmt.Errorf("audit: two devices at %s and %s: give them paths of their own", other, s.Path))
		}
		next = append(next, s)
		if slices.ContainsFunc(l.specs(), s.same) {
			continue
		}
		d, err := l.make(s, true)
		if err == nil {
			fresh[s.ID] = d
			err = d.probe()
		}
		if err != nil {
			return discard(fmt.Errorf("audit device %s: %w", s.Path, err))
		}
	}
	if len(fresh) == 0 && len(next) == len(l.specs()) {
		return false, nil
	}
	l.replace(next, fresh)
	return true, nil
}

// replace makes next the declared devices, of which fresh are new.
func (l *Log) replace(next []Spec, fresh map[string]*device) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, d := range l.live {
		_, renewed := fresh[id]
		if d.declared && (renewed || !slices.ContainsFunc(next, func(s Spec) bool { return s.ID == id })) {
			delete(l.live, id)
			l.end(d)
		}
	}
	maps.Copy(l.live, fresh)
	l.declared.Store(&next)
}

// same says whether other is the same device with the same options.
func (s Spec) same(other Spec) bool {
	return maps.Equal(s.Options, other.Options) && s.Path == other.Path && s.Type == other.Type && s.Description == other.Description && s.Local == other.Local && s.ID == other.ID
}

// specs are the declared devices.
func (l *Log) specs() []Spec { return *l.declared.Load() }

// open makes s's device, or finds it; mu is not held.
func (l *Log) open(s Spec, trusted bool) (*device, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if d := l.live[s.ID]; d != nil {
		return d, nil
	}
	d, err := l.make(s, trusted)
	if err == nil {
		l.live[s.ID] = d
	}
	return d, err
}

// retain closes all devices but the declared ones and those with the IDs given.
func (l *Log) retain(ids []string) {
	l.mu.Lock()
	var gone []*device
	for id, d := range l.live {
		if !d.declared && !slices.Contains(ids, id) {
			gone = append(gone, d)
			delete(l.live, id)
		}
	}
	l.mu.Unlock()
	for _, d := range gone {
		l.end(d)
	}
}

// end closes d, which may take its timeout, for which nobody should wait.
func (l *Log) end(d *device) {
	l.closing.Go(func() {
		if err := d.close(); err != nil {
			l.options.Logger.Warn("closing an audit device", "path", d.spec.Path, "error", err)
		}
	})
}

// Reopen has every device open its file or connection anew, after a rotation.
func (l *Log) Reopen() {
	l.mu.Lock()
	devices := slices.Collect(maps.Values(l.live))
	l.mu.Unlock()
	for _, d := range devices {
		d.reopen()
	}
}

// Close writes what is under way and closes all devices.
func (l *Log) Close() error {
	l.mu.Lock()
	devices := l.live
	l.live = map[string]*device{}
	l.mu.Unlock()
	var errs []error
	for _, d := range devices {
		errs = append(errs, d.close())
	}
	l.closing.Wait()
	return errors.Join(errs...)
}

// CleanPath brings the path of a device to its stored form, or says why it
// cannot be one.
func CleanPath(path string) (string, error) {
	clean := strings.Trim(path, "/") + "/"
	for seg := range strings.SplitSeq(strings.TrimSuffix(clean, "/"), "/") {
		if seg == "" || seg == "." || seg == ".." || strings.ContainsAny(seg, "*+\"\\") || strings.ContainsFunc(seg, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\ufffd' }) {
			return "", fmt.Errorf("invalid audit device path: each segment must be printable text without '*', '+', quotes and backslashes")
		}
	}
	return clean, nil
}

// overlap finds the device whose path contains path or is contained in it.
func overlap(specs []Spec, path string) (string, bool) {
	i := slices.IndexFunc(specs, func(s Spec) bool { return strings.HasPrefix(s.Path, path) || strings.HasPrefix(path, s.Path) })
	if i < 0 {
		return "", false
	}
	return specs[i].Path, true
}
