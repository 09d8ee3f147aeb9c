package events

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"strongroom/engine"
)

func numbered(n int) *Event { return &Event{Event: engine.Event{Path: fmt.Sprint(n)}} }

// running is a bus that wakes its subscribers until the test ends.
func running(t *testing.T, limits Limits) (b *Bus, stop func()) {
	t.Helper()
	b = NewBus(limits)
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() { b.Run(ctx) })
	stop = func() { cancel(); done.Wait() }
	t.Cleanup(stop)
	return b, stop
}

func subscribe(t *testing.T, b *Bus) *Subscription {
	t.Helper()
	s, err := b.Subscribe()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestBusOrder: each of many subscribers takes all that is published while it
// listens, in that order.
func TestBusOrder(t *testing.T) {
	const events, readers = 5000, 20
	b, _ := running(t, Limits{Events: events, Bytes: 1 << 30, Subscribers: readers})
	b.Publish(numbered(-1)) // to nobody
	var all sync.WaitGroup
	for range readers {
		s := subscribe(t, b)
		all.Go(func() {
			defer s.Close()
			for want := range events {
				e, err := s.Next(t.Context(), nil)
				if err != nil || e.Path != fmt.Sprint(want) {
					t.Errorf("event %d: %v, %v", want, e, err)
					return
				}
			}
		})
	}
	for n := 0; n < events; n += 2 {
		b.Publish(numbered(n), numbered(n+1))
	}
	all.Wait()
	if b.Listening() || b.window != nil {
		t.Error("a bus without subscribers keeps events")
	}
	if st := b.Stats(); st != (Stats{Published: events}) {
		t.Errorf("%+v", st)
	}
}

// TestBusSlow: who falls out of the window, by number or by bytes, is told so
// and counted; who does not, misses nothing.
func TestBusSlow(t *testing.T) {
	for name, limits := range map[string]Limits{
		"events": {Events: 10, Bytes: 1 << 30, Subscribers: 9},
		"bytes":  {Events: 1000, Bytes: 10 * numbered(0).size(), Subscribers: 9},
	} {
		t.Run(name, func(t *testing.T) {
			b, _ := running(t, limits)
			slow, quick := subscribe(t, b), subscribe(t, b)
			defer quick.Close()
			for n := range 11 {
				b.Publish(numbered(n % 10))
				if e, err := quick.Next(t.Context(), nil); err != nil || e.Path != fmt.Sprint(n%10) {
					t.Fatalf("%d: %v %v", n, e, err)
				}
			}
			for range 2 {
				if _, err := slow.Next(t.Context(), nil); !errors.Is(err, ErrSlow) {
					t.Fatalf("the slow one: %v", err)
				}
			}
			slow.Close()
			if st := b.Stats(); st.Cut != 1 || st.Subscribers != 1 {
				t.Errorf("%+v", st)
			}
			late := subscribe(t, b)
			defer late.Close()
			b.Publish(numbered(42))
			if e, err := late.Next(t.Context(), nil); err != nil || e.Path != "42" {
				t.Errorf("the late one: %v %v", e, err)
			}
		})
	}
}

// TestBusLarge: one event over the limit of bytes is told all the same.
func TestBusLarge(t *testing.T) {
	b, _ := running(t, Limits{Events: 10, Bytes: 1000, Subscribers: 1})
	s := subscribe(t, b)
	defer s.Close()
	for range 3 {
		e := numbered(1)
		e.DataPath = strings.Repeat("x", 2000)
		b.Publish(e)
		if got, err := s.Next(t.Context(), nil); got != e || err != nil {
			t.Fatal(got, err)
		}
	}
}

func TestBusLimit(t *testing.T) {
	b, _ := running(t, Limits{Events: 1, Bytes: 1, Subscribers: 2})
	one := subscribe(t, b)
	defer subscribe(t, b).Close()
	if _, err := b.Subscribe(); !errors.Is(err, ErrFull) {
		t.Fatalf("one too many: %v", err)
	}
	one.Close()
	subscribe(t, b).Close()
}

// TestBusCloses: the end of the bus wakes who waits, and nobody can join after it.
func TestBusCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, stop := running(t, DefaultLimits)
		s := subscribe(t, b)
		ended := make(chan error, 1)
		go func() {
			_, err := s.Next(t.Context(), nil)
			ended <- err
		}()
		synctest.Wait()
		stop()
		if err := <-ended; !errors.Is(err, ErrClosed) {
			t.Errorf("who waited: %v", err)
		}
		b.Publish(numbered(1))
		if _, err := s.Next(t.Context(), nil); !errors.Is(err, ErrClosed) {
			t.Errorf("after the end: %v", err)
		}
		s.Close()
		if _, err := b.Subscribe(); !errors.Is(err, ErrClosed) {
			t.Errorf("joining after the end: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		b2, _ := running(t, DefaultLimits)
		if _, err := subscribe(t, b2).Next(ctx, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("who gives up: %v", err)
		}
	})
}

func BenchmarkPublish(b *testing.B) {
	for _, readers := range []int{0, 1, 1000} {
		b.Run(fmt.Sprint(readers), func(b *testing.B) {
			bus := NewBus(Limits{Events: 1 << 14, Bytes: 1 << 30, Subscribers: readers})
			ctx, cancel := context.WithCancel(b.Context())
			var all sync.WaitGroup
			all.Go(func() { bus.Run(ctx) })
			for range readers {
				s, err := bus.Subscribe()
				if err != nil {
					b.Fatal(err)
				}
				all.Go(func() {
					defer func() { s.Close() }()
					for ctx.Err() == nil {
						if _, err := s.Next(ctx, nil); errors.Is(err, ErrSlow) {
							s.at = bus.Stats().Published // goes on as a new subscriber
						}
					}
				})
			}
			e := numbered(1)
			for b.Loop() {
				bus.Publish(e)
			}
			cancel()
			all.Wait()
		})
	}
}
