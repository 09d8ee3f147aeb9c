package database

import (
	"context"
	"time"

	"strongroom/engine"
	"strongroom/internal/storage"
)

const staticPrefix = "static/"

// static is the stored record of a static role: a user of the database whose password
// the engine keeps and changes.
type static struct {
	name string

	Connection string   `json:"connection"`
	Username   string   `json:"username"`
	Rotation   []string `json:"rotation,omitempty"`
	Schedule   schedule `json:"schedule"`
	// Password is what was set last; Pending what is being set, which is here before
	// it is in the database ("": none). Doubt is how many attempts at that have an end
	// that is not known: it may be there already.
	Password string `json:"password,omitempty"`
	Pending  string `json:"pending,omitempty"`
	Doubt    int    `json:"doubt,omitempty"`
	Rotated  int64  `json:"rotated,omitempty"` // when Password was set; Unix, in milliseconds
	Planned  int64  `json:"planned"`           // when the next rotation is due; Unix
	Next     int64  `json:"next"`              // that, or when it is tried again: its place in the queue; Unix
	Tries    int    `json:"tries,omitempty"`   // that failed
}

func (b *backend) staticRoutes() []engine.Route {
	named := name("Name of the static role.")
	fields := append([]engine.Field{named,
		{Name: "db_name", Help: "Connection in which the user is."},
		{Name: "username", Help: "User whose password is kept and changed."},
		{Name: "rotation_period", Type: engine.Duration, Help: "Time between changes of the password: 5 seconds or more."},
		{Name: "rotation_schedule", Help: "Times of the changes instead: minute, hour, day of the month, month and day of the week, in UTC."},
		{Name: "rotation_window", Type: engine.Duration, Help: "Time after one of rotation_schedule in which the change may be: an hour or more; 0: no limit."},
		{Name: "rotation_statements", Type: engine.Any, Help: "Statements that change the password, with {{name}} and {{password}}."},
	}, credentialFields()...)
	return []engine.Route{
		{Path: "static-roles", Help: "The names of all static roles.", Fields: listFields(), Answers: lists(), List: list(staticPrefix)},
		{Path: "static-roles/{name}", Help: "A user whose password is kept and changed.", Fields: fields, Answers: one(StaticRole{}), Exists: exists(staticPrefix), External: true,
			Read: readStatic, Write: b.writeStatic, Delete: deleteStatic},
		{Path: "static-creds/{name}", Help: "The user of a static role, and its password.", Fields: []engine.Field{named}, Answers: engine.Answers{engine.Read: StaticCredentials{}}, Read: staticCreds},
		{Path: "rotate-role/{name}", Help: "Change the password of a static role now.", Fields: []engine.Field{named}, Answers: done(), External: true, Write: b.rotateRole},
	}
}

func loadStatic(ctx context.Context, v storage.View, name string) (*static, error) {
	s := &static{name: name}
	if found, err := storage.GetJSON(ctx, v, staticPrefix+name, s); err != nil || !found {
		return nil, err
	}
	return s, nil
}

// save stores s, with its next rotation at next.
func (s *static) save(req *engine.Request, next int64) error {
	if s.Next != 0 {
		req.Work.Remove(s.Next, staticWork+s.name)
	}
	s.Next = next
	req.Work.Add(next, staticWork+s.name)
	return storage.PutJSON(req.Storage, staticPrefix+s.name, s)
}

// times are when the password is changed, and was last.
func (s *static) times() Rotation {
	r := Rotation{Period: s.Schedule.Period, Schedule: s.Schedule.Cron, Window: s.Schedule.Window}
	if s.Rotated != 0 {
		last := time.UnixMilli(s.Rotated).UTC()
		r.Last = &last
	}
	return r
}

func readStatic(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	s, err := loadStatic(ctx, req.Storage, req.Data.String("name"))
	if err != nil {
		return nil, err
	}
	if s == nil {
		return nil, engine.ErrNotFound
	}
	return &engine.Response{Data: StaticRole{s.Connection, s.Username, texts(s.Rotation), "password", s.times()}}, nil
}

func staticCreds(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	s, err := loadStatic(ctx, req.Storage, req.Data.String("name"))
	if err != nil {
		return nil, err
	}
	if s == nil {
		return nil, engine.Invalidf("unknown role: %s", req.Data.String("name"))
	}
	if s.Password == "" {
		return nil, engine.Errorf(engine.Unavailable, "the password of the static role %q has not been set yet: try again", s.name)
	}
	ttl := max(s.Planned-time.Now().Unix(), 0)
	return &engine.Response{Data: StaticCredentials{Credentials{s.Username, s.Password}, ttl, s.times()}}, nil
}

// writeStatic stores the settings; a new static role's password is set at once.
func (b *backend) writeStatic(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	d := req.Data
	release, err := b.locks.take(ctx, staticWork+d.String("name"))
	if err != nil {
		return nil, err
	}
	defer release()
	made := false
	err = req.Desk.Commit(ctx, func(ctx context.Context, req *engine.Request) error {
		s, err := loadStatic(ctx, req.Storage, d.String("name"))
		if err != nil {
			return err
		}
		if made = s == nil; made {
			s = &static{name: d.String("name")}
		}
		if err := s.take(ctx, req, d); err != nil {
			return err
		}
		if made {
			return s.intend(ctx, req)
		}
		if s.Pending != "" { // the rotation that is under way goes on, and ends with the new schedule
			return s.save(req, s.Next)
		}
		s.Planned = s.Schedule.next(s.since())
		return s.save(req, s.Planned)
	})
	if err != nil || !made {
		return nil, err
	}
	if err := b.rotate(ctx, req.Desk, d.String("name")); err != nil {
		if derr := forget(ctx, req.Desk, d.String("name")); derr != nil {
			b.logger.Warn("a static role whose password could not be set stays, and will be tried again", "role", d.String("name"), "error", derr)
		}
		return nil, err
	}
	return nil, nil
}

// since is what the time of the next rotation counts from.
func (s *static) since() time.Time {
	if s.Schedule.Cron != "" {
		return time.Now()
	}
	return time.UnixMilli(s.Rotated)
}

// take takes over what d gives, and says what is wrong with it.
func (s *static) take(ctx context.Context, req *engine.Request, d engine.Data) error {
	if err := checkCredential(d); err != nil {
		return err
	}
	for name, had := range map[string]*string{"db_name": &s.Connection, "username": &s.Username} {
		if !d.Has(name) {
			continue
		}
		if *had != "" && *had != d.String(name) {
			return engine.Invalidf("cannot update static account %s: delete the static role and write it anew", name)
		}
		*had = d.String(name)
	}
	switch {
	case s.Connection == "":
		return engine.Invalidf("db_name is a required field")
	case s.Username == "":
		return engine.Invalidf("username is a required field to create a static account")
	case unquotable(s.Username):
		return engine.Invalidf("username: %s", quotable)
	}
	if err := s.Schedule.take(d); err != nil {
		return err
	}
	c, err := needConnection(ctx, req.Storage, s.Connection)
	if err != nil {
		return err
	}
	if !c.allows(s.name) {
		return engine.Invalidf("%q is not an allowed role: add it to allowed_roles of the connection %q", s.name, c.name)
	}
	if s.Username == c.Username {
		return engine.Invalidf("%q is the connection's own user: rotate-root/%s changes its password", s.Username, c.name)
	}
	s.Rotation, err = statements(d, "rotation_statements", s.Rotation)
	return err
}

// forget deletes the static role called name, whose user keeps the password it has.
func forget(ctx context.Context, desk engine.Desk, name string) error {
	return desk.Commit(context.WithoutCancel(ctx), func(ctx context.Context, req *engine.Request) error {
		s, err := loadStatic(ctx, req.Storage, name)
		if err != nil || s == nil {
			return err
		}
		s.erase(req)
		return nil
	})
}

func (s *static) erase(req *engine.Request) {
	req.Work.Remove(s.Next, staticWork+s.name)
	req.Storage.Delete(staticPrefix + s.name)
}

func deleteStatic(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	return nil, forget(ctx, req.Desk, req.Data.String("name"))
}
