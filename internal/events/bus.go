package events

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Why a subscription ends by itself.
var (
	// ErrSlow: events were forgotten before the subscriber took them.
	ErrSlow = errors.New("events: the subscriber was too slow")
	// ErrClosed: this node's turn as the active one is over, and what happens now
	// is told elsewhere.
	ErrClosed = errors.New("events: closed")
	// ErrFull: there are too many subscribers already.
	ErrFull = errors.New("events: too many subscribers")
)

// Limits are what a Bus keeps.
type Limits struct {
	Events      int // the last ones, for subscribers that are behind
	Bytes       int // of these events, about
	Subscribers int
}

// DefaultLimits keep what a busy server tells in some seconds, in 16 MiB at the most.
var DefaultLimits = Limits{Events: 1 << 14, Bytes: 16 << 20, Subscribers: 10_000}

// Bus hands every event to all subscribers, in the order in which it was
// published. It keeps a window of the last events, one for all: a subscriber is
// a place in it, and one whose place has left the window is cut off. So
// subscribers cost no buffers, and Publish costs the same for any number of
// them. Safe for concurrent use.
type Bus struct {
	limits    Limits
	listeners atomic.Int64
	cut       atomic.Uint64

	bell chan struct{} // rung by Publish, for Run

	mu     sync.RWMutex
	window []*Event // a ring: the event n is at n%len
	first  uint64   // number of the oldest event in the window
	next   uint64   // number of the event that comes next
	bytes  int
	closed bool
	more   chan struct{} // closed when there may be more
}

// NewBus makes a bus; Run must run.
func NewBus(limits Limits) *Bus {
	return &Bus{limits: limits, bell: make(chan struct{}, 1), more: make(chan struct{})}
}

// Run wakes subscribers, so that no writer has to, until ctx ends. Then it
// closes the bus, and every subscription with it.
func (b *Bus) Run(ctx context.Context) {
	for {
		select {
		case <-b.bell:
			b.wake(false)
		case <-ctx.Done():
			b.wake(true)
			return
		}
	}
}

func (b *Bus) wake(last bool) {
	b.mu.Lock()
	waiting := b.more
	b.more = make(chan struct{})
	if last {
		b.closed, b.window = true, nil
	}
	b.mu.Unlock()
	close(waiting)
}

// Listening says whether anybody subscribes.
func (b *Bus) Listening() bool { return b.listeners.Load() > 0 }

// Publish adds events. It never blocks.
func (b *Bus) Publish(events ...*Event) {
	if !b.Listening() {
		return
	}
	b.mu.Lock()
	if !b.closed {
		for _, e := range events {
			b.add(e)
		}
	}
	b.mu.Unlock()
	select {
	case b.bell <- struct{}{}:
	default:
	}
}

func (b *Bus) add(e *Event) {
	if b.window == nil {
		b.window = make([]*Event, b.limits.Events)
	}
	b.bytes += e.size()
	for b.first < b.next && (b.next-b.first == uint64(len(b.window)) || b.bytes > b.limits.Bytes) {
		b.bytes -= b.at(b.first).size()
		b.window[b.first%uint64(len(b.window))] = nil
		b.first++
	}
	b.window[b.next%uint64(len(b.window))] = e
	b.next++
}

func (b *Bus) at(n uint64) *Event { return b.window[n%uint64(len(b.window))] }

// Stats are what a bus has to tell of itself.
type Stats struct {
	Subscribers int
	Published   uint64
	Cut         uint64 // subscribers that were too slow
}

// Stats are those of now.
func (b *Bus) Stats() Stats {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return Stats{Subscribers: int(b.listeners.Load()), Published: b.next, Cut: b.cut.Load()}
}

// Subscription is one subscriber's place in the bus. It belongs to one goroutine.
type Subscription struct {
	bus  *Bus
	at   uint64
	slow bool
}

// Subscribe returns a subscription to all that is published from now on.
func (b *Bus) Subscribe() (*Subscription, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return nil, ErrClosed
	case b.listeners.Load() >= int64(b.limits.Subscribers):
		return nil, ErrFull
	}
	b.listeners.Add(1)
	return &Subscription{bus: b, at: b.next}, nil
}

// Next returns the next event, or nil if tick ticks while there is none; after
// ErrSlow or ErrClosed nothing follows.
func (s *Subscription) Next(ctx context.Context, tick <-chan time.Time) (*Event, error) {
	for {
		e, more, err := s.take()
		if e != nil || err != nil {
			return e, err
		}
		select {
		case <-more:
		case <-tick:
			return nil, nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// take returns the next event, or what to wait for.
func (s *Subscription) take() (*Event, <-chan struct{}, error) {
	b := s.bus
	b.mu.RLock()
	defer b.mu.RUnlock()
	switch {
	case b.closed:
		return nil, nil, ErrClosed
	case s.at < b.first:
		s.Slow()
		return nil, nil, ErrSlow
	case s.at < b.next:
		s.at++
		return b.at(s.at - 1), nil, nil
	}
	return nil, b.more, nil
}

// Slow counts the subscriber as one that was too slow.
func (s *Subscription) Slow() {
	if !s.slow {
		s.slow = true
		s.bus.cut.Add(1)
	}
}

// Close ends the subscription. With the last one the bus forgets its events.
func (s *Subscription) Close() {
	b := s.bus
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.listeners.Add(-1) == 0 {
		b.window, b.bytes, b.first = nil, 0, b.next
	}
}
