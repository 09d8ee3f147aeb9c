package database

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"strongroom/engine"
	"strongroom/engine/database/dbms"
)

// refused says whether err is a database's that does not take the password.
func refused(err error) bool {
	f, ok := errors.AsType[*dbms.Failure](err)
	return ok && f.Login
}

// rotateRoot gives the connection's own user a password that nobody else knows.
func (b *backend) rotateRoot(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	name := req.Data.String("name")
	release, err := b.locks.take(ctx, rootWork+name)
	if err != nil {
		return nil, err
	}
	defer release()
	err = req.Desk.Commit(ctx, func(ctx context.Context, req *engine.Request) error {
		c, err := needConnection(ctx, req.Storage, name)
		switch {
		case err != nil:
			return err
		case c.Username == "" || c.Password == "":
			return engine.Invalidf("unable to rotate root credentials: the connection %q has no username and password of its own", name)
		case !strings.Contains(c.URL, "{{password}}"):
			return engine.Invalidf("unable to rotate root credentials: connection_url of %q must name {{username}} and {{password}}, not the password itself", name)
		}
		if c.Root.Pending == "" {
			if c.Root.Pending, err = c.password(ctx, req); err != nil {
				return err
			}
		}
		return c.later(req, time.Now())
	})
	if err != nil {
		return nil, err
	}
	return nil, b.setRoot(ctx, req.Desk, name)
}

// later stores c, with its rotation to go on at the time at.
func (c *connection) later(req *engine.Request, at time.Time) error {
	if c.Root.Next != 0 {
		req.Work.Remove(c.Root.Next, rootWork+c.name)
	}
	c.Root.Next = at.Unix()
	req.Work.Add(c.Root.Next, rootWork+c.name)
	return c.save(req.Storage)
}

// resumeRoot goes on with a rotation that was interrupted.
func (b *backend) resumeRoot(ctx context.Context, desk engine.Desk, name string) error {
	due := false
	err := desk.Commit(ctx, func(ctx context.Context, req *engine.Request) error {
		c, err := loadConnection(ctx, req.Storage, name)
		due = err == nil && c != nil && c.Root.Pending != "" && c.Root.Next <= time.Now().Unix()
		return err
	})
	if err != nil || !due {
		return err
	}
	if err := b.setRoot(ctx, desk, name); err != nil {
		b.logger.Warn("the password of a connection could not be changed", "connection", name, "error", err)
	}
	return nil
}

// setRoot sets the password that the connection intends, finds out which one works,
// and stores that. The lock is held.
func (b *backend) setRoot(ctx context.Context, desk engine.Desk, name string) error {
	var c *connection
	err := desk.Commit(ctx, func(ctx context.Context, req *engine.Request) (err error) {
		c, err = loadConnection(ctx, req.Storage, name)
		return err
	})
	if err != nil || c == nil || c.Root.Pending == "" {
		return err
	}
	acting, cancel := context.WithTimeout(ctx, operation)
	defer cancel()
	set, sure, err := b.trySetRoot(acting, c)
	if !sure && err != nil {
		if lerr := postpone(ctx, desk, c); lerr != nil { // it stands in the queue as it is
			b.logger.Warn("when to go on with the change of a connection's password could not be noted", "connection", name, "error", lerr)
		}
		return upstream(fmt.Sprintf("whether the password of the connection %q was changed is not known; the active node finds out by itself", name), err)
	}
	serr := settled(desk.Commit(context.WithoutCancel(ctx), func(ctx context.Context, req *engine.Request) error {
		now, err := loadConnection(ctx, req.Storage, name)
		if err != nil || now == nil || now.URL != c.URL || now.Username != c.Username {
			return err // deleted meanwhile, or of another database
		}
		if set { // whatever is stored by now: a login has just shown what works
			now.Password = c.Root.Pending
		}
		if now.Root.Pending == c.Root.Pending {
			req.Work.Remove(now.Root.Next, rootWork+name)
			now.Root = root{}
		}
		return now.save(req.Storage)
	}))
	b.servers.close(name)
	if err != nil {
		return upstream(fmt.Sprintf("the password of the connection %q stays as it is", name), err)
	}
	return serr
}

// postpone has the rotation of c go on later.
func postpone(ctx context.Context, desk engine.Desk, c *connection) error {
	return desk.Commit(context.WithoutCancel(ctx), func(ctx context.Context, req *engine.Request) error {
		now, err := loadConnection(ctx, req.Storage, c.name)
		if err != nil || now == nil || now.Root.Pending != c.Root.Pending {
			return err
		}
		now.Root.Tries++
		return now.later(req, time.Now().Add(backoff(now.Root.Tries)))
	})
}

// trySetRoot sets the password that c intends, and says whether it is set. Of that it
// is sure only if a login has shown which of the two works.
func (b *backend) trySetRoot(ctx context.Context, c *connection) (set, sure bool, err error) {
	_, already, err := b.server(ctx, c)
	if err != nil {
		return false, false, err
	}
	if already { // by an attempt of which no answer came, or that a crash followed
		return true, true, nil
	}
	statements := c.Rotation
	if len(statements) == 0 {
		statements = []string{b.kinds[c.Plugin].rotation}
	}
	// It logs in for this alone: a node that was frozen for so long that others have changed the
	// password since can then do no harm.
	own, err := b.kinds[c.Plugin].open(c.settings(c.Password))
	if err != nil {
		return false, false, err
	}
	defer own.Close()
	if err := own.Run(ctx, statements, dbms.Values{Name: c.Username, Password: dbms.Secret(c.Root.Pending)}); err != nil {
		return false, !doubtful(err) && !refused(err), err // what the database refuses, it has rolled back
	}
	fresh, err := b.kinds[c.Plugin].open(c.settings(c.Root.Pending))
	if err != nil {
		return false, false, err
	}
	defer fresh.Close()
	err = fresh.Run(ctx, nil, dbms.Values{})
	if err == nil {
		return true, true, nil
	}
	if !refused(err) {
		return false, false, err
	}
	old, oerr := b.kinds[c.Plugin].open(c.settings(c.Password))
	if oerr != nil {
		return false, false, oerr
	}
	defer old.Close()
	if old.Run(ctx, nil, dbms.Values{}) != nil {
		return false, false, err
	}
	return false, true, &dbms.Failure{Text: "root_rotation_statements did not change the password by which the connection logs in"}
}
