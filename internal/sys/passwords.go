package sys

import (
	"context"
	"encoding/base64"

	"strongroom/engine"
	"strongroom/internal/call"
	"strongroom/internal/password"
)

// passwordRoutes serve sys/policies/password
// (https://developer.hashicorp.com/vault/api-docs/system/policies-password).
func (d *Deps) passwordRoutes() []engine.Route {
	fields := []engine.Field{{Name: "name", Type: engine.Name, Help: "Name of the password policy."}, {Name: "policy", Help: "The rules, in HCL or JSON, or either in base64."}}
	return []engine.Route{
		{Path: "policies/password", Help: "List the password policies.", AnyNode: true, Answers: engine.Answers{engine.List: engine.Keys{}}, List: d.listPasswordPolicies},
		{Path: "policies/password/{name}", Help: "Read, write or delete a password policy.", Fields: fields, AnyNode: true, Answers: engine.Answers{engine.Read: passwordPolicyText{}, engine.Update: engine.Nothing{}, engine.Delete: engine.Nothing{}},
			Read: d.readPasswordPolicy, Write: d.writePasswordPolicy, Delete: d.deletePasswordPolicy},
		{Path: "policies/password/{name}/generate", Help: "A password by that policy.", Fields: fields[:1], AnyNode: true, Answers: engine.Answers{engine.Read: generatedPassword{}}, Read: d.generatePassword},
	}
}

func (d *Deps) listPasswordPolicies(ctx context.Context, _ *engine.Request) (*engine.Response, error) {
	c := call.From(ctx)
	names, err := c.Tx.View(password.Key(c.Namespace, "")).List(ctx, "", "", 0)
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, engine.ErrNotFound
	}
	return &engine.Response{Data: map[string]any{"keys": names}}, nil
}

// passwordPolicy is the text of the policy that req names.
func passwordPolicy(ctx context.Context, req *engine.Request) (string, error) {
	c := call.From(ctx)
	e, err := c.Tx.Get(ctx, password.Key(c.Namespace, req.Data.String("name")))
	if err == nil && !e.Exists() {
		err = engine.ErrNotFound
	}
	return string(e.Value), err
}

func (d *Deps) readPasswordPolicy(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	text, err := passwordPolicy(ctx, req)
	if err != nil {
		return nil, err
	}
	return &engine.Response{Data: map[string]any{"policy": text}}, nil
}

func (d *Deps) writePasswordPolicy(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	text := req.Data.String("policy")
	if text == "" {
		return nil, engine.Invalidf("missing policy")
	}
	if b, err := base64.StdEncoding.DecodeString(text); err == nil && len(b) > 0 {
		text = string(b)
	}
	p, err := password.Parse(text)
	if err != nil {
		return nil, engine.Invalidf("invalid password policy: %v", err)
	}
	if _, err := p.Generate(); err != nil {
		return nil, engine.Invalidf("unable to generate password from provided policy: %v", err)
	}
	c := call.From(ctx)
	c.Tx.Put(password.Key(c.Namespace, req.Data.String("name")), []byte(text))
	return nil, nil
}

func (d *Deps) deletePasswordPolicy(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	c := call.From(ctx)
	c.Tx.Delete(password.Key(c.Namespace, req.Data.String("name")))
	return nil, nil
}

func (d *Deps) generatePassword(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	text, err := passwordPolicy(ctx, req)
	if err != nil {
		return nil, err
	}
	p, err := password.Parse(text)
	if err != nil {
		return nil, err
	}
	generated, err := p.Generate()
	if err != nil {
		return nil, engine.Invalidf("failed to generate a password: %v", err)
	}
	return &engine.Response{Data: map[string]any{"password": generated}}, nil
}
