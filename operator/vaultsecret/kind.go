// Package vaultsecret owns the kind VaultSecret: what its spec asks for, and how what was read becomes the data of its
// target. The course of a sync is package syncer's.
package vaultsecret

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"strongroom/api/v1beta1"
	"strongroom/operator/condition"
	"strongroom/operator/source"
	"strongroom/operator/syncer"
	"strongroom/operator/target"
	"strongroom/operator/vaultauth"
	"strongroom/operator/vaultclient"
)

// Name is the kind's.
const Name = "VaultSecret"

// defaultInterval is how often the source is looked at where changes are not told.
const defaultInterval = 30 * time.Second

// Kind is VaultSecret for the course of a sync (syncer.For).
type Kind struct {
	Auths  vaultauth.Resolver
	Source *source.Reader
}

// +kubebuilder:rbac:groups=secrets.hashicorp.com,resources=vaultsecrets,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=secrets.hashicorp.com,resources=vaultsecrets/status,verbs=get;patch;update
// +kubebuilder:rbac:groups=secrets.hashicorp.com,resources=vaultsecrets/finalizers,verbs=update

// Spec says what the resource asks for. Errors are Problems: InvalidSpec.
func (k *Kind) Spec(vs *v1beta1.VaultSecret) (syncer.Spec, error) {
	every, err := syncer.Duration("refreshAfter", vs.Spec.RefreshAfter, 0)
	spec := syncer.Spec{
		Every: every, Fallback: defaultInterval,
		Want: target.OfTarget(target.OwnerOf(Name, vs), vs.Spec.Target), AuthRef: vs.Spec.VaultAuthRef, Copies: vs.Spec.Target.NamespaceSelector,
		Restarts: vs.Spec.RolloutRestartTargets, Restart: vs.Spec.RestartPolicy,
		Finalize: vs.Spec.Target.NamespaceSelector != nil,
	}
	if vs.Spec.Vault != nil {
		spec.AuthRef = syncer.NoAuth
	}
	return spec, err
}

// Read reads the source, and makes the target's data of it.
func (k *Kind) Read(ctx context.Context, vs *v1beta1.VaultSecret, held syncer.Held) (*syncer.Content, error) {
	login, err := k.login(ctx, vs)
	if err != nil {
		return nil, err
	}
	read, err := k.gather(ctx, login, vs)
	if err != nil {
		return syncer.Failed(login, "", source.At(err)), err
	}
	made, err := shape(vs, read)
	if err != nil {
		return nil, err
	}
	content := &syncer.Content{Version: read.version, Path: read.path, Says: read.says, Login: login, Paths: read.follow, Untold: read.untold}
	if made.lacking != nil {
		live, err := held.Live(ctx)
		if err != nil {
			return nil, err
		}
		if !made.complete(vs, live) {
			return nil, made.lacking
		}
		content.Partly = &condition.Problem{Reason: made.lacking.Reason, Message: fmt.Sprintf("%s; %s in Secret %s keeps its last value, all else is of %s",
			made.lacking.Message, strings.Join(made.lacks, ", "), vs.Spec.Target.Name, read.says)}
	}
	content.Data = made.data
	return content, nil
}

func (k *Kind) login(ctx context.Context, vs *v1beta1.VaultSecret) (vaultclient.Login, error) {
	switch spec := vs.Spec; {
	case spec.VaultAuthRef != "":
		return k.Auths.Login(ctx, vs.Namespace, spec.VaultAuthRef, spec.ServiceAccount)
	case spec.Vault != nil:
		return vaultauth.Inline(vs.Namespace, spec.Vault, spec.ServiceAccount), nil
	}
	return vaultclient.Login{}, condition.Problemf(v1beta1.ReasonInvalidSpec,
		"give spec.vault (server and login inline) or spec.vaultAuthRef (the name of a VaultAuth)")
}

// gathered is what was read, of one place or several. It must not be logged.
type gathered struct {
	data                      map[string]any
	parts                     map[string]any // name → data
	metadata                  map[string]any
	version, path, name, says string
	follow                    []string // whose changes matter
	untold                    bool     // part of it may be of any engine, and only KV tells of changes
}

// GoString keeps %#v from printing the data.
func (g *gathered) GoString() string { return g.says }

// String keeps %v from printing the data.
func (g *gathered) String() string { return g.says }

// gather reads all that the spec names, or nothing: a part that cannot be read fails it.
func (k *Kind) gather(ctx context.Context, login vaultclient.Login, vs *v1beta1.VaultSecret) (*gathered, error) {
	if vs.Spec.Source != nil {
		kv, err := source.ParseKV(vs.Spec.Source.KV)
		if err != nil {
			return nil, err
		}
		secret, err := k.Source.Read(ctx, login, kv)
		if err != nil {
			return nil, err
		}
		return &gathered{
			data: secret.Data, metadata: secret.Metadata,
			version: secret.Version, path: secret.Path, name: secret.Name, says: secret.String(), follow: []string{secret.Path},
		}, nil
	}
	if len(vs.Spec.Sources) == 0 {
		return nil, condition.Problemf(v1beta1.ReasonInvalidSpec, "give spec.source or spec.sources: what to read")
	}
	all := &gathered{data: map[string]any{}, parts: map[string]any{}}
	from := make(map[string]string)
	var versions, paths, says []string
	for _, part := range vs.Spec.Sources {
		secrets, err := k.part(ctx, login, part)
		if err != nil {
			return nil, err
		}
		if part.Find != nil && len(secrets) > 0 {
			all.follow = append(all.follow, folder(secrets[0].Path, part.Find.Path))
		}
		all.untold = all.untold || part.Path != ""
		named := make(map[string]any)
		for _, secret := range secrets {
			if part.Find == nil {
				all.follow = append(all.follow, secret.Path)
			}
			versions, paths, says = append(versions, secret.Version), append(paths, secret.Path), append(says, secret.String())
			keys, err := rename(part, secret)
			if err != nil {
				return nil, err
			}
			for _, key := range slices.Sorted(maps.Keys(keys)) {
				if other, taken := from[key]; taken {
					return nil, condition.Problemf(v1beta1.ReasonInvalidSpec,
						"%s and %s both give key %q: rewrite or exclude it in one of them", other, secret.Name, key)
				}
				from[key] = secret.Name
				all.data[key], named[key] = keys[key], keys[key]
			}
		}
		if part.Name != "" {
			all.parts[part.Name] = named
		}
	}
	all.version, all.path, all.name = brief(versions), brief(paths), brief(paths)
	all.says = strings.Join(says[:min(len(says), 4)], ", ")
	if len(says) > 4 {
		all.says += fmt.Sprintf(" and %d more", len(says)-4)
	}
	return all, nil
}

// folder is the prefix of a find on the API, of which path is one secret: secret/data/team/ of secret/team.
func folder(path, prefix string) string {
	mount, _, v2 := strings.Cut(path, "/data/")
	prefix = strings.Trim(prefix, "/") + "/"
	if !v2 || !strings.HasPrefix(prefix, mount+"/") {
		return prefix
	}
	return mount + "/data/" + strings.TrimPrefix(prefix, mount+"/")
}

// brief joins what a status has room for.
func brief(texts []string) string {
	if len(texts) > 16 {
		return strings.Join(texts[:16], ",") + ",…"
	}
	return strings.Join(texts, ",")
}

// part reads one of several sources; a find gives many secrets, with the path below its prefix before their keys.
func (k *Kind) part(ctx context.Context, login vaultclient.Login, part v1beta1.VaultSecretPart) ([]*source.Secret, error) {
	switch {
	case part.KV != nil:
		kv, err := source.ParseKV(*part.KV)
		if err != nil {
			return nil, err
		}
		secret, err := k.Source.Read(ctx, login, kv)
		return []*source.Secret{secret}, err
	case part.Path != "":
		secret, err := k.Source.ReadPath(ctx, login, part.Path)
		return []*source.Secret{secret}, err
	case part.Find == nil:
		return nil, condition.Problemf(v1beta1.ReasonInvalidSpec, "one of spec.sources names nothing: give kv, find or path")
	}
	find, err := source.ParseFind(*part.Find)
	if err != nil {
		return nil, err
	}
	found, err := k.Source.ReadAll(ctx, login, find)
	if err != nil {
		return nil, err
	}
	secrets := make([]*source.Secret, len(found))
	for i, each := range found {
		secret := *each.Secret
		secret.Data = make(map[string]any, len(each.Data))
		for key, value := range each.Data {
			secret.Data[asKey(each.Below+"_"+key)] = value
		}
		if len(secret.Data) != len(each.Data) {
			return nil, condition.Problemf(v1beta1.ReasonInvalidSpec, "two keys of %s are the same once _ stands for what a Secret's key cannot have", each.Name)
		}
		secrets[i] = &secret
	}
	return secrets, nil
}
