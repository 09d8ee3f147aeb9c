package audit

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// errClosed: the device was disabled meanwhile.
var errClosed = errors.New("the audit device was closed")

// maxPending bounds what may wait for a device that is slow, in bytes.
const maxPending = 4 << 20

// sink is where a device's records go. Its methods are called by one goroutine.
type sink interface {
	// write keeps the records, which end where ends says, and gives up at
	// deadline if it can.
	write(records []byte, ends []int, deadline time.Time) error
	// reopen gives up the file or connection; the next write opens it anew.
	reopen()
	close() error
}

// device takes records from any number of requests and writes them in a
// goroutine of its own, those that wait together at once: a request gives up
// waiting after the timeout, even where the operating system does not. It holds
// maxPending at the most; whoever comes with more waits, within the same timeout.
type device struct {
	spec     Spec
	settings settings
	declared bool
	sink     sink
	logger   hclog.Logger
	wake     chan struct{} // there is something to do
	ended    chan struct{}

	mu      sync.Mutex
	pending *batch
	room    chan struct{} // closed once pending is being written; nil: nobody waits for that
	spare   batch         // buffers to use again
	began   time.Time     // the write that runs; zero: none
	stale   bool          // reopen before the next write
	closed  bool

	trouble trouble // the goroutine's
}

// batch is the records of one write.
type batch struct {
	records []byte
	ends    []int
	done    chan struct{} // closed when err says what became of it
	err     error
}

func startDevice(s Spec, c settings, declared bool, to sink, logger hclog.Logger) *device {
	d := &device{spec: s, settings: c, declared: declared, sink: to, logger: logger.With("path", s.Path), wake: make(chan struct{}, 1), ended: make(chan struct{})}
	go d.run()
	return d
}

// handed is a record on its way to a device.
type handed struct {
	batch *batch          // that holds it; nil: none yet
	room  <-chan struct{} // closed when there may be room for it
	line  *[]byte         // of lines, until then; nil: none
	first int
}

// submit hands a record over, or two of which the first ends at first. It does
// not wait: a device that is stuck for longer than its timeout takes nothing, and
// one that holds as much as it may has a channel to wait for in place of a batch.
func (d *device) submit(record []byte, first int) (*batch, <-chan struct{}, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.closed:
		return nil, nil, errClosed
	case !d.began.IsZero() && time.Since(d.began) > d.settings.timeout:
		return nil, nil, fmt.Errorf("it has not finished a write for %v", time.Since(d.began).Truncate(time.Second))
	case d.pending != nil && len(d.pending.records)+len(record) > maxPending:
		if d.room == nil {
			d.room = make(chan struct{})
		}
		return nil, d.room, nil
	}
	if d.pending == nil {
		d.pending = &batch{records: d.spare.records[:0], ends: d.spare.ends[:0], done: make(chan struct{})}
		d.spare = batch{}
	}
	b := d.pending
	if first > 0 {
		b.ends = append(b.ends, len(b.records)+first)
	}
	b.records = append(b.records, record...)
	b.ends = append(b.ends, len(b.records))
	d.poke()
	return b, nil, nil
}

func (d *device) poke() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// wait returns what became of h, or an error once the device's timeout has
// passed since begun. Until there is room for it, it waits for that.
func (d *device) wait(ctx context.Context, h *handed, begun time.Time) error {
	timer := time.NewTimer(time.Until(begun.Add(d.settings.timeout)))
	defer timer.Stop()
	defer h.release()
	for h.batch == nil {
		select {
		case <-h.room:
		case <-timer.C:
			return fmt.Errorf("more than %d bytes have waited for it for %v", maxPending, d.settings.timeout)
		case <-ctx.Done():
			return ctx.Err()
		}
		var err error
		if h.batch, h.room, err = d.submit(*h.line, h.first); err != nil {
			return err
		}
	}
	select {
	case <-h.batch.done:
	case <-timer.C:
		select {
		case <-h.batch.done: // while another device was waited for
		default:
			return fmt.Errorf("it took longer than %v", d.settings.timeout)
		}
	case <-ctx.Done():
		return ctx.Err()
	}
	return h.batch.err
}

func (h *handed) release() {
	if h.line != nil {
		putLine(h.line)
	}
}

// run writes batch after batch until the device is closed and nothing waits.
func (d *device) run() {
	defer close(d.ended)
	for range d.wake {
		runtime.Gosched() // after those that are about to submit: half the system calls under load (BenchmarkRecordFile)
		for {
			d.mu.Lock()
			b, stale, closed := d.pending, d.stale, d.closed
			d.pending, d.stale = nil, false
			if b != nil {
				d.began = time.Now()
			}
			if d.room != nil {
				close(d.room)
				d.room = nil
			}
			began := d.began
			d.mu.Unlock()
			if stale {
				d.sink.reopen()
			}
			if b == nil {
				if closed {
					return
				}
				break
			}
			b.err = d.sink.write(b.records, b.ends, began.Add(d.settings.timeout))
			d.trouble.note(d.logger, b.err)
			d.mu.Lock()
			d.began = time.Time{}
			if cap(b.records) <= maxPending {
				d.spare = batch{records: b.records, ends: b.ends}
			}
			d.mu.Unlock()
			close(b.done)
		}
	}
}

// probe writes nothing, to find out whether the sink can be opened.
func (d *device) probe() error {
	if p, ok := d.sink.(interface{ probe() error }); ok {
		return p.probe()
	}
	return nil
}

func (d *device) reopen() {
	d.mu.Lock()
	d.stale = true
	d.mu.Unlock()
	d.poke()
}

// close lets what waits be written, within the timeout, and closes the sink. A
// write that never ends keeps its goroutine.
func (d *device) close() error {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.poke()
	select {
	case <-d.ended:
		return d.sink.close()
	case <-time.After(d.settings.timeout):
		return fmt.Errorf("%s: a write has not ended", d.spec.Path)
	}
}

// trouble logs that a device fails, at once and then once a minute, and that it
// does no more.
type trouble struct {
	since, said time.Time
	failed      int
}

func (t *trouble) note(logger hclog.Logger, err error) {
	now := time.Now()
	switch {
	case err == nil && t.since.IsZero():
	case err == nil:
		logger.Info("the audit device records again", "failed_writes", t.failed, "after", now.Sub(t.since).Truncate(time.Second).String())
		*t = trouble{}
	default:
		if t.failed++; t.since.IsZero() {
			t.since = now
		}
		if now.Sub(t.said) >= time.Minute {
			t.said = now
			logger.Error("the audit device cannot record; while no other can, nothing is served", "error", err, "failed_writes", t.failed)
		}
	}
}
