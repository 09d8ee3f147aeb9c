package gateway

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"strongroom/engine"
	"strongroom/internal/call"
	"strongroom/internal/policy"
	"strongroom/internal/token"
)

// kept is an answer as it is stored for who unwraps it (docs/format/wrap.md).
type kept struct {
	Data      json.RawMessage `json:"data,omitempty"`
	TopLevel  bool            `json:"top_level,omitempty"`
	Status    int             `json:"status,omitempty"`
	Warnings  []string        `json:"warnings,omitempty"`
	MountType string          `json:"mount_type,omitempty"`
	Lease     *keptLease      `json:"lease,omitempty"`
	Auth      *keptAuth       `json:"auth,omitempty"`
}

type keptLease struct {
	ID        string `json:"id,omitempty"`
	TTL       int64  `json:"ttl"` // seconds
	Renewable bool   `json:"renewable,omitempty"`
}

type keptAuth struct {
	ClientToken   string       `json:"client_token"`
	Token         *token.Token `json:"token"`
	LeaseDuration int64        `json:"lease_duration"` // seconds

	EntityID         string   `json:"entity_id,omitempty"`
	IdentityPolicies []string `json:"identity_policies,omitempty"`
}

func pack(out *Response) ([]byte, error) {
	k := kept{TopLevel: out.TopLevel, Status: out.Status, Warnings: out.Warnings, MountType: out.MountType}
	if out.Data != nil {
		var err error
		if k.Data, err = json.Marshal(out.Data); err != nil {
			return nil, err
		}
	}
	if l := out.Lease; l != nil {
		k.Lease = &keptLease{out.LeaseID, int64(l.TTL / time.Second), l.Renewable}
	}
	if a := out.Auth; a != nil {
		k.Auth = &keptAuth{a.ClientToken, a.Token, int64(a.LeaseDuration / time.Second), a.EntityID, a.IdentityPolicies}
	}
	return json.Marshal(k)
}

func unpack(payload []byte) (*Response, error) {
	var k kept
	if err := json.Unmarshal(payload, &k); err != nil {
		return nil, err
	}
	out := &Response{MountType: k.MountType}
	out.TopLevel, out.Status, out.Warnings = k.TopLevel, k.Status, k.Warnings
	if k.Data != nil {
		out.Data = k.Data
	}
	if k.TopLevel { // its fields are needed one by one
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(k.Data, &fields); err != nil {
			return nil, err
		}
		data := make(map[string]any, len(fields))
		for name, v := range fields {
			data[name] = v
		}
		out.Data = data
	}
	if l := k.Lease; l != nil {
		out.LeaseID, out.Lease = l.ID, &engine.Lease{TTL: time.Duration(l.TTL) * time.Second, Renewable: l.Renewable}
	}
	if a := k.Auth; a != nil {
		out.Auth = &call.Auth{ClientToken: a.ClientToken, Token: a.Token, LeaseDuration: time.Duration(a.LeaseDuration) * time.Second,
			EntityID: a.EntityID, IdentityPolicies: a.IdentityPolicies}
	}
	return out, nil
}

// wrap returns a wrapping token in place of out, if the request asks for that;
// and before that, in place of out, what the handler has unwrapped. As in Vault, what answers nothing, or that nothing is there, is not wrapped.
func (g *Gateway) wrap(ctx context.Context, v *visit, out *Response) (*Response, error) {
	if v.Wrap.Unwrapped != nil {
		var err error
		if out, err = unpack(v.Wrap.Unwrapped); err != nil {
			return nil, err
		}
	}
	switch {
	case v.Wrap.TTL == 0, out.Missing, out.Empty && out.Auth == nil:
		return out, nil
	case out.Raw != nil:
		return nil, engine.Errorf(engine.Invalid, "the answer of this path cannot be wrapped: ask without X-Vault-Wrap-TTL (-wrap-ttl)")
	}
	m, ok := v.Routing.All()["auth/token/"]
	if !ok {
		return nil, engine.Errorf(engine.Internal, "nothing is mounted at auth/token/")
	}
	payload, err := pack(out)
	if err != nil {
		return nil, err
	}
	t, raw, warnings, err := v.Realm.Tokens.Wrap(ctx, v.Tx, payload, v.Wrap.Path, v.Wrap.TTL, m.Mount)
	if err != nil {
		return nil, err
	}
	out.WrapInfo = &call.WrapInfo{Token: raw, Accessor: t.Accessor, TTL: time.Duration(t.TTL) * time.Second, Created: time.Unix(t.Created, 0).UTC(), Path: t.Path}
	if out.Auth != nil {
		out.WrapInfo.WrappedAccessor = out.Auth.Token.Accessor
	}
	out.Response, out.Empty, out.Auth = engine.Response{Warnings: warnings}, false, nil
	return out, nil
}

// mayWrap holds the wrapping that the request asks for to what the caller's
// rules say: a minimum makes it mandatory.
func (v *visit) mayWrap(d policy.Decision) error {
	switch ttl := v.Wrap.TTL; {
	case ttl < d.MinWrappingTTL:
		return engine.Errorf(engine.Denied, "1 error occurred:\n\t* permission denied: the policy demands that the answer be wrapped (X-Vault-Wrap-TTL, -wrap-ttl) for at least %s\n\n", d.MinWrappingTTL)
	case d.MaxWrappingTTL > 0 && ttl > d.MaxWrappingTTL:
		return engine.Errorf(engine.Denied, "1 error occurred:\n\t* permission denied: the policy has answers wrapped (X-Vault-Wrap-TTL, -wrap-ttl) for at most %s\n\n", d.MaxWrappingTTL)
	}
	return nil
}

// unusable is what a caller whose token is invalid is told: where a wrapping
// token may be the caller's, in the words that clients of these paths match.
func (v *visit) unusable(err error) error {
	if err == token.ErrInvalid && slices.Contains([]string{"sys/wrapping/unwrap", "sys/wrapping/rewrap"}, v.path) {
		return token.ErrNotWrapping
	}
	return err
}
