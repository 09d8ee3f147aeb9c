// Package inspect owns what an operator may look at of a running server: the
// requests under way, its log as it is written and how much is written of it,
// and profiles of the process. It never sees a token, a body or an answer.
package inspect

import (
	"sync"
	"time"
)

// Flights are the requests under way on this node. The zero Flights, and nil,
// are ready to use. Safe for concurrent use.
type Flights struct {
	parts [16]part
}

type part struct {
	mu  sync.Mutex
	all map[string]Flight
	_   [48]byte // so that two parts share no line of memory
}

// part is where the request of that id, a UUID, is noted: requests wait for one
// another once in sixteen times only.
func (f *Flights) part(id string) *part {
	if id == "" {
		return &f.parts[0]
	}
	return &f.parts[int(id[0])%len(f.parts)]
}

// Flight is one request under way.
type Flight struct {
	Start         time.Time `json:"start_time"`
	RemoteAddress string    `json:"client_remote_address"`
	Path          string    `json:"request_path"` // with the query left out: it may hold anything
	Method        string    `json:"request_method"`
	ClientID      string    `json:"client_id"` // not known before the request is served
}

// Begin notes that the request of that id is under way; End, that it is not.
func (f *Flights) Begin(id string, flight Flight) {
	if f == nil {
		return
	}
	p := f.part(id)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all == nil {
		p.all = map[string]Flight{}
	}
	p.all[id] = flight
}

// End forgets the request of that id.
func (f *Flights) End(id string) {
	if f == nil {
		return
	}
	p := f.part(id)
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.all, id)
}

// All are the requests under way, by their ids.
func (f *Flights) All() map[string]Flight {
	out := map[string]Flight{}
	if f == nil {
		return out
	}
	for i := range f.parts {
		p := &f.parts[i]
		p.mu.Lock()
		for id, flight := range p.all {
			out[id] = flight
		}
		p.mu.Unlock()
	}
	return out
}

// Len is how many requests are under way.
func (f *Flights) Len() (n int) {
	if f == nil {
		return 0
	}
	for i := range f.parts {
		p := &f.parts[i]
		p.mu.Lock()
		n += len(p.all)
		p.mu.Unlock()
	}
	return n
}
