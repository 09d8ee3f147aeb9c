package database

import (
	"context"
	"sync"
	"time"

	"strongroom/engine"
	"strongroom/engine/database/dbms"
)

// unused is after how long connections that nobody asks for are let go, whatever
// their own settings are: what an engine that was replaced still opened ends by it.
const unused = 5 * time.Minute

// servers are the pools of connections, by the name of their connection. Safe for
// concurrent use.
type servers struct {
	mu   sync.Mutex
	open map[string]*held
}

// held is one pool, made of settings; another is made when they have changed.
type held struct {
	server
	settings dbms.Settings
	idle     *time.Timer
}

func newServers() *servers { return &servers{open: map[string]*held{}} }

// get is the pool of settings for the connection called name.
func (s *servers) get(name string, k kind, settings dbms.Settings) (server, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.open[name]; h != nil && h.settings == settings && h.idle.Reset(unused) {
		return h.server, nil
	}
	s.drop(name)
	srv, err := k.open(settings)
	if err != nil {
		return nil, engine.Invalidf("%v", err)
	}
	h := &held{server: srv, settings: settings}
	h.idle = time.AfterFunc(unused, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.open[name] == h {
			s.drop(name)
		} else {
			h.Close()
		}
	})
	s.open[name] = h
	return srv, nil
}

// drop closes the pool called name; mu is held.
func (s *servers) drop(name string) {
	if h := s.open[name]; h != nil {
		h.idle.Stop()
		h.Close()
		delete(s.open, name)
	}
}

// close closes the pools of the connection called name.
func (s *servers) close(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(name)
	s.drop(pendingOf(name))
}

func (s *servers) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range s.open {
		s.drop(name)
	}
}

// pendingOf names the pool with the password that is being set; no connection is
// called so.
func pendingOf(name string) string { return name + "/pending" }

// locks let one at a time change the password of a user. Waiting for one ends with
// its context.
type locks struct {
	mu   sync.Mutex
	held map[string]chan struct{}
}

func newLocks() *locks { return &locks{held: map[string]chan struct{}{}} }

// take waits for the lock called name, and returns what gives it back.
func (l *locks) take(ctx context.Context, name string) (release func(), err error) {
	for {
		l.mu.Lock()
		busy := l.held[name]
		if busy == nil {
			mine := make(chan struct{})
			l.held[name] = mine
			l.mu.Unlock()
			return func() {
				l.mu.Lock()
				defer l.mu.Unlock()
				delete(l.held, name)
				close(mine)
			}, nil
		}
		l.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
