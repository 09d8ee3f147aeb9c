package vaultpushsecret

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
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
	now, found, err := p.marks(ctx)
	if err != nil || !found {
		return now, err
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

// marks reads all but the data, and tells whether there may be some. Errors are Problems.
func (p place) marks(ctx context.Context) (now remote, found bool, err error) {
	if p.meta == "" {
		return now, true, nil
	}
	answer, err := p.client.Read(ctx, p.meta)
	if err != nil && !missing(err) {
		return now, false, source.Refusal(p.login, "read", p.meta, err)
	}
	if answer == nil || err != nil {
		return now, false, nil // never written
	}
	if number, ok := answer.Data["current_version"].(json.Number); ok {
		version, err := number.Int64()
		if err != nil {
			return now, false, condition.Problemf(v1beta1.ReasonInvalidSpec, "%s answers a current_version that is no number: is it of a KV engine of version 2?", p.meta)
		}
		now.version = int(version)
	}
	custom, _ := answer.Data["custom_metadata"].(map[string]any)
	now.custom = make(map[string]string, len(custom))
	for key, value := range custom {
		now.custom[key] = fmt.Sprint(value)
	}
	return now, true, nil
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
		return 0, p.raced(refused)
	}
	if err != nil {
		return 0, source.Refusal(p.login, "update", p.data, err)
	}
	return now.version + 1, nil
}

// raced says that somebody else was at it too.
func (p place) raced(cause error) error {
	return &condition.Problem{Reason: v1beta1.ReasonDrift, Cause: cause, Message: "someone else wrote " + p.path + " at the same moment: it is looked at again"}
}

// make looks, decides, writes and marks. It returns what it did, the version that the server holds, and whether it
// claimed the place for the resource. What it did is true even where an error says that it could not go on.
func (p place) make(ctx context.Context, want map[string]string, who self, dry bool) (do step, version int, claimed bool, err error) {
	now, err := p.look(ctx)
	if err != nil {
		return "", 0, false, err
	}
	if do, err = next(now, want, who); err != nil {
		return "", 0, false, err
	}
	if dry && do != keep {
		return "", 0, false, condition.Problemf(v1beta1.ReasonDryRun, "dry run: would %s %s with the keys %s; nothing is written", do, p.path, strings.Join(slices.Sorted(maps.Keys(want)), ", "))
	}
	version = now.version
	if do == write || do == restore {
		if version, err = p.write(ctx, now, want); err != nil {
			return "", 0, false, err
		}
	}
	if p.meta == "" || now.of(who) {
		return do, version, false, nil
	}
	// The mark comes last: before the data it would claim what another may have written meanwhile.
	if err := p.mark(ctx, now, who); err != nil {
		return do, version, false, err
	}
	return do, version, true, p.confirm(ctx, who, do, version)
}

// confirm looks whether a claim stands. The server has no check-and-set for marks: another that claims at the same moment
// may have marked it since, and where nothing was written, somebody may have written what is not ours to own.
func (p place) confirm(ctx context.Context, who self, do step, version int) error {
	now, _, err := p.marks(ctx)
	switch {
	case err != nil:
		return err
	case !now.of(who):
		return p.raced(nil)
	case do == mark && now.version != version:
		if err := p.mark(ctx, now, self{}); err != nil {
			return err
		}
		return p.raced(nil)
	}
	return nil
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
