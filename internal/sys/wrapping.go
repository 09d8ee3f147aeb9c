package sys

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"time"

	"strongroom/engine"
	"strongroom/internal/call"
	"strongroom/internal/token"
)

// wrappingRoutes serve sys/wrapping/
// (https://developer.hashicorp.com/vault/api-docs/system/wrapping-wrap and the
// pages beside it). The gateway does the wrapping itself, as for every request.
func (d *Deps) wrappingRoutes() []engine.Route {
	tok := []engine.Field{{Name: "token", Help: "The wrapping token; without it, the calling token."}}
	return []engine.Route{
		{Path: "wrapping/wrap", Help: "Wrap the given data: the request needs X-Vault-Wrap-TTL.", FreeForm: true, Answers: engine.Answers{engine.Update: map[string]any{}}, Write: wrapData},
		{Path: "wrapping/unwrap", Help: "What a wrapping token stands for, once.", Fields: tok, Answers: engine.Answers{engine.Update: nil}, Write: d.unwrap},
		{Path: "wrapping/rewrap", Help: "A new wrapping token in place of one, for as long again.", Fields: tok, Answers: engine.Answers{engine.Update: engine.Envelope{}}, Write: d.rewrap},
		{Path: "wrapping/lookup", Help: "When and for what a wrapping token was made; leaves it as it is.", Fields: tok, Public: true, Answers: engine.Answers{engine.Read: wrappingInfo{}, engine.Update: wrappingInfo{}},
			Read: d.lookupWrapping, Write: d.lookupWrapping},
	}
}

func wrapData(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	if call.From(ctx).Wrap.TTL == 0 {
		return nil, engine.Invalidf("endpoint requires response wrapping to be used: set X-Vault-Wrap-TTL (-wrap-ttl)")
	}
	data := json.RawMessage(bytes.TrimSpace(req.Body))
	if len(data) == 0 || data[0] != '{' {
		return nil, engine.Invalidf("missing data: the body is the JSON object to wrap")
	}
	return &engine.Response{Data: data}, nil
}

// wrapping is the wrapping token that the request is about.
func wrapping(ctx context.Context, req *engine.Request) string {
	if raw := req.Data.String("token"); raw != "" {
		return raw
	}
	return call.From(ctx).RawToken
}

func (d *Deps) unwrap(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	_, err := d.takeWrapped(ctx, req)
	return nil, err
}

// takeWrapped makes what the wrapping token stands for the answer.
func (d *Deps) takeWrapped(ctx context.Context, req *engine.Request) (*token.Token, error) {
	c := call.From(ctx)
	raw := wrapping(ctx, req)
	p, err := placeOf(ctx, raw)
	if err != nil || p == nil {
		return nil, cmp.Or(err, token.ErrNotWrapping)
	}
	t, payload, err := p.Tokens.Unwrap(ctx, c.Tx, raw, p.Issuers)
	c.Wrap.Unwrapped = payload
	return t, err
}

func (d *Deps) rewrap(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	t, err := d.takeWrapped(ctx, req)
	if err != nil {
		return nil, err
	}
	c := call.From(ctx)
	c.Wrap.TTL, c.Wrap.Path = time.Duration(t.TTL)*time.Second, t.Path
	return nil, nil
}

func (d *Deps) lookupWrapping(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	c := call.From(ctx)
	raw := wrapping(ctx, req)
	p, err := placeOf(ctx, raw)
	if err != nil || p == nil {
		return nil, cmp.Or(err, token.ErrNotWrapping)
	}
	t, err := p.Tokens.Wrapping(ctx, c.Tx, raw, p.Issuers)
	if err != nil {
		return nil, err
	}
	return &engine.Response{Data: map[string]any{
		"creation_path": t.Path, "creation_time": time.Unix(t.Created, 0).UTC().Format(time.RFC3339Nano), "creation_ttl": t.TTL,
	}}, nil
}
