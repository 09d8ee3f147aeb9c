package database

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"strongroom/engine"
	"strongroom/engine/database/dbms"
	"strongroom/internal/storage"
)

const (
	connectionPrefix = "config/"
	// defaultOpen is how many connections a pool has, where nothing else is said.
	defaultOpen = 4
)

// connection is the stored record of a connection: its many fields are the API's, each
// stored as it was given. Its form is specified in docs/format/database.md.
type connection struct {
	name string

	Plugin         string   `json:"plugin"`
	URL            string   `json:"url"`
	Username       string   `json:"username,omitempty"`
	Password       string   `json:"password,omitempty"`
	AllowedRoles   []string `json:"allowed_roles"`
	Rotation       []string `json:"rotation,omitempty"` // root_rotation_statements
	PasswordPolicy string   `json:"password_policy,omitempty"`
	Template       string   `json:"username_template,omitempty"`
	CA             string   `json:"ca,omitempty"`
	Certificate    string   `json:"certificate,omitempty"`
	Key            string   `json:"key,omitempty"`
	Escaped        bool     `json:"escaped,omitempty"` // disable_escaping
	Hash           bool     `json:"hash,omitempty"`    // password_authentication is scram-sha-256
	MaxOpen        int      `json:"max_open"`
	MaxIdle        int      `json:"max_idle"`
	MaxLifetime    int64    `json:"max_lifetime,omitempty"` // seconds
	Verify         bool     `json:"verify"`
	Root           root     `json:"root,omitzero"`
}

// root is a rotation of the connection's own password that is under way.
type root struct {
	Pending string `json:"pending,omitempty"` // the password that is being set; "": none
	Next    int64  `json:"next,omitempty"`    // when to go on with it: its place in the queue
	Tries   int    `json:"tries,omitempty"`
}

func (b *backend) connectionRoutes() []engine.Route {
	named := name("Name of the connection.")
	statements := "Statements that change the password of the connection's user, with {{username}} and {{password}}."
	fields := []engine.Field{named,
		{Name: "plugin_name", Help: "Kind of the database: postgresql-database-plugin."},
		{Name: "plugin_version", Help: "Only the one that is built in, which is empty."},
		{Name: "connection_url", Help: "Where the database is, with {{username}} and {{password}} in their places."},
		{Name: "username", Help: "User that makes the others."},
		{Name: "password", Help: "Its password; it is never shown."},
		{Name: "verify_connection", Type: engine.Bool, Default: true, Help: "Connect before the settings are stored."},
		{Name: "allowed_roles", Type: engine.StringList, Help: "Roles that may use the connection; * stands for any text."},
		{Name: "root_rotation_statements", Type: engine.Any, Help: statements},
		{Name: "password_policy", Help: "Password policy of the passwords that are made."},
		{Name: "username_template", Help: "Template of the names that are made."},
		{Name: "max_open_connections", Type: engine.Int, Help: "Most connections at a time; 4 by default, under 0: unlimited."},
		{Name: "max_idle_connections", Type: engine.Int, Help: "Most unused connections; 0: as many as are open, under 0: none."},
		{Name: "max_connection_lifetime", Type: engine.Duration, Help: "Longest life of a connection; 0: no limit."},
		{Name: "disable_escaping", Type: engine.Bool, Help: "Username and password are given as they stand in a URL."},
		{Name: "password_authentication", Help: "password, or scram-sha-256 to send passwords hashed."},
		{Name: "tls_ca", Help: "Authority of the database's certificate, in PEM."},
		{Name: "tls_certificate", Help: "Certificate to show to the database, in PEM."},
		{Name: "private_key", Help: "Key of that certificate, in PEM; it is never shown."},
		{Name: "auth_type", Help: "Not supported."},
		{Name: "service_account_json", Help: "Not supported."},
	}
	return []engine.Route{
		{Path: "config", Help: "The names of all connections.", Fields: listFields(), Answers: lists(), List: list(connectionPrefix)},
		{Path: "config/{name}", Help: "A connection to a database.", Fields: fields, Answers: one(Connection{}), Exists: exists(connectionPrefix), External: true,
			Read: b.readConnection, Write: b.writeConnection, Delete: b.deleteConnection},
		{Path: "reset/{name}", Help: "Close a connection's pool and connect anew.", Fields: []engine.Field{named}, Answers: done(), External: true, Write: b.reset},
		{Path: "rotate-root/{name}", Help: "Change the password of the connection's own user to one that nobody knows.", Fields: []engine.Field{named}, Answers: done(), External: true, Write: b.rotateRoot},
	}
}

// loadConnection returns the connection of that name, or nil.
func loadConnection(ctx context.Context, v storage.View, name string) (*connection, error) {
	c := &connection{name: name}
	if found, err := storage.GetJSON(ctx, v, connectionPrefix+name, c); err != nil || !found {
		return nil, err
	}
	return c, nil
}

// needConnection is loadConnection for those who cannot do without.
func needConnection(ctx context.Context, v storage.View, name string) (*connection, error) {
	c, err := loadConnection(ctx, v, name)
	if err == nil && c == nil {
		err = engine.Invalidf("failed to find entry for connection with name: %q: write it at config/%s", name, name)
	}
	return c, err
}

func (c *connection) save(v storage.View) error {
	return storage.PutJSON(v, connectionPrefix+c.name, c)
}

// allows says whether the role may use the connection.
func (c *connection) allows(role string) bool {
	return slices.ContainsFunc(c.AllowedRoles, func(pattern string) bool { return matches(pattern, role) })
}

// matches says whether text is pattern, in which * stands for any text.
func matches(pattern, text string) bool {
	first, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == text
	}
	if text, star = strings.CutPrefix(text, first); !star {
		return false
	}
	for i := range len(text) + 1 {
		if matches(rest, text[i:]) {
			return true
		}
	}
	return false
}

// settings are what its pool is made of, with that password.
func (c *connection) settings(password string) dbms.Settings {
	return dbms.Settings{
		URL: c.URL, Username: c.Username, Password: dbms.Secret(password), CA: dbms.Secret(c.CA), Certificate: dbms.Secret(c.Certificate), Key: dbms.Secret(c.Key),
		Escaped: c.Escaped, Hash: c.Hash, MaxOpen: c.MaxOpen, MaxIdle: c.MaxIdle, MaxLifetime: time.Duration(c.MaxLifetime) * time.Second,
	}
}

// server is the pool of c. While the password of c is being changed, it is that of
// whichever of the two works.
func (b *backend) server(ctx context.Context, c *connection) (srv server, pending bool, err error) {
	k, ok := b.kinds[c.Plugin]
	if !ok {
		return nil, false, engine.Invalidf("the connection %q is of the kind %q, which this server does not have", c.name, c.Plugin)
	}
	srv, err = b.servers.get(c.name, k, c.settings(c.Password))
	if err != nil || c.Root.Pending == "" {
		return srv, false, err
	}
	if err = srv.Run(ctx, nil, dbms.Values{}); !refused(err) {
		return srv, false, err
	}
	srv, perr := b.servers.get(pendingOf(c.name), k, c.settings(c.Root.Pending))
	if perr == nil {
		perr = srv.Run(ctx, nil, dbms.Values{})
	}
	if perr != nil {
		return nil, false, err
	}
	return srv, true, nil
}

func (b *backend) readConnection(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	c, err := loadConnection(ctx, req.Storage, req.Data.String("name"))
	if err != nil {
		return nil, err
	}
	if c == nil {
		return nil, engine.ErrNotFound
	}
	return &engine.Response{Data: Connection{
		Plugin: c.Plugin, AllowedRoles: texts(c.AllowedRoles), PasswordPolicy: c.PasswordPolicy, Rotation: texts(c.Rotation), Verify: c.Verify,
		Details: Details{
			URL: mask(c.URL), Username: c.Username, MaxOpen: c.MaxOpen, MaxIdle: c.MaxIdle, MaxLifetime: (time.Duration(c.MaxLifetime) * time.Second).String(),
			Escaped: c.Escaped, Authentication: c.authentication(), Template: c.Template, CA: c.CA, Certificate: c.Certificate,
		},
	}}, nil
}

// authentication is password_authentication as it was written.
func (c *connection) authentication() string {
	if c.Hash {
		return "scram-sha-256"
	}
	return "password"
}

func (b *backend) writeConnection(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	d := req.Data
	c, err := loadConnection(ctx, req.Storage, d.String("name"))
	if err != nil {
		return nil, err
	}
	if c == nil {
		c = &connection{name: d.String("name"), MaxOpen: defaultOpen, MaxIdle: defaultOpen, Verify: true, AllowedRoles: []string{}}
	}
	if err := c.take(d); err != nil {
		return nil, err
	}
	if d.Has("password") && c.Root.Pending != "" { // the word of who gives a password counts
		req.Work.Remove(c.Root.Next, rootWork+c.name)
		c.Root = root{}
	}
	k, ok := b.kinds[c.Plugin]
	if !ok {
		return nil, engine.Invalidf("plugin_name %q: this server knows %s only", c.Plugin, strings.Join(slices.Sorted(maps.Keys(b.kinds)), ", "))
	}
	if _, err := parseTemplate(c.Template); err != nil {
		return nil, engine.Invalidf("username_template: %v", err)
	}
	srv, err := k.open(c.settings(c.Password)) // apart from the pool, which others may use meanwhile
	if err != nil {
		return nil, engine.Invalidf("%v", err)
	}
	defer srv.Close()
	if c.Verify {
		if err := b.verify(ctx, srv, c); err != nil {
			return nil, err
		}
	}
	b.servers.close(c.name)
	return nil, c.save(req.Storage)
}

// verify connects by the settings of c.
func (b *backend) verify(ctx context.Context, srv server, c *connection) error {
	ctx, cancel := context.WithTimeout(ctx, operation)
	defer cancel()
	err := srv.Run(ctx, nil, dbms.Values{})
	if err != nil && c.Root.Pending != "" {
		_, _, err = b.server(ctx, c)
	}
	if err != nil {
		return engine.Invalidf("error creating database object: error verifying connection: %v; verify_connection=false stores it all the same", err)
	}
	return nil
}

// take takes over what d gives; what it does not give stays.
func (c *connection) take(d engine.Data) error {
	had := c.URL
	for name, text := range map[string]*string{
		"plugin_name": &c.Plugin, "connection_url": &c.URL, "username": &c.Username, "password": &c.Password, "password_policy": &c.PasswordPolicy,
		"username_template": &c.Template, "tls_ca": &c.CA, "tls_certificate": &c.Certificate, "private_key": &c.Key,
	} {
		if d.Has(name) {
			*text = d.String(name)
		}
	}
	if c.URL == mask(had) {
		c.URL = had // what a read showed, given back
	}
	if d.Has("allowed_roles") {
		c.AllowedRoles = d.Strings("allowed_roles")
	}
	var err error
	if c.Rotation, err = statements(d, "root_rotation_statements", c.Rotation); err != nil {
		return err
	}
	if d.Has("max_open_connections") {
		c.MaxOpen = cmp.Or(bounded(d.Int("max_open_connections")), defaultOpen)
	}
	if d.Has("max_idle_connections") {
		c.MaxIdle = bounded(d.Int("max_idle_connections"))
	}
	if c.MaxIdle == 0 || c.MaxOpen > 0 && c.MaxIdle > c.MaxOpen {
		c.MaxIdle = max(c.MaxOpen, 0)
	}
	if d.Has("max_connection_lifetime") {
		c.MaxLifetime = int64(d.Duration("max_connection_lifetime").Seconds())
	}
	if d.Has("disable_escaping") {
		c.Escaped = d.Bool("disable_escaping")
	}
	if d.Has("verify_connection") {
		c.Verify = d.Bool("verify_connection")
	}
	if d.Has("password_authentication") {
		c.Hash = d.String("password_authentication") == "scram-sha-256"
		if c.authentication() != cmp.Or(d.String("password_authentication"), "password") {
			return engine.Invalidf("password_authentication must be password or scram-sha-256")
		}
	}
	switch {
	case c.Plugin == "":
		return engine.Invalidf("plugin_name is missing: give postgresql-database-plugin")
	case d.String("plugin_version") != "":
		return engine.Invalidf("plugin_version must be empty: the kinds of databases are part of this server")
	case d.String("auth_type") != "" || d.String("service_account_json") != "":
		return engine.Invalidf("auth_type and service_account_json are not supported: give username and password, or tls_certificate and private_key")
	case c.URL == "":
		return engine.Invalidf("connection_url is missing: give one such as postgresql://{{username}}:{{password}}@db.example.com:5432/app")
	case unquotable(c.Username):
		return engine.Invalidf("username: %s", quotable)
	}
	return nil
}

// bounded is n as a number of connections.
func bounded(n int64) int { return int(min(max(n, -1), 10_000)) }

// mask is url without what stands in the place of a password.
func mask(url string) string {
	if strings.Contains(url, "://") {
		scheme, rest, _ := strings.Cut(url, "://")
		authority := rest[:max(strings.IndexAny(rest, "/?"), 0)]
		if authority == "" && !strings.ContainsAny(rest, "/?") {
			authority = rest
		}
		if at := strings.LastIndexByte(authority, '@'); at >= 0 {
			if user, password, ok := strings.Cut(authority[:at], ":"); ok && password != "{{password}}" {
				url = scheme + "://" + user + ":*****" + rest[at:]
			}
		}
	}
	return hidden.ReplaceAllStringFunc(url, func(found string) string {
		name, value, _ := strings.Cut(found, "=")
		if strings.Trim(strings.TrimSpace(value), "'") == "{{password}}" {
			return found
		}
		return name + "=*****"
	})
}

func (b *backend) deleteConnection(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	c, err := loadConnection(ctx, req.Storage, req.Data.String("name"))
	if err != nil || c == nil {
		return nil, err
	}
	if c.Root.Pending != "" {
		req.Work.Remove(c.Root.Next, rootWork+c.name)
	}
	req.Storage.Delete(connectionPrefix + c.name)
	b.servers.close(c.name)
	return nil, nil
}

func (b *backend) reset(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	c, err := needConnection(ctx, req.Storage, req.Data.String("name"))
	if err != nil {
		return nil, err
	}
	b.servers.close(c.name)
	ctx, cancel := context.WithTimeout(ctx, operation)
	defer cancel()
	srv, _, err := b.server(ctx, c)
	if err == nil {
		err = srv.Run(ctx, nil, dbms.Values{})
	}
	if err != nil {
		return nil, upstream(fmt.Sprintf("the connection %q was closed, and cannot be opened", c.name), err)
	}
	return nil, nil
}
