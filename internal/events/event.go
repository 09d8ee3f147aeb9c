// Package events owns what is told of changes to those who subscribe
// (https://developer.hashicorp.com/vault/docs/concepts/events): the bus that one
// active node's events go through, what a subscription selects, and the two forms
// of an event (docs/format/events.md). It decides no policy and knows no
// connection.
package events

import (
	"maps"
	"strconv"
	"time"

	"github.com/google/uuid"

	"strongroom/engine"
)

// Event is an engine's event with where and when it happened. It never changes.
type Event struct {
	engine.Event
	ID        string
	Time      time.Time
	Version   uint64 // of the write that it tells of, as the storage counts
	Namespace string // path; "" is the root, others end in a slash
	Mount     engine.Mount
	Class     string // of the mount: "secret" or "auth"
	Local     bool   // the mount is
}

// New is e, which happened to mount when version was written.
func New(e engine.Event, namespace string, mount engine.Mount, class string, version uint64) *Event {
	return &Event{Event: e, ID: uuid.NewString(), Time: time.Now(), Version: version, Namespace: namespace, Mount: mount, Class: class}
}

// path is p, below the mount, from the namespace's root; "" stays "".
func (e *Event) path(p string) string {
	if p == "" {
		return ""
	}
	return e.Mount.Path + p
}

// APIPath is the API path that was called; "" if the event is about none.
func (e *Event) APIPath() string { return e.path(e.Path) }

// SubjectPath is the API path at which what changed is read; "" if there is none.
func (e *Event) SubjectPath() string { return e.path(e.Subject) }

// metadata is what the event tells; index is the state that the write made, as
// X-Vault-Index says it, or "".
func (e *Event) metadata(index string) map[string]string {
	out := make(map[string]string, len(e.Metadata)+5)
	maps.Copy(out, e.Metadata)
	out["modified"] = strconv.FormatBool(e.Modified)
	out["operation"] = e.Operation()
	for name, value := range map[string]string{"path": e.APIPath(), "data_path": e.path(e.DataPath), "vault_index": index} {
		if value != "" {
			out[name] = value
		}
	}
	return out
}

// size is about what the event takes in memory, in bytes.
func (e *Event) size() int {
	n := 512 + len(e.Path) + len(e.DataPath) + len(e.Subject) + len(e.Mount.Path)
	for name, value := range e.Metadata {
		n += 64 + len(name) + len(value)
	}
	return n
}
