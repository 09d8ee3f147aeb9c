package instant

import "time"

// Share makes the hub's controllers work only on namespaces of which begin says that they are this replica's; what it
// returns beside is called when a look is over. It must be called before any controller starts.
func (h *Hub) Share(begin func(namespace string) (done func(), ours bool)) { h.begins = begin }

// Gained has what waits in namespaces that are now this replica's be looked at.
func (h *Hub) Gained(ours func(namespace string) bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for t, known := range h.parked {
		if !ours(t.request.Namespace) {
			continue
		}
		delete(h.parked, t)
		switch {
		case known: // what this replica remembers of it is of before another worked on it
			t.wake(0, normal)
		case t.watcher.queue != nil:
			t.watcher.queue.Add(t.request)
		}
	}
}

// park remembers a resource of another replica, and forgets all else about it.
func (h *Hub) park(t target) {
	known := h.metrics.forget(t)
	t.watcher.pace.Forget(t.request)
	h.forget(t)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.parked[t] = h.parked[t] || known
}

func (h *Hub) unpark(t target) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.parked[t] {
		t.watcher.woken[t.request] = time.Now()
	}
	delete(h.parked, t)
}
