package approle

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"strongroom/auth"
	"strongroom/engine"
	"strongroom/internal/storage"
)

const (
	roleFolder   = "role/"    // + name: the role
	roleIDFolder = "role-id/" // + hash of a role id: the role's name
	// maxName bounds names, role ids and secret ids of the caller's choice, in bytes.
	maxName = 512
)

// role says who may log in and what they get, as it is stored.
type role struct {
	UID             string     `json:"uid"` // another with each creation, so that no secret id outlives its role
	RoleID          string     `json:"role_id"`
	BindSecretID    bool       `json:"bind_secret_id"`
	SecretIDCIDRs   []string   `json:"secret_id_bound_cidrs"`
	SecretIDNumUses int64      `json:"secret_id_num_uses"` // 0: no limit
	SecretIDTTL     int64      `json:"secret_id_ttl"`      // seconds; 0: none
	LocalSecretIDs  bool       `json:"local_secret_ids"`
	Token           auth.Token `json:"token"`
}

func nameField() engine.Field {
	return engine.Field{Name: "role_name", Type: engine.Name, Help: "Name of the role."}
}

func roleFields() []engine.Field {
	return append([]engine.Field{
		nameField(),
		{Name: "bind_secret_id", Type: engine.Bool, Default: true, Help: "Whether a login needs a secret id."},
		{Name: "secret_id_bound_cidrs", Type: engine.StringList, Help: "Networks from which one may log in; none: all."},
		{Name: "bound_cidr_list", Type: engine.StringList, Help: "Old name of secret_id_bound_cidrs."},
		{Name: "secret_id_num_uses", Type: engine.Int, Help: "Times that a secret id can be used; 0: no limit."},
		{Name: "secret_id_ttl", Type: engine.Duration, Help: "Time that a secret id lives; 0: until it is destroyed."},
		{Name: "local_secret_ids", Type: engine.Bool, Help: "Kept for compatibility, as there is no replication; set at creation only."},
		{Name: "role_id", Help: "The role's id; a random one by default."},
	}, auth.TokenFields("policies", "period")...)
}

func decodeRole(b []byte) (*role, error) {
	r := &role{}
	if err := json.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("approle: decode role: %w", err)
	}
	return r, nil
}

// loadRole returns a role that must not be changed; nil if there is none.
func (m *Method) loadRole(ctx context.Context, req *engine.Request, name string) (*role, error) {
	r, _, err := m.roles.Get(ctx, req.Storage, roleFolder+name, name, decodeRole)
	return r, err
}

// needRole is loadRole of the role in the path, whose absence is an error.
func (m *Method) needRole(ctx context.Context, req *engine.Request) (*role, error) {
	name := req.Data.String("role_name")
	r, err := m.loadRole(ctx, req, name)
	if err == nil && r == nil {
		err = engine.Invalidf("role %q does not exist", name)
	}
	return r, err
}

func (m *Method) roleExists(ctx context.Context, req *engine.Request) (bool, error) {
	v, err := req.Storage.Version(ctx, roleFolder+req.Data.String("role_name"))
	return v != 0, err
}

func (m *Method) listRoles(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	return auth.List(ctx, req, roleFolder)
}

func (m *Method) readRole(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	r, err := m.loadRole(ctx, req, req.Data.String("role_name"))
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, engine.ErrNotFound
	}
	return &engine.Response{Data: r.show()}, nil
}

// show is all of the role but its id.
func (r *role) show() map[string]any {
	data := map[string]any{
		"bind_secret_id":        r.BindSecretID,
		"secret_id_bound_cidrs": auth.Shown(r.SecretIDCIDRs),
		"secret_id_num_uses":    r.SecretIDNumUses,
		"secret_id_ttl":         r.SecretIDTTL,
		"local_secret_ids":      r.LocalSecretIDs,
	}
	r.Token.Show(data)
	return data
}

// writeRole makes a role, or changes what the caller gives of one.
func (m *Method) writeRole(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	name := req.Data.String("role_name")
	if len(name) > maxName {
		return nil, engine.Invalidf("the role's name is longer than %d bytes", maxName)
	}
	old, err := m.loadRole(ctx, req, name)
	if err != nil {
		return nil, err
	}
	r := &role{UID: uuid.NewString(), RoleID: uuid.NewString(), BindSecretID: true}
	if old != nil {
		*r = *old
		if req.Data.Has("local_secret_ids") && req.Data.Bool("local_secret_ids") != r.LocalSecretIDs {
			return nil, engine.Invalidf("local_secret_ids can only be modified during role creation")
		}
	}
	if err := r.update(req.Data); err != nil {
		return nil, err
	}
	if err := m.saveRole(ctx, req, name, old, r); err != nil {
		return nil, err
	}
	return r.warn(m.mount), nil
}

// saveRole writes a role, and what leads to it from its id; old is nil for a new one.
func (m *Method) saveRole(ctx context.Context, req *engine.Request, name string, old, r *role) error {
	if old == nil || old.RoleID != r.RoleID {
		key, err := m.makeKey(ctx, req)
		if err != nil {
			return err
		}
		if old != nil {
			req.Storage.Delete(roleIDFolder + hash(key, "", old.RoleID))
		}
		at := roleIDFolder + hash(key, "", r.RoleID)
		owner, err := req.Storage.Get(ctx, at)
		if err != nil {
			return err
		}
		if owner.Exists() {
			return engine.Invalidf("this role_id is already in use by another role; choose another")
		}
		req.Storage.Put(at, []byte(name))
	}
	return storage.PutJSON(req.Storage, roleFolder+name, r)
}

// warn tells whoever writes a role what the mount will not let it have.
func (r *role) warn(mount engine.Mount) *engine.Response {
	warnings := r.Token.Warnings(mount)
	if limit := int64(mount.MaxTTL / time.Second); limit > 0 && r.SecretIDTTL > limit {
		warnings = append(warnings, fmt.Sprintf("secret_id_ttl exceeds the mount's maximum of %v; secret ids live no longer than that.", mount.MaxTTL))
	}
	if warnings == nil {
		return nil
	}
	return &engine.Response{Warnings: warnings}
}

func (r *role) update(d engine.Data) error {
	if d.Has("role_id") {
		r.RoleID = d.String("role_id")
	}
	if d.Has("bind_secret_id") {
		r.BindSecretID = d.Bool("bind_secret_id")
	}
	for _, name := range []string{"bound_cidr_list", "secret_id_bound_cidrs"} {
		if d.Has(name) {
			r.SecretIDCIDRs = d.Strings(name)
		}
	}
	if d.Has("secret_id_num_uses") {
		r.SecretIDNumUses = d.Int("secret_id_num_uses")
	}
	if d.Has("secret_id_ttl") {
		r.SecretIDTTL = int64(d.Duration("secret_id_ttl") / time.Second)
	}
	if d.Has("local_secret_ids") {
		r.LocalSecretIDs = d.Bool("local_secret_ids")
	}
	if err := r.Token.Update(d); err != nil {
		return err
	}
	return r.validate()
}

func (r *role) validate() error {
	switch {
	case r.RoleID == "" || len(r.RoleID) > maxName:
		return engine.Invalidf("role_id must have 1 to %d bytes", maxName)
	case r.SecretIDNumUses < 0:
		return engine.Invalidf("secret_id_num_uses cannot be negative; 0 sets no limit")
	case !r.BindSecretID && len(r.SecretIDCIDRs) == 0 && len(r.Token.BoundCIDRs) == 0:
		return engine.Invalidf("at least one constraint should be enabled on the role: bind_secret_id, secret_id_bound_cidrs or token_bound_cidrs")
	}
	return auth.CheckCIDRs("secret_id_bound_cidrs", r.SecretIDCIDRs)
}

// deleteRole ends a role and, with its UID, all its secret ids at once; what they
// occupy is deleted by Expire.
func (m *Method) deleteRole(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	name := req.Data.String("role_name")
	r, err := m.loadRole(ctx, req, name)
	if err != nil || r == nil {
		return nil, err
	}
	key, err := m.makeKey(ctx, req)
	if err != nil {
		return nil, err
	}
	req.Storage.Delete(roleFolder + name)
	req.Storage.Delete(roleIDFolder + hash(key, "", r.RoleID))
	req.Due.Add(time.Now().Unix(), dueRole+r.UID)
	return nil, nil
}
