package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// take writes one snapshot to file: to a name of no meaning first, synced, read
// again and checked whole, and only then given its name. After that the oldest
// go; stale is why they could not.
func (s *Scheduler) take(ctx context.Context, p Plan, file string) (stale, err error) {
	dir := filepath.Dir(file)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	_, used, err := p.inventory(dir)
	if err != nil {
		return nil, err
	}
	tmp, err := os.CreateTemp(dir, "."+p.FilePrefix+"-*.tmp") // mode 0600
	if err != nil {
		return nil, err
	}
	defer os.Remove(tmp.Name()) // gone already if all went well
	w := io.Writer(tmp)
	if p.LocalMaxSpace > 0 {
		w = &allowance{w, p.LocalMaxSpace - used, p.LocalMaxSpace}
	}
	err = s.Source.Snapshot(ctx, w)
	if err == nil {
		err = tmp.Sync()
	}
	if err := errors.Join(err, tmp.Close()); err != nil {
		return nil, err
	}
	if err := s.check(ctx, tmp.Name()); err != nil {
		return nil, fmt.Errorf("what was written cannot be restored and was deleted: %w", err)
	}
	if err := os.Rename(tmp.Name(), file); err != nil {
		return nil, err
	}
	if err := syncDir(dir); err != nil {
		return nil, err
	}
	return p.prune(dir), nil
}

func (s *Scheduler) check(ctx context.Context, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return s.Source.CheckSnapshot(ctx, f)
}

// inventory lists the plan's snapshots in dir and the bytes they use. It also
// removes what an attempt that was killed has left.
func (p Plan) inventory(dir string) (names []string, used int64, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, 0, err
	}
	for _, e := range entries {
		if left, _ := filepath.Match("."+escape(p.FilePrefix)+"-*.tmp", e.Name()); left {
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				return nil, 0, err
			}
		}
		if !p.made(e.Name()) || !e.Type().IsRegular() {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return nil, 0, err
		}
		names, used = append(names, e.Name()), used+info.Size()
	}
	return names, used, nil
}

// escape takes the meaning of patterns from name.
func escape(name string) string {
	out := make([]rune, 0, len(name))
	for _, r := range name {
		if r == '*' || r == '?' || r == '[' || r == '\\' {
			out = append(out, '\\')
		}
		out = append(out, r)
	}
	return string(out)
}

// prune deletes the oldest snapshots that are too many.
func (p Plan) prune(dir string) error {
	names, _, err := p.inventory(dir)
	if err != nil {
		return err
	}
	for _, name := range oldest(names, p.Retain) {
		err = errors.Join(err, os.Remove(filepath.Join(dir, name)))
	}
	return err
}

// allowance is a writer that takes at most left bytes.
type allowance struct {
	to          io.Writer
	left, limit int64
}

func (a *allowance) Write(b []byte) (int, error) {
	if int64(len(b)) > a.left {
		return 0, fmt.Errorf("there is not enough space left of local_max_space, which is %d bytes: raise it, or keep fewer snapshots", a.limit)
	}
	n, err := a.to.Write(b)
	a.left -= int64(n)
	return n, err
}

// syncDir makes the names in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
