package gateway

import (
	"context"
	"errors"
	"strings"
	"time"

	"strongroom/engine"
	"strongroom/internal/lease"
	"strongroom/internal/mount"
	"strongroom/internal/storage"
)

// End ends the lease or token called id, or all below id, before it returns. The
// error is one of those that occurred; force goes on as if there were none.
func (l *Lessor) End(ctx context.Context, ns, id string, force bool) error {
	book := lease.Open(ns)
	rec, tok, err := book.Get(ctx, storage.Begin(l.store), id)
	if err != nil {
		return err
	}
	if rec != nil || tok != "" {
		return l.endOne(ctx, ns, id, force)
	}
	var batch []string
	var failed error
	flush := func() {
		if err := each(batch, func(id string) error { return l.endOne(ctx, ns, id, force) }); err != nil {
			failed = err
		}
		batch = batch[:0]
	}
	for id, err := range book.Under(ctx, l.store, folder(id), "") {
		if err != nil {
			return err
		}
		if batch = append(batch, id); len(batch) == leaseBatch {
			flush()
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	flush()
	return failed
}

func (l *Lessor) endOne(ctx context.Context, ns, id string, force bool) error {
	tok := ""
	err := again(ctx, func() error {
		tx := storage.Begin(l.store)
		var err error
		if _, tok, err = lease.Open(ns).Get(ctx, tx, id); err != nil || tok == "" {
			return err
		}
		if _, err := l.tokens.At(ns).End(ctx, tx, pathOf(id), tok, ""); err != nil {
			return err
		}
		return tx.Commit(ctx)
	})
	if err != nil || tok != "" {
		return err
	}
	if _, err = l.take(ctx, ns, id, 0, force); err != nil && engine.KindOf(err) == engine.Internal {
		err = &engine.Error{Kind: engine.Upstream, Text: err.Error()}
	}
	return err
}

// pathOf is a lease id without its last segment.
func pathOf(id string) string { return id[:max(0, strings.LastIndexByte(id, '/'))] }

// EndLater has all leases and tokens below prefix, or the one of that name, end,
// in tx as far as a transaction holds them, and the rest in the background.
func (l *Lessor) EndLater(ctx context.Context, tx *storage.Tx, ns, id string) error {
	book := lease.Open(ns)
	rec, tok, err := book.Get(ctx, tx, id)
	switch {
	case err != nil:
		return err
	case rec != nil:
		return book.End(tx, rec)
	case tok != "":
		_, err := l.tokens.At(ns).End(ctx, tx, pathOf(id), tok, "")
		return err
	}
	last, err := l.endBatch(ctx, tx, ns, folder(id), "", "")
	if err == nil && last != "" {
		book.EndLater(tx, folder(id))
	}
	return err
}

// endBatch tells up to leaseBatch of the leases and tokens below prefix, after
// the id after, to end: those of one mount, or all if that is "". It returns the
// last, "" if there are no more.
func (l *Lessor) endBatch(ctx context.Context, tx *storage.Tx, ns, prefix, after, uuid string) (last string, err error) {
	book, n := lease.Open(ns), 0
	for id, err := range book.Under(ctx, l.store, prefix, after) {
		if err != nil {
			return "", err
		}
		if n == leaseBatch {
			return last, nil
		}
		rec, tok, err := book.Get(ctx, tx, id)
		switch {
		case err != nil:
		case tok != "":
			_, err = l.tokens.At(ns).End(ctx, tx, pathOf(id), tok, uuid)
		case rec != nil && !rec.Over(time.Now()) && (uuid == "" || rec.Mount == uuid):
			err = book.End(tx, rec)
		}
		if err != nil {
			return "", err
		}
		last = id
		n++
	}
	return "", nil
}

// endUnder is endBatch until there are no more; then is what the last one writes besides.
func (l *Lessor) endUnder(ctx context.Context, ns, prefix, uuid string, then func(tx *storage.Tx)) error {
	after := ""
	for {
		tx := storage.Begin(l.store)
		last, err := l.endBatch(ctx, tx, ns, prefix, after, uuid)
		if err != nil {
			return err
		}
		if last == "" {
			then(tx)
		}
		switch err := tx.Commit(ctx); {
		case errors.Is(err, storage.ErrConflict):
			continue // somebody else has changed one of them
		case err != nil:
			return err
		case last == "":
			return nil
		}
		after = last
	}
}

// SweepLater does what EndLater left for the background.
func (l *Lessor) SweepLater(ctx context.Context) (n int, err error) {
	for later, err := range lease.Later(ctx, l.store) {
		if err != nil {
			return n, err
		}
		ns, prefix := later[0], later[1]
		if err := l.endUnder(ctx, ns, prefix, "", func(tx *storage.Tx) { lease.Open(ns).EndedAll(tx, prefix) }); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// Settle is the mount.Settle of a server with leases: it ends what a disabled
// mount has issued and lent, and says whether nothing is left.
func (l *Lessor) Settle(ctx context.Context, ns string, e mount.Entry) (bool, error) {
	l.mu.Lock()
	told := l.settled[e.UUID]
	l.mu.Unlock()
	if e.Auth() && !told {
		if err := l.endUnder(ctx, ns, e.Path, e.UUID, func(*storage.Tx) {}); err != nil {
			return false, err
		}
	} else if !told {
		if err := l.endQueue(ctx, ns, e.UUID); err != nil {
			return false, err
		}
	}
	left := false
	for _, err := range lease.Open(ns).Queue(ctx, l.store, e.UUID) {
		if err != nil {
			return false, err
		}
		left = true
		break
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.settled[e.UUID] = true; !left {
		delete(l.settled, e.UUID)
		l.mounts.Dismiss(e.UUID)
	}
	return !left, nil
}

// endQueue tells all leases of a mount to end that have not been told yet.
func (l *Lessor) endQueue(ctx context.Context, ns, uuid string) error {
	book := lease.Open(ns)
	tx, n := storage.Begin(l.store), 0
	for it, err := range book.Queue(ctx, l.store, uuid) {
		if err != nil {
			return err
		}
		rec, _, err := book.Get(ctx, tx, it.ID)
		if err != nil {
			return err
		}
		if rec == nil || rec.Over(time.Now()) {
			continue
		}
		if err := book.End(tx, rec); err != nil {
			return err
		}
		if n++; n%leaseBatch == 0 {
			if err := tx.Commit(ctx); err != nil {
				return err // it begins again a second later
			}
			tx = storage.Begin(l.store)
		}
	}
	return tx.Commit(ctx)
}
