package sys

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"

	"strongroom/engine"
	"strongroom/internal/call"
	"strongroom/internal/mount"
	"strongroom/internal/openapi"
)

// specRoutes serve the OpenAPI document
// (https://developer.hashicorp.com/vault/api-docs/system/internal-specs-openapi).
func (d *Deps) specRoutes() []engine.Route {
	fields := []engine.Field{
		{Name: "generic_mount_paths", Type: engine.Bool, Help: "Put a parameter in the place of each mount's path."},
		{Name: "context", Help: "Kept for compatibility."},
	}
	return []engine.Route{{Path: "internal/specs/openapi", Help: "The API of what is mounted here, as an OpenAPI document.", Fields: fields,
		AnyNode: true, Read: d.openAPI, Write: d.openAPI}}
}

// openAPI describes the mounts in which the caller's policies grant something.
func (d *Deps) openAPI(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	c, generic := call.From(ctx), req.Data.Bool("generic_mount_paths")
	doc := openapi.New(d.Version)
	for path, m := range c.Routing.All() {
		if !c.ACL.AllowsUnder(c.Prefix + path) {
			continue
		}
		for _, r := range m.Router.Routes() {
			if !r.RootOnly || c.Here.Root() {
				doc.Add(place(m, generic), r)
			}
		}
	}
	if c.Here.Root() {
		for _, r := range outside() {
			doc.Add(openapi.Place{Path: "sys/", Tag: "system"}, r)
		}
	}
	body, err := json.Marshal(doc.Object())
	if err != nil {
		return nil, err
	}
	return &engine.Response{Raw: &engine.Raw{Status: http.StatusOK, ContentType: "application/json", Body: body}}, nil
}

func place(m *mount.Mounted, generic bool) openapi.Place {
	at := openapi.Place{Path: m.Entry.Path, Tag: "secrets", Generic: generic && !m.Entry.Fixed()}
	switch {
	case m.Entry.Path == "sys/":
		at.Tag = "system"
	case m.Entry.Path == "identity/":
		at.Tag = "identity"
	case m.Entry.Auth():
		at.Tag = "auth"
	}
	return at
}

// elsewhere stands for what serves a path outside of a Session.
func elsewhere(context.Context, *engine.Request) (*engine.Response, error) {
	return nil, engine.ErrUnsupported
}

// outside are the paths below sys/ that a server answers without an open Session:
// no route of the engine "system" stands for them.
func outside() []engine.Route {
	str := func(names ...string) (out []engine.Field) {
		for _, n := range names {
			out = append(out, engine.Field{Name: n})
		}
		return out
	}
	shares := []engine.Field{
		{Name: "secret_shares", Type: engine.Int, Help: "Number of key shares."}, {Name: "secret_threshold", Type: engine.Int, Help: "Shares needed."},
		{Name: "pgp_keys", Type: engine.StringList, Help: "PGP keys that encrypt the shares."},
	}
	share := engine.Field{Name: "key", Help: "One key share."}
	all := []engine.Route{
		{Path: "health", Help: "Whether this node serves, by its status code.", Read: elsewhere},
		{Path: "seal-status", Help: "Whether this node is sealed, and how far unsealing is.", Read: elsewhere},
		{Path: "leader", Help: "Which node is the active one.", Read: elsewhere},
		{Path: "init", Help: "Initialize the server.", Read: elsewhere, Write: elsewhere, Fields: append(slices.Clone(shares),
			engine.Field{Name: "recovery_shares", Type: engine.Int, Help: "Shares of the recovery key."}, engine.Field{Name: "recovery_threshold", Type: engine.Int, Help: "Recovery shares needed."},
			engine.Field{Name: "recovery_pgp_keys", Type: engine.StringList, Help: "PGP keys that encrypt them."}, engine.Field{Name: "root_token_pgp_key", Help: "PGP key that encrypts the root token."})},
		{Path: "unseal", Help: "Enter a key share, or begin again.", Write: elsewhere, Fields: []engine.Field{share,
			{Name: "reset", Type: engine.Bool, Help: "Forget the shares entered so far."}, {Name: "migrate", Type: engine.Bool, Help: "Migrate to another seal."}}},
		{Path: "storage/raft/join", Help: "Have this node join a cluster.", Write: elsewhere,
			Fields: append(str("leader_api_addr", "leader_ca_cert", "leader_client_cert", "leader_client_key", "auto_join", "auto_join_scheme"),
				engine.Field{Name: "retry", Type: engine.Bool}, engine.Field{Name: "non_voter", Type: engine.Bool}, engine.Field{Name: "auto_join_port", Type: engine.Int})},
		{Path: "storage/raft/bootstrap/challenge", Help: "Begin to join: a challenge to answer.", Write: elsewhere, Fields: str("server_id")},
		{Path: "storage/raft/bootstrap/answer", Help: "Answer the challenge.", Write: elsewhere, Fields: str("answer", "server_id", "cluster_addr")},
		{Path: "decode-token", Help: "Decode a token that was made for a one-time password.", Write: elsewhere, Fields: str("encoded_token", "otp")},
		{Path: "storage/raft/snapshot", Help: "Take a snapshot, or restore one of this cluster.", Sudo: true, Read: elsewhere, Write: elsewhere},
		{Path: "storage/raft/snapshot-force", Help: "Restore a snapshot, whatever cluster it is from.", Sudo: true, Write: elsewhere},
	}
	for i := range all {
		all[i].Public = !all[i].Sudo
	}
	return all
}
