package sys

import (
	"context"
	"encoding/json"
	"net/http"

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
		Answers: engine.Answers{engine.Read: engine.Bare{Data: map[string]any{}}, engine.Update: engine.Bare{Data: map[string]any{}}},
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
