package sys

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"strongroom/engine"
	"strongroom/internal/call"
	"strongroom/internal/mount"
	"strongroom/internal/token"
)

// mountRoutes serve sys/mounts and sys/auth
// (https://developer.hashicorp.com/vault/api-docs/system/mounts). A path ending
// in /tune is the mount's tuning: no mount may be called so.
func (d *Deps) mountRoutes() []engine.Route {
	fields := append([]engine.Field{
		{Name: "path", Help: "Where the engine is mounted."},
		{Name: "type", Help: "Type of the engine, such as kv-v2 or kubernetes."},
		{Name: "description", Help: "What it is for, in the operator's words."},
		{Name: "config", Type: engine.Object, Help: "Tuning, as the tune path takes it."},
		{Name: "options", Type: engine.StringMap, Help: "Options of the engine, such as version for kv."},
		{Name: "local", Type: engine.Bool, Help: "Kept for compatibility; there is no replication."},
		{Name: "seal_wrap", Type: engine.Bool, Help: "Kept for compatibility."},
		{Name: "external_entropy_access", Type: engine.Bool, Help: "Kept for compatibility."},
		{Name: "plugin_name", Help: "Type of the engine, by its old name."},
	}, tuneFields...)
	lists := engine.Answers{engine.Read: engine.TopLevel{Data: map[string]mountInfo{}}}
	one := engine.Answers{engine.Read: engine.TopLevel{Data: engine.Either{mountInfo{}, mountTuning{}}}, engine.Update: engine.Nothing{}, engine.Delete: engine.Nothing{}}
	both := func(root, prefix, what string) []engine.Route {
		return []engine.Route{
			{Path: root, Help: "List the " + what + ".", Answers: lists, Read: d.listMounts(prefix)},
			{Path: root + "/{path...}", Help: "Enable, read, tune or disable one of the " + what + ".", Fields: fields, Answers: one, Sudo: prefix != "", Exists: d.mountExists(prefix),
				Read: d.readMount(prefix), Write: d.writeMount(prefix), Delete: d.disable(prefix)},
		}
	}
	return append(both("mounts", "", "secrets engines"), both("auth", "auth/", "auth methods")...)
}

var tuneFields = []engine.Field{
	{Name: "default_lease_ttl", Type: engine.Duration, Help: "Lease time when none is asked; 0 or system is the server's."},
	{Name: "max_lease_ttl", Type: engine.Duration, Help: "Longest lease time; 0 or system is the server's."},
	{Name: "force_no_cache", Type: engine.Bool, Help: "Kept for compatibility."},
	{Name: "listing_visibility", Help: "unauth or hidden."},
	{Name: "token_type", Help: "Type of the tokens an auth method issues."},
	{Name: "audit_non_hmac_request_keys", Type: engine.StringList, Help: "Request keys that audit shows in plain."},
	{Name: "audit_non_hmac_response_keys", Type: engine.StringList, Help: "Response keys that audit shows in plain."},
	{Name: "passthrough_request_headers", Type: engine.StringList, Help: "Request headers given to the engine."},
	{Name: "allowed_response_headers", Type: engine.StringList, Help: "Response headers the engine may set."},
	{Name: "user_lockout_config", Type: engine.Object, Help: "When who fails to log in is locked out."},
}

func describe(m *mount.Mounted) map[string]any {
	e := m.Entry
	config := map[string]any{"default_lease_ttl": e.Config.DefaultLeaseTTL, "max_lease_ttl": e.Config.MaxLeaseTTL, "force_no_cache": e.Config.ForceNoCache}
	if v := e.Config.ListingVisibility; v != "" {
		config["listing_visibility"] = v
	}
	if e.Auth() {
		config["token_type"] = tokenType(e.Config.TokenType)
	}
	var options any // null when there are none, as Vault answers
	if len(e.Options) > 0 {
		options = e.Options
	}
	return map[string]any{
		"type": e.Type, "description": e.Description, "accessor": e.Accessor, "uuid": e.UUID, "config": config, "options": options,
		"local": e.Local, "seal_wrap": e.SealWrap, "external_entropy_access": false, "plugin_version": "",
		"running_plugin_version": "", "running_sha256": "", "deprecation_status": "supported",
	}
}

func tokenType(set string) string {
	if set == "" {
		return "default-service"
	}
	return set
}

func (d *Deps) listMounts(prefix string) engine.Handler {
	return func(ctx context.Context, _ *engine.Request) (*engine.Response, error) {
		data := map[string]any{}
		for path, m := range call.From(ctx).Routing.All() {
			if m.Entry.Auth() == (prefix != "") {
				data[strings.TrimPrefix(path, prefix)] = describe(m)
			}
		}
		return &engine.Response{TopLevel: true, Data: data}, nil
	}
}

// target is the mount a request is about, and whether it is about its tuning.
func target(prefix string, req *engine.Request) (path string, tune bool, err error) {
	given, tune := strings.CutSuffix(strings.TrimSuffix(req.Data.String("path"), "/"), "/tune")
	clean, err := mount.CleanPath(given)
	if err == nil && prefix == "" && !tune && strings.HasPrefix(clean, "auth/") {
		// Else whoever may handle secrets engines could handle auth methods, which demands sudo; tuning is Vault's exception.
		err = engine.Invalidf("%s is no place for a secrets engine: auth methods are at sys/auth/", clean)
	}
	return prefix + clean, tune, err
}

func (d *Deps) mountExists(prefix string) func(context.Context, *engine.Request) (bool, error) {
	return func(ctx context.Context, req *engine.Request) (bool, error) {
		path, _, err := target(prefix, req)
		return call.From(ctx).Routing.All()[path] != nil, err
	}
}

func (d *Deps) readMount(prefix string) engine.Handler {
	return func(ctx context.Context, req *engine.Request) (*engine.Response, error) {
		path, tune, err := target(prefix, req)
		if err != nil {
			return nil, err
		}
		m := call.From(ctx).Routing.All()[path]
		switch {
		case m == nil && tune:
			return nil, engine.Invalidf("cannot fetch sysview for path %q: no mount is there", path)
		case m == nil:
			return nil, engine.Invalidf("No %s at %s", map[bool]string{true: "auth engine", false: "secret engine mount"}[prefix != ""], strings.TrimPrefix(path, prefix))
		case !tune:
			return &engine.Response{TopLevel: true, Data: describe(m)}, nil
		}
		return &engine.Response{TopLevel: true, Data: tuning(m)}, nil
	}
}

func tuning(m *mount.Mounted) map[string]any {
	c := m.Entry.Config
	out := map[string]any{
		"default_lease_ttl": int64(m.Mount.DefaultTTL / time.Second), "max_lease_ttl": int64(m.Mount.MaxTTL / time.Second),
		"description": m.Entry.Description, "force_no_cache": c.ForceNoCache,
	}
	if len(m.Entry.Options) > 0 {
		out["options"] = m.Entry.Options
	}
	if m.Entry.Auth() {
		out["token_type"] = tokenType(c.TokenType)
	}
	for name, v := range map[string][]string{"audit_non_hmac_request_keys": c.AuditNonHMACRequestKeys, "audit_non_hmac_response_keys": c.AuditNonHMACResponseKeys,
		"passthrough_request_headers": c.PassthroughRequestHeaders, "allowed_response_headers": c.AllowedResponseHeaders} {
		if len(v) > 0 {
			out[name] = v
		}
	}
	if c.ListingVisibility != "" {
		out["listing_visibility"] = c.ListingVisibility
	}
	showLockout(c.UserLockout, out)
	return out
}

func (d *Deps) writeMount(prefix string) engine.Handler {
	return func(ctx context.Context, req *engine.Request) (*engine.Response, error) {
		path, tune, err := target(prefix, req)
		if err != nil {
			return nil, err
		}
		c := call.From(ctx)
		table, err := mount.Load(ctx, c.Tx, c.Namespace)
		if err != nil {
			return nil, err
		}
		if tune {
			err = d.tune(&table, path, req)
		} else {
			if err = shadowed(ctx, path); err == nil {
				err = d.enable(&table, path, req)
			}
		}
		if err != nil {
			return nil, err
		}
		return nil, table.Save(c.Tx, c.Namespace)
	}
}

func (d *Deps) enable(table *mount.Table, path string, req *engine.Request) error {
	kind := req.Data.String("type")
	if kind == "" {
		kind = req.Data.String("plugin_name")
	}
	if kind == "" || kind == "plugin" {
		return engine.Invalidf("backend type must be specified as a string")
	}
	options := req.Data.Map("options")
	if alias, version := kvAlias(kind); version != "" {
		kind = alias
		if options == nil {
			options = map[string]string{}
		}
		options["version"] = version
	}
	e := mount.NewEntry(path, kind, req.Data.String("description"), options)
	e.Local, e.SealWrap = req.Data.Bool("local"), req.Data.Bool("seal_wrap")
	if err := configure(&e, req.Data.Raw("config")); err != nil {
		return err
	}
	if t, ok := d.Mounts.Type(kind); ok && t.Auth != e.Auth() {
		return engine.Invalidf("plugin not found in the catalog: %s (it is %s)", kind, map[bool]string{true: "an auth method: use auth enable", false: "a secrets engine: use secrets enable"}[t.Auth])
	}
	if err := d.Mounts.Check(e); err != nil {
		return err
	}
	return table.Add(e)
}

// kvAlias splits kv-v1 and kv-v2 into type and version.
func kvAlias(kind string) (string, string) {
	switch kind {
	case "kv-v1", "generic":
		return "kv", "1"
	case "kv-v2":
		return "kv", "2"
	}
	return kind, ""
}

func (d *Deps) tune(table *mount.Table, path string, req *engine.Request) error {
	e, ok := table.Find(path)
	if !ok {
		return engine.Invalidf("no mount at %q to tune", path)
	}
	if req.Data.Has("description") {
		e.Description = req.Data.String("description")
	}
	for k, v := range req.Data.Map("options") {
		if k == "version" && e.Options["version"] == "2" && v != "2" {
			return engine.Invalidf("cannot downgrade mount from \"2\" to \"1\"")
		}
		if e.Options == nil {
			e.Options = map[string]string{}
		}
		e.Options[k] = v
	}
	if err := d.Mounts.Check(*e); err != nil && !e.Fixed() {
		return err
	}
	return configure(e, req.Body)
}

// configure reads tuning from a JSON object into e; absent parameters stay.
func configure(e *mount.Entry, body []byte) error {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	body, err := systemIsZero(body)
	if err != nil {
		return err
	}
	data, _, err := engine.Decode(tuneFields, body, nil, nil)
	if err != nil {
		return err
	}
	c := &e.Config
	if data.Has("default_lease_ttl") {
		c.DefaultLeaseTTL = int64(data.Duration("default_lease_ttl") / time.Second)
	}
	if data.Has("max_lease_ttl") {
		c.MaxLeaseTTL = int64(data.Duration("max_lease_ttl") / time.Second)
	}
	if c.MaxLeaseTTL != 0 && c.DefaultLeaseTTL > c.MaxLeaseTTL {
		return engine.Invalidf("default_lease_ttl must not be greater than max_lease_ttl")
	}
	if data.Has("force_no_cache") {
		c.ForceNoCache = data.Bool("force_no_cache")
	}
	if data.Has("listing_visibility") {
		if c.ListingVisibility = data.String("listing_visibility"); !slices.Contains([]string{"", "hidden", "unauth"}, c.ListingVisibility) {
			return engine.Invalidf("listing_visibility must be \"unauth\" or \"hidden\"")
		}
	}
	if kind := data.String("token_type"); kind != "" {
		if !e.Auth() || e.Type == "token" {
			return engine.Invalidf("'token_type' can only be modified on auth mounts other than auth/token/")
		}
		if err := token.CheckMountType(kind); err != nil {
			return err
		}
		c.TokenType = kind
	}
	for name, list := range map[string]*[]string{"audit_non_hmac_request_keys": &c.AuditNonHMACRequestKeys, "audit_non_hmac_response_keys": &c.AuditNonHMACResponseKeys,
		"passthrough_request_headers": &c.PassthroughRequestHeaders, "allowed_response_headers": &c.AllowedResponseHeaders} {
		if data.Has(name) {
			*list = data.Strings(name)
		}
	}
	return tuneLockout(e, data.Raw("user_lockout_config"))
}

// systemIsZero turns the lease time "system" into 0 and leaves out "", which the Go client sends for what it does not change.
func systemIsZero(body []byte) ([]byte, error) {
	var obj map[string]json.RawMessage
	if err := json.Unmarshal(body, &obj); err != nil {
		return nil, engine.Invalidf("the configuration must be a JSON object")
	}
	for _, name := range []string{"default_lease_ttl", "max_lease_ttl"} {
		switch string(obj[name]) {
		case `"system"`:
			obj[name] = json.RawMessage("0")
		case `""`:
			delete(obj, name)
		}
	}
	return json.Marshal(obj)
}

func (d *Deps) disable(prefix string) engine.Handler {
	return func(ctx context.Context, req *engine.Request) (*engine.Response, error) {
		path, _, err := target(prefix, req)
		if err != nil {
			return nil, err
		}
		c := call.From(ctx)
		table, err := mount.Load(ctx, c.Tx, c.Namespace)
		if err != nil {
			return nil, err
		}
		if err := table.Remove(c.Tx, c.Namespace, path); err != nil {
			return nil, err
		}
		return nil, table.Save(c.Tx, c.Namespace)
	}
}
