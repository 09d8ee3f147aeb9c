package source

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"strongroom/api/v1beta1"
	"strongroom/operator/condition"
	"strongroom/operator/vaultclient"
)

const (
	maxFound = 512 // secrets of one find
	maxDepth = 16  // folders below its prefix
)

// Find names all secrets of a KV engine under a prefix.
type Find struct {
	KV                   // whose Path is the prefix
	Match *regexp.Regexp // of paths below the prefix; nil: all
}

// Found is a secret and where it is below the prefix.
type Found struct {
	Below string // such as eu/db
	*Secret
}

// ParseFind checks a find of a spec. Errors are Problems: InvalidSpec.
func ParseFind(spec v1beta1.FindSource) (Find, error) {
	path := strings.Trim(spec.Path, "/")
	if err := CheckPath("find.path", path); err != nil {
		return Find{}, err
	}
	version, err := engineVersion(spec.Version)
	if err != nil {
		return Find{}, err
	}
	find := Find{KV: KV{Path: path, Version: version}}
	if spec.Match != "" {
		if find.Match, err = regexp.Compile(spec.Match); err != nil {
			return Find{}, condition.Problemf(v1beta1.ReasonInvalidSpec, "find.match %q is no regular expression: %v", spec.Match, err)
		}
	}
	return find, nil
}

// ReadAll reads all secrets under a prefix, or none: a secret that cannot be read fails it, for half of them is no
// answer. Secrets whose last version is deleted are left out. Errors are Problems, as those of Read.
func (r *Reader) ReadAll(ctx context.Context, login vaultclient.Login, find Find) ([]Found, error) {
	var all []Found
	err := r.pool.Do(ctx, login, func(ctx context.Context, client *vaultclient.Client) error {
		all = nil
		probe := find.KV
		probe.Path += "/x" // a prefix may be the mount itself, which covers keys only
		at, _, err := r.mount(ctx, client, login, probe)
		if err != nil {
			return err
		}
		walk := &walk{client: client, login: login, at: at, find: find}
		prefix := strings.Trim(strings.TrimPrefix(find.Path+"/", at.path), "/")
		if err := walk.folder(ctx, prefix, "", 0); err != nil {
			return err
		}
		all = walk.found
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, condition.Problemf(v1beta1.ReasonNotFound, "no secret under %s/ matches: write one, or correct find", find.Path)
	}
	return all, nil
}

type walk struct {
	client *vaultclient.Client
	login  vaultclient.Login
	at     mount
	find   Find
	found  []Found
}

// folder lists one folder and reads what is in it and below.
func (w *walk) folder(ctx context.Context, prefix, below string, depth int) error {
	list := w.at.path
	if w.at.version == 2 {
		list += "metadata/"
	}
	list += joined(prefix, below)
	names, err := w.client.List(ctx, strings.TrimSuffix(list, "/")+"/")
	var refused *vaultclient.Refused
	if errors.As(err, &refused) && refused.Status == 404 && !refused.NoRoute() {
		return nil
	}
	if err != nil {
		return Refusal(w.login, "list", strings.TrimSuffix(list, "/")+"/", err)
	}
	for _, name := range names {
		path := joined(below, strings.TrimSuffix(name, "/"))
		if strings.HasSuffix(name, "/") {
			if depth >= maxDepth {
				return condition.Problemf(v1beta1.ReasonInvalidSpec, "find.path %s has more than %d folders one in another", w.find.Path, maxDepth)
			}
			if err := w.folder(ctx, prefix, path, depth+1); err != nil {
				return err
			}
			continue
		}
		if w.find.Match != nil && !w.find.Match.MatchString(path) {
			continue
		}
		if err := w.secret(ctx, prefix, path); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) secret(ctx context.Context, prefix, below string) error {
	if len(w.found) >= maxFound {
		return condition.Problemf(v1beta1.ReasonInvalidSpec, "find.path %s has more than %d secrets: narrow find.match", w.find.Path, maxFound)
	}
	kv := KV{Path: w.at.path + joined(prefix, below), Version: w.find.Version}
	secret, err := read(ctx, w.client, w.login, w.at, kv)
	if condition.Is(err, v1beta1.ReasonNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	w.found = append(w.found, Found{Below: below, Secret: secret})
	return nil
}

func joined(prefix, name string) string {
	switch {
	case prefix == "":
		return name
	case name == "":
		return prefix
	}
	return prefix + "/" + name
}

// String counts the secrets, without their data.
func (f Found) String() string { return fmt.Sprintf("%s at %s", f.Secret, f.Below) }
