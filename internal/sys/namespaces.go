package sys

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"strongroom/engine"
	"strongroom/internal/acl"
	"strongroom/internal/call"
	"strongroom/internal/mount"
	"strongroom/internal/namespace"
	"strongroom/internal/token"
)

// namespaceRoutes serve sys/namespaces
// (https://developer.hashicorp.com/vault/api-docs/system/namespaces).
func (d *Deps) namespaceRoutes() []engine.Route {
	path := engine.Field{Name: "path", Help: "Name of the namespace, directly below that of the request."}
	subpath := engine.Field{Name: "subpath", Help: "Path of a namespace below that of the request; left out: that."}
	unlock := engine.Field{Name: "unlock_key", Help: "The key that locking answered; a root token needs none."}
	metadata := engine.Field{Name: "custom_metadata", Type: engine.Object, Help: "Keys and values that describe the namespace; in a PATCH, null takes a key away."}
	routes := []engine.Route{
		{Path: "namespaces", Help: "List the namespaces directly below that of the request.", AnyNode: true, Answers: engine.Answers{engine.List: engine.Named[namespaceInfo]{}}, List: listNamespaces},
		{Path: "namespaces/{path...}", Help: "Create, read, change or delete a namespace.", Fields: []engine.Field{path, metadata}, AnyNode: true, Exists: namespaceExists,
			Answers: engine.Answers{engine.Read: namespaceInfo{}, engine.Update: namespaceInfo{}, engine.Patch: namespaceInfo{}, engine.Delete: engine.Maybe{Data: namespaceEnding{}}},
			Read:    readNamespace, Write: createNamespace, Patch: patchNamespace, Delete: deleteNamespace},
	}
	for _, sub := range []string{"", "/{subpath...}"} {
		routes = append(routes,
			engine.Route{Path: "namespaces/api-lock/lock" + sub, Help: "Lock the API of a namespace and of all below it.", Fields: []engine.Field{subpath}, Answers: engine.Answers{engine.Update: namespaceLocked{}}, Write: lockNamespace},
			engine.Route{Path: "namespaces/api-lock/unlock" + sub, Help: "Unlock the API of a namespace.", Fields: []engine.Field{subpath, unlock}, Answers: engine.Answers{engine.Update: engine.Nothing{}}, Write: unlockNamespace})
	}
	return routes
}

func describeNamespace(ctx context.Context, c *call.Call, n *namespace.Namespace) (map[string]any, error) {
	rec, err := namespace.Read(ctx, c.Tx, n.ID)
	if rec.CustomMetadata == nil {
		rec.CustomMetadata = map[string]string{}
	}
	return map[string]any{"id": n.ID, "path": n.Path, "custom_metadata": rec.CustomMetadata}, err
}

func listNamespaces(ctx context.Context, _ *engine.Request) (*engine.Response, error) {
	c := call.From(ctx)
	keys, info := []string{}, map[string]any{}
	for _, n := range c.Tree.Below(c.Here, true) {
		if n.Deleting {
			continue
		}
		told, err := describeNamespace(ctx, c, n)
		if err != nil {
			return nil, err
		}
		keys = append(keys, n.Name())
		info[n.Name()] = told
	}
	if len(keys) == 0 {
		return nil, engine.ErrNotFound
	}
	return &engine.Response{Data: map[string]any{"keys": keys, "key_info": info}}, nil
}

// named is the name of a namespace that a request is about. What is further below
// is to be named in a request there, where the rules of that namespace's own path
// hold.
func named(req *engine.Request) (string, error) {
	name := strings.Trim(req.Data.String("path"), "/")
	if strings.Contains(name, "/") {
		return "", engine.Invalidf("%q is not directly below this namespace: ask in the one above it, by X-Vault-Namespace (-namespace)", name)
	}
	return name, nil
}

// child is the namespace that a request names, of tree; nil if there is none.
func child(ctx context.Context, tree *namespace.Tree, req *engine.Request) (*namespace.Namespace, error) {
	name, err := named(req)
	if err != nil {
		return nil, err
	}
	return tree.Child(tree.ByID(call.From(ctx).Namespace), name), nil
}

func namespaceExists(ctx context.Context, req *engine.Request) (bool, error) {
	n, err := child(ctx, call.From(ctx).Tree, req)
	return n != nil, err
}

func readNamespace(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	c := call.From(ctx)
	n, err := child(ctx, c.Tree, req)
	if err != nil {
		return nil, err
	}
	if n == nil || n.Deleting {
		return nil, engine.ErrNotFound
	}
	told, err := describeNamespace(ctx, c, n)
	return &engine.Response{Data: told}, err
}

// givenMetadata is the parameter custom_metadata; a nil value is a key to take away.
func givenMetadata(req *engine.Request) (map[string]*string, error) {
	var given map[string]*string
	if raw := req.Data.Raw("custom_metadata"); len(raw) > 0 {
		if err := json.Unmarshal(raw, &given); err != nil {
			return nil, engine.Invalidf("custom_metadata must be an object of texts")
		}
	}
	return given, nil
}

func merged(have map[string]string, given map[string]*string) map[string]string {
	out := maps.Clone(have)
	if out == nil {
		out = map[string]string{}
	}
	for k, v := range given {
		if v == nil {
			delete(out, k)
		} else {
			out[k] = *v
		}
	}
	return out
}

func createNamespace(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	c := call.From(ctx)
	name, err := named(req)
	if err != nil {
		return nil, err
	}
	given, err := givenMetadata(req)
	if err != nil {
		return nil, err
	}
	tree, err := namespace.Load(ctx, c.Tx)
	if err != nil {
		return nil, err
	}
	table, err := mount.Load(ctx, c.Tx, c.Namespace)
	if err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(table.Entries, func(e mount.Entry) bool { return strings.HasPrefix(e.Path, name+"/") }); i >= 0 {
		return nil, engine.Invalidf("path is already in use at %s: a namespace there would hide the mount", table.Entries[i].Path)
	}
	n, fresh, err := tree.Create(ctx, c.Tx, tree.ByID(c.Namespace), name, merged(nil, given))
	if err != nil {
		return nil, err
	}
	if fresh {
		if err := mount.System().Save(c.Tx, n.ID); err != nil {
			return nil, err
		}
		token.Initialize(c.Tx, n.ID)
		acl.Initialize(c.Tx, n.ID)
	}
	told, err := describeNamespace(ctx, c, n)
	return &engine.Response{Data: told}, err
}

func patchNamespace(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	c := call.From(ctx)
	tree, err := namespace.Load(ctx, c.Tx)
	if err != nil {
		return nil, err
	}
	n, err := child(ctx, tree, req)
	if err != nil {
		return nil, err
	}
	if n == nil || n.Deleting {
		return nil, engine.ErrNotFound
	}
	given, err := givenMetadata(req)
	if err != nil {
		return nil, err
	}
	rec, err := namespace.Read(ctx, c.Tx, n.ID)
	if err != nil {
		return nil, err
	}
	if err := tree.SetMetadata(ctx, c.Tx, n, merged(rec.CustomMetadata, given)); err != nil {
		return nil, err
	}
	told, err := describeNamespace(ctx, c, n)
	return &engine.Response{Data: told}, err
}

// deleteNamespace has a namespace deleted behind the answer; see
// gateway.SweepNamespaces. One that is not there is no error.
func deleteNamespace(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	c := call.From(ctx)
	tree, err := namespace.Load(ctx, c.Tx)
	if err != nil {
		return nil, err
	}
	n, err := child(ctx, tree, req)
	if err != nil || n == nil {
		return nil, err
	}
	if err := tree.Doom(c.Tx, n); err != nil {
		return nil, err
	}
	return &engine.Response{Data: map[string]any{"status": "in-progress"}}, nil
}

// sub is the namespace of the request, or the one below it that subpath names.
func sub(ctx context.Context, tree *namespace.Tree, req *engine.Request) (*namespace.Namespace, error) {
	here := tree.ByID(call.From(ctx).Namespace)
	path := strings.Trim(req.Data.String("subpath"), "/")
	n := here
	if path != "" {
		n = tree.ByPath(here.Path + path)
	}
	if n == nil || n.Deleting {
		return nil, engine.Invalidf("namespace %q does not exist", here.Path+path+"/")
	}
	return n, nil
}

func lockNamespace(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	c := call.From(ctx)
	tree, err := namespace.Load(ctx, c.Tx)
	if err != nil {
		return nil, err
	}
	n, err := sub(ctx, tree, req)
	if err != nil {
		return nil, err
	}
	key, err := tree.Lock(ctx, c.Tx, n)
	if err != nil {
		return nil, err
	}
	return &engine.Response{Data: map[string]any{"unlock_key": key}}, nil
}

func unlockNamespace(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	c := call.From(ctx)
	tree, err := namespace.Load(ctx, c.Tx)
	if err != nil {
		return nil, err
	}
	n, err := sub(ctx, tree, req)
	if err != nil {
		return nil, err
	}
	return nil, tree.Unlock(ctx, c.Tx, n, req.Data.String("unlock_key"), c.Token.Root() && c.Home.Here.Root())
}

// shadowed refuses the path of a mount that a namespace would hide. The request
// conflicts with every change of the tree.
func shadowed(ctx context.Context, path string) error {
	c := call.From(ctx)
	tree, err := namespace.Load(ctx, c.Tx)
	if err != nil {
		return err
	}
	if n := tree.Shadowed(tree.ByID(c.Namespace), path); n != nil {
		return engine.Invalidf("%q lies in the namespace %q: ask there, by X-Vault-Namespace (-namespace); a mount cannot be moved to another namespace", path, n.Path)
	}
	return nil
}
