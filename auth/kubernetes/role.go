package kubernetes

import (
	"context"
	"fmt"
	"slices"

	"github.com/ryanuber/go-glob"

	"strongroom/auth"
	"strongroom/engine"
)

const (
	roleFolder  = "role/"
	aliasByUID  = "serviceaccount_uid"
	aliasByName = "serviceaccount_name"
)

// role says which service accounts may log in, as it is stored.
type role struct {
	Names       []string   `json:"bound_service_account_names"`      // patterns; "*" stands for any text
	Namespaces  []string   `json:"bound_service_account_namespaces"` // the same
	Audience    string     `json:"audience"`                         // "": the API server's own
	AliasSource string     `json:"alias_name_source"`
	Token       auth.Token `json:"token"`
}

var roleFields = append([]engine.Field{
	{Name: "name", Type: engine.Name, Help: "Name of the role."},
	{Name: "bound_service_account_names", Type: engine.StringList, Help: "Service accounts that may log in; * stands for any text."},
	{Name: "bound_service_account_namespaces", Type: engine.StringList, Help: "Namespaces whose service accounts may log in; * stands for any text."},
	{Name: "bound_service_account_namespace_selector", Help: "Label selector of namespaces; not supported yet."},
	{Name: "audience", Help: "Audience that the token must have been made for."},
	{Name: "alias_name_source", Help: "What names the caller's identity: serviceaccount_uid (default) or serviceaccount_name."},
}, auth.TokenFields("policies", "ttl", "max_ttl", "period", "num_uses", "bound_cidrs")...)

func (m *Method) readRole(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	r, err := m.roles.Named(ctx, req)
	if err != nil {
		return nil, err
	}
	data := map[string]any{
		"bound_service_account_names":              r.Names,
		"bound_service_account_namespaces":         r.Namespaces,
		"bound_service_account_namespace_selector": "",
		"alias_name_source":                        r.AliasSource,
	}
	if r.Audience != "" {
		data["audience"] = r.Audience
	}
	r.Token.Show(data)
	return &engine.Response{Data: data}, nil
}

// writeRole makes a role, or changes what the caller gives of one.
func (m *Method) writeRole(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	name := req.Data.String("name")
	r := &role{AliasSource: aliasByUID}
	old, err := m.roles.Load(ctx, req, name)
	if err != nil {
		return nil, err
	}
	if old != nil {
		*r = *old
	}
	if err := r.update(req.Data); err != nil {
		return nil, err
	}
	if err := m.roles.Put(req, name, r); err != nil {
		return nil, err
	}
	var warnings []string
	if r.Audience == "" {
		warnings = append(warnings, fmt.Sprintf("Role %q has no audience, so a token made for the API server itself can log in. "+
			"Where the callers can ask for tokens with an audience, set it on the role.", name))
	}
	warnings = append(warnings, r.Token.Warnings(m.mount)...)
	if warnings != nil {
		return &engine.Response{Warnings: warnings}, nil
	}
	return nil, nil
}

func (r *role) update(d engine.Data) error {
	if d.String("bound_service_account_namespace_selector") != "" {
		return engine.Invalidf("bound_service_account_namespace_selector is not supported yet; list the namespaces in bound_service_account_namespaces")
	}
	if d.Has("bound_service_account_names") {
		r.Names = d.Strings("bound_service_account_names")
	}
	if d.Has("bound_service_account_namespaces") {
		r.Namespaces = d.Strings("bound_service_account_namespaces")
	}
	if d.Has("audience") {
		r.Audience = d.String("audience")
	}
	if d.Has("alias_name_source") {
		r.AliasSource = d.String("alias_name_source")
	}
	switch {
	case len(r.Names) == 0:
		return engine.Invalidf("%q can not be empty; name the service accounts that may log in", "bound_service_account_names")
	case len(r.Namespaces) == 0:
		return engine.Invalidf("%q can not be empty; name the namespaces of these service accounts", "bound_service_account_namespaces")
	case len(r.Names) > 1 && slices.Contains(r.Names, "*"):
		return engine.Invalidf("bound_service_account_names: can not mix %q with values", "*")
	case len(r.Namespaces) > 1 && slices.Contains(r.Namespaces, "*"):
		return engine.Invalidf("bound_service_account_namespaces: can not mix %q with values", "*")
	case r.AliasSource != aliasByUID && r.AliasSource != aliasByName:
		return engine.Invalidf("invalid alias_name_source %q; it must be %s or %s", r.AliasSource, aliasByUID, aliasByName)
	}
	return r.Token.Update(d)
}

// account is a service account.
type account struct{ Namespace, Name, UID string }

// admits compares a service account with the role's bindings.
func (r *role) admits(a account) error {
	matches := func(patterns []string, text string) bool {
		return text != "" && slices.ContainsFunc(patterns, func(p string) bool { return glob.Glob(p, text) })
	}
	if !matches(r.Names, a.Name) {
		return engine.Errorf(engine.Denied, "service account name not authorized")
	}
	if !matches(r.Namespaces, a.Namespace) {
		return engine.Errorf(engine.Denied, "namespace not authorized")
	}
	return nil
}

// alias is the name of the caller's identity in this method.
func (r *role) alias(a account) string {
	if r.AliasSource == aliasByName {
		return a.Namespace + "/" + a.Name
	}
	return a.UID
}
