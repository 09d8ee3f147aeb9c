package sys

import (
	"context"
	"slices"

	"strongroom/engine"
)

// pluginRoutes serve sys/plugins/catalog
// (https://developer.hashicorp.com/vault/api-docs/system/plugins-catalog): all
// engines and methods are built in; the server runs no other program.
func (d *Deps) pluginRoutes() []engine.Route {
	fields := []engine.Field{{Name: "type", Help: "auth or secret."}, {Name: "name", Help: "Name of the engine or method."}}
	refuse := func(context.Context, *engine.Request) (*engine.Response, error) {
		return nil, engine.Invalidf("plugins cannot be registered: this server runs no program but itself")
	}
	return []engine.Route{
		{Path: "plugins/catalog", Help: "List the engines and methods there are.", Sudo: true, AnyNode: true, Answers: engine.Answers{engine.Read: plugins{}, engine.List: plugins{}}, Read: d.listPlugins, List: d.listPlugins},
		{Path: "plugins/catalog/{type}", Help: "List those of a type.", Sudo: true, AnyNode: true, Fields: fields, Answers: engine.Answers{engine.List: engine.Keys{}}, List: d.listPluginsOf},
		{Path: "plugins/catalog/{type}/{name}", Help: "One engine or method.", Sudo: true, AnyNode: true, Fields: fields,
			Answers: engine.Answers{engine.Read: engine.TopLevel{Data: plugin{}}, engine.Update: engine.Never{}, engine.Delete: engine.Never{}}, Read: d.readPlugin, Write: refuse, Delete: refuse},
		{Path: "plugins/reload/backend", Help: "Kept for compatibility.", Sudo: true, Answers: engine.Answers{engine.Update: engine.Never{}}, Write: func(context.Context, *engine.Request) (*engine.Response, error) {
			return nil, engine.Invalidf("there are no plugins to reload: all engines are built in")
		}},
	}
}

// pluginNames are the names of the types that can be enabled, sorted.
func (d *Deps) pluginNames(auth bool) []string {
	names := []string{}
	for name, t := range d.Mounts.Types() {
		if !t.System && t.Auth == auth {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func describePlugin(kind, name string) map[string]any {
	return map[string]any{"name": name, "type": kind, "builtin": true, "version": "", "deprecation_status": "supported"}
}

func (d *Deps) listPlugins(context.Context, *engine.Request) (*engine.Response, error) {
	detailed := []any{}
	for kind, auth := range map[string]bool{"auth": true, "secret": false} {
		for _, name := range d.pluginNames(auth) {
			detailed = append(detailed, describePlugin(kind, name))
		}
	}
	slices.SortFunc(detailed, func(a, b any) int {
		x, y := a.(map[string]any), b.(map[string]any)
		return slices.Compare([]string{x["type"].(string), x["name"].(string)}, []string{y["type"].(string), y["name"].(string)})
	})
	return &engine.Response{Data: map[string]any{"auth": d.pluginNames(true), "secret": d.pluginNames(false), "database": []string{}, "detailed": detailed}}, nil
}

func (d *Deps) listPluginsOf(_ context.Context, req *engine.Request) (*engine.Response, error) {
	switch kind := req.Data.String("type"); kind {
	case "auth", "secret":
		return &engine.Response{Data: map[string]any{"keys": d.pluginNames(kind == "auth")}}, nil
	case "database":
		return &engine.Response{Data: map[string]any{"keys": []string{}}}, nil
	default:
		return nil, engine.Invalidf("%q is no type of plugin: auth, database or secret", kind)
	}
}

func (d *Deps) readPlugin(_ context.Context, req *engine.Request) (*engine.Response, error) {
	kind, name := req.Data.String("type"), req.Data.String("name")
	if t, ok := d.Mounts.Type(name); !ok || t.System || kind != map[bool]string{true: "auth", false: "secret"}[t.Auth] {
		return nil, engine.ErrNotFound
	}
	data := describePlugin(kind, name)
	data["args"], data["command"], data["sha256"] = []string{}, "", ""
	return &engine.Response{TopLevel: true, Data: data}, nil
}
