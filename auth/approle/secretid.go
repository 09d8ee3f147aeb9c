package approle

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"strongroom/auth"
	"strongroom/engine"
	"strongroom/internal/storage"
)

const (
	secretFolder   = "secret/"   // + the role's UID + / + hash: the secret id's record
	accessorFolder = "accessor/" // + the role's UID + / + accessor: the hash
	// maxMetadata bounds what a secret id may carry into its tokens, in bytes.
	maxMetadata = 16 << 10
)

// secretID is the record of a secret id. Times are Unix nanoseconds, but for
// Expires.
type secretID struct {
	Accessor   string            `json:"accessor"`
	Created    int64             `json:"created"`
	Updated    int64             `json:"updated"`
	Expires    int64             `json:"expires,omitempty"` // Unix seconds; 0: never
	TTL        int64             `json:"ttl,omitempty"`     // seconds, at creation
	Uses       int64             `json:"uses,omitempty"`    // left; 0: no limit
	CIDRs      []string          `json:"cidrs,omitempty"`
	TokenCIDRs []string          `json:"token_cidrs,omitempty"`
	Metadata   map[string]string `json:"metadata,omitempty"`
}

func (s *secretID) over(now time.Time) bool { return s.Expires != 0 && now.Unix() >= s.Expires }

func secretKey(uid, hash string) string       { return secretFolder + uid + "/" + hash }
func accessorKey(uid, accessor string) string { return accessorFolder + uid + "/" + accessor }
func dueSecretID(uid, hash string) string     { return dueSecret + uid + "/" + hash }

// secretRoutes serve the secret ids of a role.
func (m *Method) secretRoutes() []engine.Route {
	secret := engine.Field{Name: "secret_id", Help: "The secret id."}
	accessor := engine.Field{Name: "secret_id_accessor", Help: "Accessor of the secret id."}
	params := []engine.Field{
		nameField(),
		{Name: "metadata", Type: engine.Any, Help: "Texts that its tokens carry: an object of strings, as JSON text or as it is. Audit shows them in plain."},
		{Name: "cidr_list", Type: engine.StringList, Help: "Networks from which it can be used; within the role's."},
		{Name: "token_bound_cidrs", Type: engine.StringList, Help: "Networks from which its tokens can be used; within the role's."},
		{Name: "num_uses", Type: engine.Int, Help: "Times that it can be used; by default, and at most, the role's."},
		{Name: "ttl", Type: engine.Duration, Help: "Time that it lives; by default, and at most, the role's."},
	}
	by := func(path, help string, f engine.Field, act engine.Handler, deletes bool) engine.Route {
		r := engine.Route{Path: "role/{role_name}/" + path, Help: help, Fields: []engine.Field{nameField(), f}, Write: act,
			Answers: engine.Answers{engine.Update: engine.Maybe{Data: secretInfo{}}}}
		if deletes {
			r.Delete, r.Answers = act, engine.Answers{engine.Update: engine.Nothing{}, engine.Delete: engine.Nothing{}}
		}
		return r
	}
	return []engine.Route{
		{Path: "role/{role_name}/secret-id", Help: "Make a secret id, or list the accessors of all.", Fields: append(params, auth.ListFields()...),
			Answers: engine.Answers{engine.Update: secretMade{}, engine.List: engine.Keys{}}, Write: m.generate, List: m.listAccessors},
		{Path: "role/{role_name}/custom-secret-id", Help: "Give the role a secret id of the caller's choice.", Fields: append(params[:len(params):len(params)], secret),
			Answers: engine.Answers{engine.Update: secretMade{}}, Write: m.custom},
		by("secret-id/lookup", "What a secret id is good for.", secret, m.lookup(m.bySecret), false),
		by("secret-id/destroy", "End a secret id.", secret, m.destroy(m.bySecret), true),
		by("secret-id-accessor/lookup", "What the secret id with an accessor is good for.", accessor, m.lookup(m.byAccessor), false),
		by("secret-id-accessor/destroy", "End the secret id with an accessor.", accessor, m.destroy(m.byAccessor), true),
	}
}

func (m *Method) generate(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	return m.register(ctx, req, uuid.NewString())
}

func (m *Method) custom(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	secret := req.Data.String("secret_id")
	if secret == "" || len(secret) > maxName {
		return nil, engine.Invalidf("missing secret_id: give one of 1 to %d bytes", maxName)
	}
	return m.register(ctx, req, secret)
}

// register stores a secret id for the role in the path.
func (m *Method) register(ctx context.Context, req *engine.Request, secret string) (*engine.Response, error) {
	r, err := m.needRole(ctx, req)
	if err != nil {
		return nil, err
	}
	if !r.BindSecretID {
		return nil, engine.Invalidf("bind_secret_id is not set on the role, so its logins need no secret id")
	}
	s, err := r.newSecretID(req.Data, m.mount)
	if err != nil {
		return nil, err
	}
	key, err := m.makeKey(ctx, req)
	if err != nil {
		return nil, err
	}
	h := hash(key, r.UID, secret)
	old := &secretID{}
	switch ok, err := storage.GetJSON(ctx, req.Storage, secretKey(r.UID, h), old); {
	case err != nil:
		return nil, err
	case ok && !old.over(time.Now()):
		return nil, engine.Invalidf("SecretID is already registered")
	case ok:
		found{r.UID, h, old}.end(req) // the sweeper has not come by yet
	}
	if err := storage.PutJSON(req.Storage, secretKey(r.UID, h), s); err != nil {
		return nil, err
	}
	req.Storage.Put(accessorKey(r.UID, s.Accessor), []byte(h))
	if s.Expires != 0 {
		req.Due.Add(s.Expires, dueSecretID(r.UID, h))
	}
	return &engine.Response{Data: map[string]any{
		"secret_id": secret, "secret_id_accessor": s.Accessor, "secret_id_ttl": s.TTL, "secret_id_num_uses": s.Uses,
	}}, nil
}

// newSecretID is a secret id as the caller wants it and the role allows.
func (r *role) newSecretID(d engine.Data, mount engine.Mount) (*secretID, error) {
	now := time.Now()
	s := &secretID{Accessor: uuid.NewString(), Created: now.UnixNano(), Updated: now.UnixNano(), TTL: r.SecretIDTTL, Uses: r.SecretIDNumUses}
	if d.Has("num_uses") {
		s.Uses = d.Int("num_uses")
		if s.Uses < 0 {
			return nil, engine.Invalidf("num_uses cannot be negative")
		}
		if r.SecretIDNumUses > 0 && (s.Uses == 0 || s.Uses > r.SecretIDNumUses) {
			return nil, engine.Invalidf("num_uses cannot be higher than the role's secret_id_num_uses of %d", r.SecretIDNumUses)
		}
	}
	if d.Has("ttl") {
		s.TTL = int64(d.Duration("ttl") / time.Second)
		if r.SecretIDTTL > 0 && (s.TTL == 0 || s.TTL > r.SecretIDTTL) {
			return nil, engine.Invalidf("ttl cannot be longer than the role's secret_id_ttl of %v", time.Duration(r.SecretIDTTL)*time.Second)
		}
	}
	if limit := int64(mount.MaxTTL / time.Second); limit > 0 {
		s.TTL = min(s.TTL, limit)
	}
	if s.TTL > 0 {
		s.Expires = now.Add(time.Second-1).Unix() + s.TTL
	}
	for name, to := range map[string]*[]string{"cidr_list": &s.CIDRs, "token_bound_cidrs": &s.TokenCIDRs} {
		*to = d.Strings(name)
		if err := auth.CheckCIDRs(name, *to); err != nil {
			return nil, err
		}
	}
	if len(s.CIDRs) > 0 && !auth.Subset(s.CIDRs, r.SecretIDCIDRs) {
		return nil, engine.Invalidf("cidr_list must be a subset of the role's secret_id_bound_cidrs")
	}
	if len(s.TokenCIDRs) > 0 && !auth.Subset(s.TokenCIDRs, r.Token.BoundCIDRs) {
		return nil, engine.Invalidf("token_bound_cidrs must be a subset of the role's token_bound_cidrs")
	}
	var err error
	s.Metadata, err = parseMetadata(d.Raw("metadata"))
	return s, err
}

// parseMetadata reads an object of strings, or text that is one in JSON.
func parseMetadata(raw json.RawMessage) (map[string]string, error) {
	if len(raw) > maxMetadata {
		return nil, engine.Invalidf("metadata is larger than %d bytes", maxMetadata)
	}
	var text string
	if json.Unmarshal(raw, &text) == nil {
		raw = json.RawMessage(text)
	}
	if len(raw) == 0 {
		return nil, nil
	}
	out := map[string]string{}
	if err := json.Unmarshal(raw, &out); err != nil {
		return nil, engine.Invalidf("metadata must be a JSON object of strings, such as {\"tag\": \"production\"}")
	}
	return out, nil
}

func (m *Method) listAccessors(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	r, err := m.needRole(ctx, req)
	if err != nil {
		return nil, err
	}
	return auth.List(ctx, req, accessorKey(r.UID, ""))
}

// found is a secret id and where it is.
type found struct {
	uid, hash string
	*secretID // nil: there is none that lives
}

func (m *Method) load(ctx context.Context, req *engine.Request, uid, hash string) (found, error) {
	s := &secretID{}
	ok, err := storage.GetJSON(ctx, req.Storage, secretKey(uid, hash), s)
	if err != nil {
		return found{}, err
	}
	if !ok || s.over(time.Now()) {
		s = nil
	}
	return found{uid, hash, s}, nil
}

// finder finds the secret id that a request is about.
type finder func(context.Context, *engine.Request) (found, error)

// bySecret finds the secret id in the body; of none that lives it is no error.
func (m *Method) bySecret(ctx context.Context, req *engine.Request) (found, error) {
	secret := req.Data.String("secret_id")
	if secret == "" {
		return found{}, engine.Invalidf("missing secret_id")
	}
	r, err := m.needRole(ctx, req)
	if err != nil {
		return found{}, err
	}
	key, err := m.key(ctx, req)
	if err != nil {
		return found{}, err
	}
	return m.load(ctx, req, r.UID, hash(key, r.UID, secret))
}

// byAccessor finds the secret id with the accessor in the body; none that lives is an error.
func (m *Method) byAccessor(ctx context.Context, req *engine.Request) (found, error) {
	accessor := req.Data.String("secret_id_accessor")
	if accessor == "" {
		return found{}, engine.Invalidf("missing secret_id_accessor")
	}
	r, err := m.needRole(ctx, req)
	if err != nil {
		return found{}, err
	}
	e, err := req.Storage.Get(ctx, accessorKey(r.UID, accessor))
	if err != nil {
		return found{}, err
	}
	f, err := m.load(ctx, req, r.UID, string(e.Value))
	if err == nil && f.secretID == nil {
		err = engine.Errorf(engine.NotFound, "failed to find accessor entry for secret_id_accessor: the role has no secret id with it")
	}
	return f, err
}

func (m *Method) lookup(find finder) engine.Handler {
	return func(ctx context.Context, req *engine.Request) (*engine.Response, error) {
		f, err := find(ctx, req)
		if err != nil || f.secretID == nil {
			return nil, err
		}
		return &engine.Response{Data: f.show()}, nil
	}
}

func (s *secretID) show() map[string]any {
	expires := time.Time{} // never, as Vault answers it
	if s.Expires != 0 {
		expires = time.Unix(s.Expires, 0)
	}
	metadata := s.Metadata
	if metadata == nil {
		metadata = map[string]string{}
	}
	stamp := func(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
	return map[string]any{
		"secret_id_accessor": s.Accessor,
		"secret_id_ttl":      s.TTL,
		"secret_id_num_uses": s.Uses,
		"creation_time":      stamp(time.Unix(0, s.Created)),
		"last_updated_time":  stamp(time.Unix(0, s.Updated)),
		"expiration_time":    stamp(expires),
		"metadata":           metadata,
		"cidr_list":          auth.Shown(s.CIDRs),
		"token_bound_cidrs":  auth.Shown(s.TokenCIDRs),
	}
}

func (m *Method) destroy(find finder) engine.Handler {
	return func(ctx context.Context, req *engine.Request) (*engine.Response, error) {
		f, err := find(ctx, req)
		if err == nil && f.secretID != nil {
			f.end(req)
		}
		return nil, err
	}
}

// end deletes all there is of a secret id.
func (f found) end(req *engine.Request) {
	req.Storage.Delete(secretKey(f.uid, f.hash))
	req.Storage.Delete(accessorKey(f.uid, f.Accessor))
	if f.Expires != 0 {
		req.Due.Remove(f.Expires, dueSecretID(f.uid, f.hash))
	}
}

const (
	dueSecret = "secret/" // + the role's UID + / + hash
	dueRole   = "role/"   // + the UID of a role that is gone
	// sweepBatch is how many secret ids of a deleted role go at once.
	sweepBatch = 1000
)

// Expire implements engine.Expirer: it ends a secret id whose time has come, or
// a batch of those whose role is gone.
func (m *Method) Expire(ctx context.Context, req *engine.Request, at int64, id string) error {
	if uid, ok := strings.CutPrefix(id, dueRole); ok {
		return m.sweep(ctx, req, at, uid)
	}
	uid, h, ok := strings.Cut(strings.TrimPrefix(id, dueSecret), "/")
	if !ok {
		return fmt.Errorf("approle: malformed id in the due index")
	}
	s := &secretID{}
	ok, err := storage.GetJSON(ctx, req.Storage, secretKey(uid, h), s)
	if err != nil || !ok || s.Expires != at {
		return err
	}
	req.Storage.Delete(secretKey(uid, h))
	req.Storage.Delete(accessorKey(uid, s.Accessor))
	return nil
}

// sweep deletes a batch of the secret ids of a role that is gone, and asks to be
// called again as long as there are more.
func (m *Method) sweep(ctx context.Context, req *engine.Request, at int64, uid string) error {
	n := 0
	for k, err := range req.Storage.Keys(ctx, secretKey(uid, ""), "") {
		if err != nil {
			return err
		}
		if n++; n > sweepBatch {
			req.Due.Add(max(at+1, time.Now().Unix()), dueRole+uid)
			return nil
		}
		s := &secretID{}
		if _, err := storage.GetJSON(ctx, req.Storage, k, s); err != nil {
			return err
		}
		found{uid, k[len(secretKey(uid, "")):], s}.end(req)
	}
	return nil
}
