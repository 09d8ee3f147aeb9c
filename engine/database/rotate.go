package database

import (
	"context"
	"fmt"
	"strings"
	"time"

	"strongroom/engine"
	"strongroom/engine/database/dbms"
)

// What stands in the queue of the mount: static/<static role>, root/<connection>.
const (
	staticWork = "static/"
	rootWork   = "root/"
)

// Work goes on with a rotation that is due, or that a crash or a dead database
// interrupted. It deals with failures itself, but for those of the store. Implements
// engine.Worker.
func (b *backend) Work(ctx context.Context, desk engine.Desk, _ int64, id string) error {
	release, err := b.locks.take(ctx, id)
	if err != nil {
		return err
	}
	defer release()
	if name, ok := strings.CutPrefix(id, rootWork); ok {
		return b.resumeRoot(ctx, desk, name)
	}
	name, ok := strings.CutPrefix(id, staticWork)
	if !ok {
		return nil
	}
	due := false
	err = desk.Commit(ctx, func(ctx context.Context, req *engine.Request) error {
		due = false
		s, err := loadStatic(ctx, req.Storage, name)
		if err != nil || s == nil || s.Next > time.Now().Unix() {
			return err // it stands in the queue for another time, or not at all
		}
		if s.late(time.Now()) {
			b.logger.Warn("a password could not be changed within its rotation_window, and will be at the next time of its schedule", "role", name)
			s.Tries, s.Planned = 0, s.Schedule.next(time.Now())
			return s.save(req, s.Planned)
		}
		due = true
		return s.intend(ctx, req)
	})
	if engine.KindOf(err) == engine.Invalid { // no connection, or no password policy: mended by people
		b.logger.Warn("a password could not be changed", "role", name, "error", err)
		return failed(ctx, desk, name, "", false)
	}
	if err != nil || !due {
		return err
	}
	if err := b.rotate(ctx, desk, name); err != nil {
		b.logger.Warn("a password could not be changed, and it will be tried again", "role", name, "error", err)
	}
	return nil
}

// late says whether the time in which the password may be changed is over. What may
// have been changed already must be seen to whenever that is.
func (s *static) late(now time.Time) bool {
	return s.Schedule.Window > 0 && s.Doubt == 0 && now.Unix() > s.Planned+s.Schedule.Window
}

// intend makes the password that is to be set, unless one is being set, and stores it.
// From now on whoever comes after a crash finds it in the queue at once; meanwhile its
// lock keeps this node's own worker away.
func (s *static) intend(ctx context.Context, req *engine.Request) error {
	if s.Pending == "" {
		c, err := needConnection(ctx, req.Storage, s.Connection)
		if err != nil {
			return err
		}
		if s.Pending, err = c.password(ctx, req); err != nil {
			return err
		}
	}
	s.Doubt++ // until the end of the attempt that follows is known
	return s.save(req, time.Now().Unix())
}

// rotate sets the password that the static role called name intends, and stores what
// came of it. Its lock is held. Setting the same one twice is once.
func (b *backend) rotate(ctx context.Context, desk engine.Desk, name string) error {
	var s *static
	var c *connection
	err := desk.Commit(ctx, func(ctx context.Context, req *engine.Request) (err error) {
		if s, err = loadStatic(ctx, req.Storage, name); err != nil || s == nil {
			return err
		}
		c, err = needConnection(ctx, req.Storage, s.Connection)
		return err
	})
	if err != nil || s == nil || s.Pending == "" {
		return err
	}
	statements := s.Rotation
	if len(statements) == 0 {
		statements = []string{b.kinds[c.Plugin].rotation}
	}
	acting, cancel := context.WithTimeout(ctx, operation)
	defer cancel()
	srv, _, err := b.server(acting, c)
	connected := err == nil
	if connected {
		err = srv.Run(acting, statements, dbms.Values{Name: s.Username, Password: dbms.Secret(s.Pending)})
	}
	if connected && err != nil && !doubtful(err) && s.Doubt > 1 && b.works(acting, c, s.Username, s.Pending) {
		err = nil // an earlier attempt has set it, and the database does not take the same one twice
	}
	if err != nil {
		if ferr := failed(ctx, desk, name, s.Pending, connected && doubtful(err)); ferr != nil {
			b.logger.Warn("that a password could not be changed could not be noted", "role", name, "error", ferr)
		}
		return upstream(fmt.Sprintf("the password of the static role %q could not be changed", name), err)
	}
	return settled(desk.Commit(context.WithoutCancel(ctx), func(ctx context.Context, req *engine.Request) error {
		now, err := loadStatic(ctx, req.Storage, name)
		if err != nil || now == nil {
			return err
		}
		if now.Pending != s.Pending { // another was faster
			if now.Password == s.Pending {
				return nil
			}
			return now.intend(ctx, req) // and has set later ones, which this one has replaced: on to yet another
		}
		now.Password, now.Pending, now.Doubt, now.Tries, now.Rotated = now.Pending, "", 0, 0, time.Now().UnixMilli()
		now.Planned = now.Schedule.next(time.Now())
		return now.save(req, now.Planned)
	}))
}

// works says whether user logs in where c does, with that password.
func (b *backend) works(ctx context.Context, c *connection, user, password string) bool {
	if !strings.Contains(c.URL, "{{username}}") || !strings.Contains(c.URL, "{{password}}") {
		return false
	}
	settings := c.settings(password)
	settings.Username = user
	settings.Certificate, settings.Key = "", "" // these are the connection's own
	srv, err := b.kinds[c.Plugin].open(settings)
	if err != nil {
		return false
	}
	defer srv.Close()
	return srv.Run(ctx, nil, dbms.Values{}) == nil
}

// settled is err of storing what was done: the intent is stored, and what it
// intended done again by whoever is active, so it is no reason to ask another node.
func settled(err error) error {
	if err == nil {
		return nil
	}
	return engine.Errorf(engine.Unavailable, "the password was changed, which could not be stored yet; the active node does so by itself")
}

// failed notes that the password pending could not be set ("": that there is none to
// set), and when to try again. doubt: it may have been set.
func failed(ctx context.Context, desk engine.Desk, name, pending string, doubt bool) error {
	return desk.Commit(context.WithoutCancel(ctx), func(ctx context.Context, req *engine.Request) error {
		s, err := loadStatic(ctx, req.Storage, name)
		if err != nil || s == nil || s.Pending != pending {
			return err
		}
		if s.Tries++; pending != "" && !doubt {
			s.Doubt--
		}
		return s.save(req, time.Now().Add(backoff(s.Tries)).Unix())
	})
}

// rotateRole changes the password of a static role now.
func (b *backend) rotateRole(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	name := req.Data.String("name")
	release, err := b.locks.take(ctx, staticWork+name)
	if err != nil {
		return nil, err
	}
	defer release()
	err = req.Desk.Commit(ctx, func(ctx context.Context, req *engine.Request) error {
		s, err := loadStatic(ctx, req.Storage, name)
		if err != nil {
			return err
		}
		if s == nil {
			return engine.Invalidf("no static role found for role name %q", name)
		}
		return s.intend(ctx, req)
	})
	if err != nil {
		return nil, err
	}
	return nil, b.rotate(ctx, req.Desk, name)
}
