package vaultpushsecret

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"

	"strongroom/api/v1beta1"
	"strongroom/operator/condition"
	"strongroom/operator/source"
	"strongroom/operator/vaultclient"
)

// place is where a resource pushes to.
type place struct {
	client *vaultclient.Client
	login  vaultclient.Login
	path   string // as the CLI names it
	data   string // on the API
	meta   string // on the API; "" in KV v1
}

// at is the place of a spec, without a client. Errors are Problems: InvalidSpec.
func at(spec v1beta1.VaultPushSecretSpec) (place, error) {
	mount, key := strings.Trim(spec.Mount, "/"), strings.Trim(spec.Path, "/")
	for field, path := range map[string]string{"spec.mount": mount, "spec.path": key} {
		for segment := range strings.SplitSeq(path, "/") {
			if segment == "" || segment == "." || segment == ".." || strings.ContainsFunc(segment, func(r rune) bool { return r < ' ' || r == 0x7f }) {
				return place{}, condition.Problemf(v1beta1.ReasonInvalidSpec, "%s %q is empty, or has an empty part, a . or .. or a control character", field, path)
			}
		}
	}
	p := place{path: mount + "/" + key, data: mount + "/" + key}
	if spec.Type != v1beta1.EngineKVv1 {
		p.data, p.meta = mount+"/data/"+key, mount+"/metadata/"+key
	}
	return p, nil
}

// look reads what is there. Errors are Problems.
func (p place) look(ctx context.Context) (remote, error) {
	now := remote{}
	if p.meta != "" {
		answer, err := p.client.Read(ctx, p.meta)
		if err != nil && !missing(err) {
			return now, source.Refusal(p.login, "read", p.meta, err)
		}
		if answer == nil || err != nil {
			return now, nil // never written
		}
		if number, ok := answer.Data["current_version"].(json.Number); ok {
			version, err := number.Int64()
			if err != nil {
				return now, condition.Problemf(v1beta1.ReasonInvalidSpec, "%s answers a current_version that is no number: is it of a KV engine of version 2?", p.meta)
			}
			now.version = int(version)
		}
		custom, _ := answer.Data["custom_metadata"].(map[string]any)
		now.custom = make(map[string]string, len(custom))
		for key, value := range custom {
			now.custom[key] = fmt.Sprint(value)
		}
	}
	answer, err := p.client.Read(ctx, p.data)
	switch {
	case err != nil && missing(err):
		return now, nil // or deleted
	case err != nil:
		return now, source.Refusal(p.login, "read", p.data, err)
	case answer == nil:
		return now, nil
	}
	now.data = answer.Data
	if p.meta != "" {
		now.data, _ = answer.Data["data"].(map[string]any)
	}
	return now, nil
}

// missing tells whether the server says that there is nothing, though there could be.
func missing(err error) bool {
	var refused *vaultclient.Refused
	return errors.As(err, &refused) && refused.Status == http.StatusNotFound && !refused.NoRoute()
}

// write writes the data, in KV v2 only if nobody wrote since it was looked at, and returns the new version. Errors are
// Problems: Drift if somebody did.
func (p place) write(ctx context.Context, now remote, want map[string]string) (int, error) {
	data := make(map[string]any, len(want))
	for key, value := range want {
		data[key] = value
	}
	body := data
	if p.meta != "" {
		body = map[string]any{"data": data, "options": map[string]any{"cas": now.version}}
	}
	_, err := p.client.Write(ctx, p.data, body)
	var refused *vaultclient.Refused
	if errors.As(err, &refused) && refused.Status == http.StatusBadRequest && strings.Contains(refused.Text, "check-and-set") {
		return 0, &condition.Problem{Reason: v1beta1.ReasonDrift, Cause: refused, Message: "someone else wrote " + p.path + " at the same moment: it is looked at again"}
	}
	if err != nil {
		return 0, source.Refusal(p.login, "update", p.data, err)
	}
	return now.version + 1, nil
}

// mark sets our marks beside what else is in custom_metadata; without s's owner it removes them.
func (p place) mark(ctx context.Context, now remote, s self) error {
	if p.meta == "" {
		return nil
	}
	custom := maps.Clone(now.custom)
	if custom == nil {
		custom = make(map[string]string, 2)
	}
	delete(custom, ownerMark)
	delete(custom, uidMark)
	if s.owner != "" {
		custom[ownerMark], custom[uidMark] = s.owner, s.uid
	}
	_, err := p.client.Write(ctx, p.meta, map[string]any{"custom_metadata": custom})
	return source.Refusal(p.login, "update", p.meta, err)
}

// remove deletes the secret: in KV v2 its latest version, which can be restored.
func (p place) remove(ctx context.Context) error {
	err := p.client.Delete(ctx, p.data)
	if err != nil && missing(err) {
		return nil
	}
	return source.Refusal(p.login, "delete", p.data, err)
}
