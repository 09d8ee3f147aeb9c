package snapshot

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"strongroom/internal/storage"
)

// Where schedules are stored, inside the barrier.
const (
	configPrefix = "core/snapshot-auto/config/"
	statusPrefix = "core/snapshot-auto/status/"
)

// Plan is a schedule of snapshots, as sys/storage/raft/snapshot-auto/config
// takes it.
type Plan struct {
	Interval      time.Duration `json:"interval"` // between the starts of two snapshots, nanoseconds
	Retain        int           `json:"retain"`   // how many are kept
	PathPrefix    string        `json:"path_prefix"`
	FilePrefix    string        `json:"file_prefix"`
	LocalMaxSpace int64         `json:"local_max_space"` // of all snapshots of this plan, bytes; 0: no limit
}

// Status is how a plan fares.
type Status struct {
	Start             time.Time `json:"start"` // of the latest attempt
	URL               string    `json:"url"`   // of the attempt under way; "" when it is over
	LastStart         time.Time `json:"last_start"`
	LastEnd           time.Time `json:"last_end"`
	LastURL           string    `json:"last_url"` // of the last good snapshot
	LastError         string    `json:"last_error"`
	ConsecutiveErrors int       `json:"consecutive_errors"`
}

// Next is when the plan's next snapshot begins, given its status and the time.
func (p Plan) Next(s Status, now time.Time) time.Time {
	if s.Start.IsZero() || s.Start.After(now) { // never yet, or the clock was set back
		return now
	}
	return s.Start.Add(p.Interval)
}

// Plans lists the names of all plans, in order.
func Plans(ctx context.Context, tx *storage.Tx) ([]string, error) {
	return tx.View(configPrefix).List(ctx, "", "", 0)
}

// LoadPlan reads a plan and its status; false if there is none of that name.
func LoadPlan(ctx context.Context, tx *storage.Tx, name string) (p Plan, s Status, ok bool, err error) {
	if ok, err = storage.GetJSON(ctx, tx, configPrefix+name, &p); !ok || err != nil {
		return p, s, ok, err
	}
	_, err = storage.GetJSON(ctx, tx, statusPrefix+name, &s)
	return p, s, true, err
}

// Save writes the plan.
func (p Plan) Save(tx *storage.Tx, name string) error {
	return storage.PutJSON(tx, configPrefix+name, p)
}

// Twin is another plan than the one called name whose files p would take for its
// own, and delete when they are too many; "" if there is none.
func (p Plan) Twin(ctx context.Context, tx *storage.Tx, name string) (string, error) {
	names, err := Plans(ctx, tx)
	if err != nil {
		return "", err
	}
	for _, other := range names {
		q, _, ok, err := LoadPlan(ctx, tx, other)
		if err != nil {
			return "", err
		}
		if ok && other != name && q.PathPrefix == p.PathPrefix && q.FilePrefix == p.FilePrefix {
			return other, nil
		}
	}
	return "", nil
}

// DeletePlan ends a plan; the snapshots it made stay.
func DeletePlan(tx *storage.Tx, name string) {
	tx.Delete(configPrefix + name)
	tx.Delete(statusPrefix + name)
}

// Source makes snapshots of the cluster and knows its own.
type Source interface {
	// Snapshot writes an archive.
	Snapshot(ctx context.Context, w io.Writer) error
	// CheckSnapshot reads an archive to its end and checks all of it, and that
	// this cluster made it.
	CheckSnapshot(ctx context.Context, r io.Reader) error
}

// Scheduler takes the snapshots of all plans. It belongs to the active node.
type Scheduler struct {
	Store  storage.Store // the open barrier
	Source Source
	Logger hclog.Logger
}

// Run takes every snapshot that is due, one after the other, until ctx ends. A
// plan's failures are in its status and its log; it is tried again when its next
// snapshot is due.
func (s *Scheduler) Run(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := s.round(ctx); err != nil && ctx.Err() == nil {
			s.Logger.Error("scheduled snapshots cannot be looked after; trying again", "error", err)
		}
	}
}

// round does what is due now.
func (s *Scheduler) round(ctx context.Context) error {
	names, err := Plans(ctx, storage.Begin(s.Store))
	if err != nil {
		return err
	}
	var failed error
	for _, name := range names {
		if err := s.look(ctx, name); err != nil {
			failed = errors.Join(failed, err)
		}
	}
	return failed
}

// look takes a snapshot of one plan if it is due. Its error is of the bookkeeping.
func (s *Scheduler) look(ctx context.Context, name string) error {
	plan, st, ok, err := LoadPlan(ctx, storage.Begin(s.Store), name)
	now := time.Now().UTC()
	if !ok || err != nil || now.Before(plan.Next(st, now)) {
		return err
	}
	file := plan.file(now)
	if err := s.update(ctx, name, func(st *Status) { st.Start, st.URL = now, "file://"+file }); err != nil {
		return err
	}
	old, err := s.take(ctx, plan, file)
	if ctx.Err() != nil {
		return ctx.Err() // this node is active no more: another one's affair
	}
	end := time.Now().UTC()
	switch {
	case err != nil:
		s.Logger.Error("a scheduled snapshot failed", "name", name, "error", err)
	case old != nil:
		s.Logger.Warn("old snapshots cannot be deleted", "name", name, "error", old)
	default:
		s.Logger.Info("took a scheduled snapshot", "name", name, "file", file)
	}
	return s.update(ctx, name, func(st *Status) {
		st.URL = ""
		if err != nil {
			st.LastError, st.ConsecutiveErrors = err.Error(), st.ConsecutiveErrors+1
			return
		}
		st.LastStart, st.LastEnd, st.LastURL, st.LastError, st.ConsecutiveErrors = now, end, "file://"+file, "", 0
		if old != nil {
			st.LastError = "the snapshot is good, but older ones could not be deleted: " + old.Error()
		}
	})
}

// update changes the status of a plan, if it has not been deleted.
func (s *Scheduler) update(ctx context.Context, name string, change func(*Status)) error {
	for {
		tx := storage.Begin(s.Store)
		_, st, ok, err := LoadPlan(ctx, tx, name)
		if !ok || err != nil {
			return err
		}
		change(&st)
		if err := storage.PutJSON(tx, statusPrefix+name, st); err != nil {
			return err
		}
		if err := tx.Commit(ctx); !errors.Is(err, storage.ErrConflict) {
			return err
		}
	}
}

// stamp is the time in a file's name: names in order are times in order.
const (
	stamp  = "20060102T150405.000Z"
	suffix = ".snap"
)

// file is the path of the plan's snapshot begun at t.
func (p Plan) file(t time.Time) string {
	return strings.TrimSuffix(p.PathPrefix, "/") + "/" + p.FilePrefix + "-" + t.Format(stamp) + suffix
}

// made says whether name is of a snapshot that this plan made.
func (p Plan) made(name string) bool {
	rest, ours := strings.CutPrefix(name, p.FilePrefix+"-")
	text, snap := strings.CutSuffix(rest, suffix)
	_, err := time.Parse(stamp, text)
	return ours && snap && err == nil
}

// oldest are the names that are too many, given all, when keep stay.
func oldest(names []string, keep int) []string {
	slices.Sort(names)
	return names[:max(0, len(names)-keep)]
}
