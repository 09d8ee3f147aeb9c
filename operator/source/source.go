// Package source reads secrets from a server: it knows the engines' paths and answers, and says what a refusal means.
// It keeps no secret; of mounts it remembers path and version for a while.
package source

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	vault "github.com/hashicorp/vault/api"

	"strongroom/api/v1beta1"
	"strongroom/operator/condition"
	"strongroom/operator/vaultclient"
)

// mountAge is how long a mount is believed. A refusal makes the Reader ask again sooner.
const mountAge = 5 * time.Minute

// Secret is what was read. It has no String method that prints its data, and must not be logged.
type Secret struct {
	Data     map[string]any // numbers are json.Number
	Version  string         // of the secret; empty in KV v1
	Raw      map[string]any // the whole answer: in KV v2 also the metadata
	Metadata map[string]any // of the secret; KV v2 only
	Path     string         // on the API, such as secret/data/myapp
	Name     string         // as the CLI takes it, such as secret/myapp
}

// String names the secret, without its data.
func (s *Secret) String() string {
	if s.Version == "" {
		return s.Name
	}
	return "version " + s.Version + " of " + s.Name
}

// GoString is String, so that %#v prints no data either.
func (s *Secret) GoString() string { return s.String() }

// Reader reads secrets with the logins of a pool.
type Reader struct {
	pool   *vaultclient.Pool
	mu     sync.Mutex
	mounts map[serverKey][]knownMount
}

// serverKey is whose mounts they are.
type serverKey struct{ address, namespace string }

type knownMount struct {
	mount
	seen time.Time
}

// NewReader returns a Reader over pool.
func NewReader(pool *vaultclient.Pool) *Reader {
	return &Reader{pool: pool, mounts: make(map[serverKey][]knownMount)}
}

// Read reads a secret of a KV engine. Errors are Problems: PermissionDenied, NotFound, MountNotFound, InvalidSpec, and
// those of the login and the connection.
func (r *Reader) Read(ctx context.Context, login vaultclient.Login, kv KV) (*Secret, error) {
	var secret *Secret
	err := r.pool.Do(ctx, login, func(ctx context.Context, client *vaultclient.Client) error {
		known, remembered, err := r.mount(ctx, client, login, kv)
		if err != nil {
			return err
		}
		secret, err = read(ctx, client, login, known, kv)
		if err == nil || !remembered || condition.Is(err, v1beta1.ReasonServerSealed, v1beta1.ReasonServerUnreachable) {
			return err
		}
		r.forget(login, kv) // the mount may have been moved or upgraded
		if known, _, err = r.mount(ctx, client, login, kv); err != nil {
			return err
		}
		secret, err = read(ctx, client, login, known, kv)
		return err
	})
	if err != nil {
		return nil, err
	}
	return secret, nil
}

// mount finds the mount of a path, and tells whether it is only remembered.
func (r *Reader) mount(ctx context.Context, client *vaultclient.Client, login vaultclient.Login, kv KV) (found mount, remembered bool, err error) {
	key := serverKey{login.Address, login.Namespace}
	r.mu.Lock()
	for _, known := range r.mounts[key] {
		if known.covers(kv.Path) && time.Since(known.seen) < mountAge {
			r.mu.Unlock()
			return known.mount, true, nil
		}
	}
	r.mu.Unlock()

	answer, err := client.Read(ctx, "sys/internal/ui/mounts/"+kv.Path)
	var refused *vaultclient.Refused
	switch {
	case errors.As(err, &refused):
		// The server does not tell those who may read nothing there whether there is a mount.
		return guess(kv), false, nil
	case err != nil:
		return mount{}, false, err
	case answer == nil:
		return guess(kv), false, nil
	}
	if found, err = parseMount(kv, answer.Data); err != nil {
		return mount{}, false, err
	}
	r.forget(login, kv)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mounts[key] = append(r.mounts[key], knownMount{found, time.Now()})
	return found, false, nil
}

// forget drops what is known of the mount of a path, and whatever is too old.
func (r *Reader) forget(login vaultclient.Login, kv KV) {
	key := serverKey{login.Address, login.Namespace}
	r.mu.Lock()
	defer r.mu.Unlock()
	kept := r.mounts[key][:0]
	for _, known := range r.mounts[key] {
		if !known.covers(kv.Path) && time.Since(known.seen) < mountAge {
			kept = append(kept, known)
		}
	}
	r.mounts[key] = kept
	if len(kept) == 0 {
		delete(r.mounts, key)
	}
}

func read(ctx context.Context, client *vaultclient.Client, login vaultclient.Login, at mount, kv KV) (*Secret, error) {
	path, name, err := at.locate(kv)
	if err != nil {
		return nil, err
	}
	return readAt(ctx, client, login, at, path, name, nil)
}

// readAt reads a secret at a path of the API.
func readAt(ctx context.Context, client *vaultclient.Client, login vaultclient.Login, at mount, path, name string, query url.Values) (*Secret, error) {
	ask := client.ReadWith
	if at.version == 2 { // what is called KV v1 may be another engine, of which each answer is for one only
		ask = client.ReadShared
	}
	answer, err := ask(ctx, path, query)
	var refused *vaultclient.Refused
	if errors.As(err, &refused) {
		return nil, refusal(login, at, path, name, answer, refused)
	}
	if err != nil {
		return nil, err
	}
	secret := &Secret{Path: path, Name: name}
	if answer != nil {
		secret.Data, secret.Raw = answer.Data, answer.Data
	}
	if at.version == 2 && answer != nil {
		secret.Data, _ = answer.Data["data"].(map[string]any)
		if metadata, _ := answer.Data["metadata"].(map[string]any); metadata != nil {
			secret.Version, secret.Metadata = fmt.Sprint(metadata["version"]), metadata
		}
	}
	if len(secret.Data) == 0 {
		return nil, condition.Problemf(v1beta1.ReasonNotFound, "%s holds no keys: write some with `vault kv put %s KEY=VALUE`",
			secret, name)
	}
	return secret, nil
}

// refusedAt is a *Refused, and the path that was asked for.
type refusedAt struct {
	*vaultclient.Refused
	path string
}

// Unwrap gives the *Refused.
func (r *refusedAt) Unwrap() error { return r.Refused }

// At is the path of the API at which the server refused, by an error of this package; "": it did not.
func At(err error) string {
	var at *refusedAt
	if errors.As(err, &at) {
		return at.path
	}
	return ""
}

// refusal says what the server's no to a read means. The *Refused stays in the chain for the pool.
func refusal(login vaultclient.Login, at mount, path, name string, answer *vault.Secret, refused *vaultclient.Refused) error {
	problem := &condition.Problem{Cause: &refusedAt{refused, path}}
	switch {
	case refused.Status == http.StatusForbidden:
		return Denied(login, "read", path, refused)
	case refused.NoRoute():
		problem.Reason = v1beta1.ReasonMountNotFound
		problem.Message = fmt.Sprintf("there is no secrets engine at %s: run `vault secrets enable -path=%s kv-v2`, or correct source.kv.path",
			at.path, strings.TrimSuffix(at.path, "/"))
	case refused.Status == http.StatusNotFound:
		problem.Reason = v1beta1.ReasonNotFound
		problem.Message = missing(at, name, answer)
	default:
		problem.Reason = v1beta1.ReasonInvalidSpec
		problem.Message = fmt.Sprintf("the server does not take the path %s: %s", path, refused)
	}
	return problem
}

// Denied says that the login may not do what path asks, and which policy would let it.
func Denied(login vaultclient.Login, capability, path string, refused *vaultclient.Refused) *condition.Problem {
	return &condition.Problem{
		Reason: v1beta1.ReasonPermissionDenied, Cause: refused,
		Message: fmt.Sprintf("role %q (auth/%s, service account %s/%s) has no capability %q on %s: "+
			"attach a policy with path %q { capabilities = [%q] } to the role", login.Role, strings.Trim(login.Mount, "/"),
			login.ServiceAccount.Namespace, login.ServiceAccount.Name, capability, path, path, capability),
	}
}

// missing tells a deleted or destroyed version, whose 404 has its metadata, from no secret at all.
func missing(at mount, name string, answer *vault.Secret) string {
	if at.version == 2 && answer != nil {
		if metadata, _ := answer.Data["metadata"].(map[string]any); metadata != nil {
			version := metadata["version"]
			if destroyed, _ := metadata["destroyed"].(bool); destroyed {
				return fmt.Sprintf("version %v of %s was destroyed: write a new one with `vault kv put %s KEY=VALUE`",
					version, name, name)
			}
			return fmt.Sprintf("version %v of %s was deleted at %v: restore it with `vault kv undelete -versions=%v %s`, or write a new one",
				version, name, metadata["deletion_time"], version, name)
		}
	}
	return fmt.Sprintf("there is no secret %s on the server: write it with `vault kv put %s KEY=VALUE`, or correct source.kv.path",
		name, name)
}
