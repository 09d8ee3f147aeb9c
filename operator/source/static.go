package source

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"strongroom/api/v1beta1"
	"strongroom/operator/condition"
	"strongroom/operator/vaultclient"
)

// Static names a secret of a KV engine whose mount is known.
type Static struct {
	Namespace   string // of the server; empty: the login's
	Mount, Path string
	Engine      int // 1 or 2
	Version     int // of the secret, in KV v2; 0: the latest
}

// ReadStatic reads a secret of a KV engine. Errors are Problems, as those of Read.
func (r *Reader) ReadStatic(ctx context.Context, login vaultclient.Login, s Static) (*Secret, error) {
	at := mount{path: strings.Trim(s.Mount, "/") + "/", version: s.Engine}
	key := strings.Trim(s.Path, "/")
	if err := CheckPath("spec.mount", s.Mount); err != nil {
		return nil, err
	}
	if err := CheckPath("spec.path", s.Path); err != nil {
		return nil, err
	}
	path := at.path + key
	var query url.Values
	if s.Engine == 2 {
		path = at.path + "data/" + key
		if s.Version > 0 {
			query = url.Values{"version": {strconv.Itoa(s.Version)}}
		}
	}
	var secret *Secret
	err := r.pool.Do(ctx, login, func(ctx context.Context, client *vaultclient.Client) (err error) {
		secret, err = readAt(ctx, client.In(s.Namespace), login, at, path, at.path+key, query)
		return err
	})
	return secret, err
}

// CheckPath refuses what would reach another path of the API than it reads like. Errors are Problems: InvalidSpec.
func CheckPath(field, path string) error {
	for segment := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		if segment == "" || segment == "." || segment == ".." || strings.ContainsFunc(segment, control) {
			return condition.Problemf(v1beta1.ReasonInvalidSpec, "%s %q is empty, or has an empty part, a . or .. or a control character", field, path)
		}
	}
	return nil
}

// ReadPath reads what a GET of a path of the API answers, of any engine. Errors are Problems: PermissionDenied,
// NotFound, InvalidSpec, and those of the login and the connection.
func (r *Reader) ReadPath(ctx context.Context, login vaultclient.Login, path string) (*Secret, error) {
	if err := CheckPath("path", path); err != nil {
		return nil, err
	}
	path = strings.Trim(path, "/")
	secret := &Secret{Path: path, Name: path}
	err := r.pool.Do(ctx, login, func(ctx context.Context, client *vaultclient.Client) error {
		answer, err := client.Read(ctx, path)
		if err != nil {
			return Refusal(login, "read", path, err)
		}
		if answer != nil {
			secret.Data, secret.Raw = answer.Data, answer.Data
		}
		if answer != nil && answer.LeaseID != "" {
			return condition.Problemf(v1beta1.ReasonInvalidSpec,
				"%s makes leased credentials at every read: use a VaultDynamicSecret, which keeps and revokes them", path)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(secret.Data) == 0 {
		return nil, condition.Problemf(v1beta1.ReasonNotFound, "%s answers no data", path)
	}
	return secret, nil
}

// Refusal makes a Problem of a server's no to a path that is of no KV engine; other errors it leaves.
func Refusal(login vaultclient.Login, capability, path string, err error) error {
	var refused *vaultclient.Refused
	switch {
	case !errors.As(err, &refused):
		return err
	case refused.Status == http.StatusForbidden:
		return Denied(login, capability, path, refused)
	case refused.NoRoute():
		return &condition.Problem{
			Reason: v1beta1.ReasonMountNotFound, Cause: refused,
			Message: "there is no secrets engine at " + path + ": enable it, or correct the mount and the path",
		}
	case refused.Status == http.StatusNotFound:
		return &condition.Problem{Reason: v1beta1.ReasonNotFound, Cause: refused, Message: "there is nothing at " + path + " on the server"}
	}
	return &condition.Problem{Reason: v1beta1.ReasonInvalidSpec, Cause: refused, Message: "the server refuses " + path + ": " + refused.Error()}
}
