package engine

import "strings"

// Event is something that has happened to the data of a mount, for those who
// subscribe to it (https://developer.hashicorp.com/vault/docs/concepts/events).
// It is told to whoever may subscribe to its path, so it never holds a secret.
type Event struct {
	Type string // "kv-v2/data-write"; what follows the slash is the operation
	// Path, below the mount, is the API path that was called. Callers with the
	// subscribe capability on it are told of the event.
	Path string
	// DataPath, below the mount, is where the data that the event is about is
	// read; "" if there is none to read.
	DataPath string
	// Subject, below the mount, is where what changed is read, or was: whoever may
	// read that may follow it. "" if the event is about nothing that is read.
	Subject  string
	Modified bool              // data was changed
	Metadata map[string]string // what else events of the type tell
}

// Operation is what was done: "data-write".
func (e *Event) Operation() string {
	_, op, _ := strings.Cut(e.Type, "/")
	return op
}

// Emit has subscribers told of e once what the handler wrote is committed, and
// of nothing if that fails, or if it wrote nothing.
func (r *Request) Emit(e Event) { r.events = append(r.events, e) }

// Events are what the handler has emitted.
func (r *Request) Events() []Event { return r.events }
