package sys

import (
	"context"
	"encoding/base64"
	"strings"
	"unicode/utf8"

	"strongroom/engine"
	"strongroom/internal/call"
)

type policyNames struct {
	Keys     []string `json:"keys"`
	Policies []string `json:"policies"`
}

type policyText struct {
	Name   string `json:"name"`
	Policy string `json:"policy" help:"The rules, as they were written."`
}

type policyRules struct {
	Name  string `json:"name"`
	Rules string `json:"rules" help:"The rules, as they were written."`
}

// policyRoutes serve sys/policy and sys/policies/acl
// (https://developer.hashicorp.com/vault/api-docs/system/policies).
func (d *Deps) policyRoutes() []engine.Route {
	fields := []engine.Field{
		{Name: "name", Type: engine.Name, Help: "Name of the policy."},
		{Name: "policy", Help: "The rules, in HCL or JSON, or either in base64."},
		{Name: "rules", Help: "The same, by its old name."},
	}
	list := engine.TopLevel{Data: policyNames{}}
	lists := engine.Answers{engine.Read: list, engine.List: list}
	one := func(text any) engine.Answers {
		return engine.Answers{engine.Read: engine.TopLevel{Data: text}, engine.Update: engine.Nothing{}, engine.Delete: engine.Nothing{}}
	}
	return []engine.Route{
		{Path: "policy", Help: "List the policies.", AnyNode: true, Answers: lists, Read: d.listPolicies, List: d.listPolicies},
		{Path: "policy/{name}", Help: "Read, write or delete a policy.", Fields: fields, Answers: one(policyRules{}), AnyNode: true,
			Read: d.readPolicy("rules"), Write: d.writePolicy, Delete: d.deletePolicy},
		{Path: "policies/acl", Help: "List the policies.", AnyNode: true, Answers: lists, Read: d.listPolicies, List: d.listPolicies},
		{Path: "policies/acl/{name}", Help: "Read, write or delete a policy.", Fields: fields, Answers: one(policyText{}), AnyNode: true,
			Read: d.readPolicy("policy"), Write: d.writePolicy, Delete: d.deletePolicy},
	}
}

func (d *Deps) listPolicies(ctx context.Context, _ *engine.Request) (*engine.Response, error) {
	names, err := call.From(ctx).Realm.ACLs.Names(ctx, call.From(ctx).Tx)
	if err != nil {
		return nil, err
	}
	return &engine.Response{TopLevel: true, Data: map[string]any{"keys": names, "policies": names}}, nil
}

func (d *Deps) readPolicy(field string) engine.Handler {
	return func(ctx context.Context, req *engine.Request) (*engine.Response, error) {
		name := req.Data.String("name")
		text, ok, err := call.From(ctx).Realm.ACLs.Text(ctx, call.From(ctx).Tx, name)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, engine.ErrNotFound
		}
		return &engine.Response{TopLevel: true, Data: map[string]any{"name": name, field: text}}, nil
	}
}

func (d *Deps) writePolicy(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	text := req.Data.String("policy")
	if text == "" {
		text = req.Data.String("rules")
	}
	return nil, call.From(ctx).Realm.ACLs.Put(call.From(ctx).Tx, req.Data.String("name"), unbase64(text))
}

// unbase64 decodes text that is base64 of text; rules in plain are not.
func unbase64(text string) string {
	b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil || len(b) == 0 || !utf8.Valid(b) {
		return text
	}
	return string(b)
}

func (d *Deps) deletePolicy(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	return nil, call.From(ctx).Realm.ACLs.Delete(call.From(ctx).Tx, req.Data.String("name"))
}
