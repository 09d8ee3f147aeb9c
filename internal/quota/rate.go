package quota

import (
	"hash/fnv"
	"math"
	"sync"
	"time"
)

// Verdict is what a rate limit says of one request.
type Verdict struct {
	Allowed   bool
	Limit     int64     // requests an interval
	Remaining int64     // that may be made at once
	Reset     time.Time // when there is another, or all, where there are some
}

// After is how long a refused client is to wait, at least a second.
func (v Verdict) After(now time.Time) time.Duration { return max(v.Reset.Sub(now), time.Second) }

// Take counts a request of client by rule, on this node.
func (s *Store) Take(rule *Rule, client string, rate float64, now time.Time) Verdict {
	l, ok := s.limiters.Load(rule.ID)
	if !ok {
		l, _ = s.limiters.LoadOrStore(rule.ID, new(limiter))
	}
	return l.(*limiter).take(client, rate, rule.Interval, rule.BlockInterval, now)
}

// limiter holds a bucket for each client that asked lately.
type limiter struct{ parts [16]part }

// part has two generations: who asks is in young, or moved there; old is dropped
// whole when young is full, so that many clients cost no more than few.
type part struct {
	mu         sync.Mutex
	young, old map[string]*bucket
}

func (p *part) bucket(client string, size float64, now time.Time) *bucket {
	if b := p.young[client]; b != nil {
		return b
	}
	b := p.old[client]
	if b == nil {
		b = &bucket{tokens: size, at: now}
	}
	if p.young == nil || len(p.young) >= mostClients {
		p.old, p.young = p.young, map[string]*bucket{}
	}
	p.young[client] = b
	return b
}

// bucket holds tokens, a request takes one; they come back evenly over the interval.
type bucket struct {
	tokens  float64
	at      time.Time // of the last look
	blocked time.Time // until when nothing is allowed
}

// mostClients bounds the buckets of one generation of a part.
const mostClients = 4096

func (l *limiter) take(client string, rate float64, interval, block time.Duration, now time.Time) Verdict {
	h := fnv.New32a()
	h.Write([]byte(client))
	p := &l.parts[h.Sum32()%uint32(len(l.parts))]
	p.mu.Lock()
	defer p.mu.Unlock()
	size := max(rate, 1)
	b := p.bucket(client, size, now)
	back := now.Sub(b.at)
	b.tokens = min(size, b.tokens+rate*float64(back)/float64(interval))
	b.at = now
	v := Verdict{Limit: int64(math.Ceil(rate))}
	until := func(tokens float64) time.Time {
		return now.Add(time.Duration(math.Ceil((tokens - b.tokens) * float64(interval) / rate)))
	}
	switch {
	case now.Before(b.blocked):
		v.Reset = b.blocked
		return v
	case b.tokens < 1-1e-9: // what is not whole for rounding alone is whole
		if v.Reset = until(1); block > 0 {
			b.blocked = now.Add(block)
			v.Reset = b.blocked
		}
		return v
	}
	b.tokens--
	v.Allowed, v.Remaining, v.Reset = true, int64(b.tokens), until(size)
	return v
}
