package pki

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"strongroom/engine"
	"strongroom/internal/storage"
)

// rolePrefix: role/<name> is a role, in the form of the API.
const rolePrefix = "role/"

// roleFields are the parameters of a role, with the defaults of Vault's documentation.
func roleFields() []engine.Field {
	yes := func(name, help string) engine.Field {
		return engine.Field{Name: name, Type: engine.Bool, Default: true, Help: help}
	}
	no := func(name, help string) engine.Field { return engine.Field{Name: name, Type: engine.Bool, Help: help} }
	list := func(name, help string) engine.Field {
		return engine.Field{Name: name, Type: engine.StringList, Help: help}
	}
	return slices.Concat([]engine.Field{
		{Name: "issuer_ref", Default: "default", Help: "Issuer: name, ID or default."},
		{Name: "ttl", Type: engine.Duration, Help: "How long certificates live; 0: the mount's default."},
		{Name: "max_ttl", Type: engine.Duration, Help: "How long certificates live at the most; 0: the mount's maximum."},
		{Name: "not_after", Help: "When certificates end, instead: YYYY-MM-ddTHH:MM:SSZ."},
		{Name: "not_before_duration", Type: engine.Duration, Default: 30 * time.Second, Help: "Certificates begin so long before they are issued, for clocks that are late."},
		list("allowed_domains", "Domains that names may be of: see allow_bare_domains, allow_subdomains, allow_glob_domains."),
		no("allowed_domains_template", "Not supported."),
		no("allow_bare_domains", "Names may be an allowed domain itself."),
		no("allow_subdomains", "Names may be below an allowed domain, wildcards included."),
		no("allow_glob_domains", "In allowed domains * stands for any text."),
		yes("allow_wildcard_certificates", "Names may have a wildcard in their first label, if they are allowed otherwise."),
		no("allow_any_name", "All names are allowed that enforce_hostnames and allow_wildcard_certificates let pass."),
		yes("allow_localhost", "localhost and localdomain are allowed."),
		yes("enforce_hostnames", "Names must be those of hosts, or e-mail addresses at one."),
		yes("allow_ip_sans", "IP addresses are allowed."),
		list("allowed_uri_sans", "URIs that are allowed; * stands for any text."),
		no("allowed_uri_sans_template", "Not supported."),
		list("allowed_other_sans", "Other names that are allowed, OID;UTF8:text, where * stands for any text; * alone for all."),
		list("allowed_serial_numbers", "Serial numbers of subjects that are allowed; * stands for any text."),
		list("allowed_user_ids", "User IDs of subjects that are allowed; * stands for any text."),
		yes("require_cn", "A common name is needed."),
		{Name: "cn_validations", Type: engine.StringList, Default: []string{"email", "hostname"}, Help: "What a common name may be: email, hostname; disabled alone: any text."},
		yes("server_flag", "Certificates are for servers."), yes("client_flag", "Certificates are for clients."),
		no("code_signing_flag", "Certificates are for signing code."), no("email_protection_flag", "Certificates are for e-mail."),
		{Name: "key_type", Default: "rsa", Help: "Type of key: rsa, ec, ed25519, or any, to sign requests only."},
		{Name: "key_bits", Type: engine.Int, Help: "RSA: 2048 (default), 3072, 4096 or 8192; EC: 224, 256 (default), 384 or 521."},
		{Name: "key_usage", Type: engine.StringList, Default: []string{"DigitalSignature", "KeyAgreement", "KeyEncipherment"}, Help: "Key usages, by the names of Go's x509.KeyUsage."},
		list("ext_key_usage", "Extended key usages, by the names of Go's x509.ExtKeyUsage."),
		list("ext_key_usage_oids", "Extended key usages by OID."),
		yes("use_csr_common_name", "The common name is taken from the request that is signed."),
		yes("use_csr_sans", "Alternative names are taken from the request that is signed."),
		{Name: "serial_number_source", Default: "json-csr", Help: "The subject's serial number is that of the parameter or else of the request that is signed (json-csr), or of the parameter only (json)."},
		list("policy_identifiers", "OIDs of certificate policies."),
		no("basic_constraints_valid_for_non_ca", "Certificates say that they are no CA's."),
		no("no_store", "Certificates are not stored: they cannot be listed, or revoked by their serial number."),
		no("no_store_metadata", "Without effect: no metadata is stored."),
		no("generate_lease", "Certificates are leased: what ends the lease revokes them."),
	}, subjectFields(), signatureFields())
}

// roleRoutes are the life of roles.
func (b *backend) roleRoutes() []engine.Route {
	name := engine.Field{Name: "name", Required: true, Help: "Name of the role."}
	return []engine.Route{
		{Path: "roles", Help: "The names of all roles.",
			Fields: []engine.Field{{Name: "after", Help: "Begin after this name."}, {Name: "limit", Type: engine.Int, Help: "Answer at most so many names."}}, Answers: engine.Answers{engine.List: engine.Keys{}}, List: listOf(rolePrefix, nil)},
		{Path: "roles/{name}", Help: "A role: what certificates may be issued.", Fields: append([]engine.Field{name}, roleFields()...),
			Answers: engine.Answers{engine.Read: engine.Shown(roleFields()), engine.Update: engine.Shown(roleFields()), engine.Patch: engine.Shown(roleFields()), engine.Delete: engine.Nothing{}},
			Exists: func(ctx context.Context, req *engine.Request) (bool, error) {
				version, err := req.Storage.Version(ctx, rolePrefix+req.Data.String("name"))
				return version != 0, err
			},
			Read: readRole, Write: writeRole, Patch: patchRole,
			Delete: func(_ context.Context, req *engine.Request) (*engine.Response, error) {
				req.Storage.Delete(rolePrefix + req.Data.String("name"))
				return nil, nil
			}},
	}
}

// listOf lists the names below prefix, as show has them.
func listOf(prefix string, show func(string) string) engine.Handler {
	return func(ctx context.Context, req *engine.Request) (*engine.Response, error) {
		names, err := req.Storage.List(ctx, prefix, req.Data.String("after"), int(req.Data.Int("limit")))
		if err != nil {
			return nil, err
		}
		if len(names) == 0 {
			return nil, engine.ErrNotFound
		}
		if show != nil {
			for i := range names {
				names[i] = show(names[i])
			}
		}
		return &engine.Response{Data: map[string]any{"keys": names}}, nil
	}
}

// role is the role of that name, or an error that says there is none.
func (b *backend) role(ctx context.Context, v storage.View, name string) (*role, error) {
	r, err := cachedAt(ctx, b.roles, v, rolePrefix+name, decodeRole)
	if err == nil && r == nil {
		err = engine.Invalidf("unknown role: %s", name)
	}
	return r, err
}

func readRole(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	e, err := req.Storage.Get(ctx, rolePrefix+req.Data.String("name"))
	if err != nil {
		return nil, err
	}
	if !e.Exists() {
		return nil, engine.ErrNotFound
	}
	return &engine.Response{Data: json.RawMessage(e.Value)}, nil
}

func writeRole(_ context.Context, req *engine.Request) (*engine.Response, error) {
	return saveRole(req, given(roleFields(), req.Data, true))
}

func patchRole(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	values := map[string]any{}
	found, err := storage.GetJSON(ctx, req.Storage, rolePrefix+req.Data.String("name"), &values)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, engine.ErrNotFound
	}
	for name, v := range given(roleFields(), req.Data, false) {
		values[name] = v
	}
	return saveRole(req, values)
}

// saveRole checks and writes a role in the form of the API.
func saveRole(req *engine.Request, values map[string]any) (*engine.Response, error) {
	if !validName(req.Data.String("name")) {
		return nil, engine.Invalidf("the name of a role is letters, digits and underscores, with dashes and dots inside")
	}
	raw, err := json.Marshal(values)
	if err != nil {
		return nil, err
	}
	r, err := decodeRole(raw)
	if err != nil {
		return nil, err
	}
	if err := r.complete(values); err != nil {
		return nil, err
	}
	resp := &engine.Response{Data: values}
	if r.NoStore && r.Lease {
		values["generate_lease"] = false
		resp.Warnings = append(resp.Warnings, "generate_lease is off: with no_store there is nothing that a lease could revoke")
	}
	if raw, err = json.Marshal(values); err != nil {
		return nil, err
	}
	req.Storage.Put(rolePrefix+req.Data.String("name"), raw)
	return resp, nil
}

// complete checks a role, and puts into values what it stands for by default.
func (r *role) complete(values map[string]any) error {
	switch {
	case values["allowed_domains_template"] == true || values["allowed_uri_sans_template"] == true:
		return engine.Invalidf("templates in allowed_domains and allowed_uri_sans are not supported by this server: make a role for each, or use allow_glob_domains")
	case r.MaxTTL > 0 && r.TTL > r.MaxTTL:
		return engine.Invalidf("\"ttl\" value must be less than \"max_ttl\" value")
	case r.SerialSource != "json-csr" && r.SerialSource != "json" && r.SerialSource != "":
		return engine.Invalidf("unknown serial_number_source %q: it must be json-csr or json", r.SerialSource)
	case len(r.CNValidations) == 0:
		values["cn_validations"] = []string{"email", "hostname"}
	case slices.Contains(r.CNValidations, "disabled") && len(r.CNValidations) > 1:
		return engine.Invalidf("cn_validations: \"disabled\" must stand alone")
	}
	for _, v := range r.CNValidations {
		if !slices.Contains([]string{"email", "hostname", "disabled"}, v) {
			return engine.Invalidf("unknown cn_validations %q: it must be email, hostname or disabled", v)
		}
	}
	if r.KeyType != "any" {
		k, err := parseKind(r.KeyType, r.KeyBits)
		if err != nil {
			return err
		}
		values["key_bits"] = k.bits
	}
	if err := (signature{bits: r.SignatureBits}).check(); err != nil {
		return err
	}
	if r.NotAfter != "" {
		if _, err := time.Parse(time.RFC3339, r.NotAfter); err != nil {
			return engine.Invalidf("unable to parse not_after: it must be of the form YYYY-MM-ddTHH:MM:SSZ")
		}
	}
	for _, s := range r.Others {
		if _, err := parseOther(s); s != "*" && err != nil {
			return err
		}
	}
	_, err := r.template()
	return err
}
