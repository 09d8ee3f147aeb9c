package pki

import (
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"strongroom/engine"
	"strongroom/internal/storage"
)

// configPlace is the one record of all settings, and of what issuers and keys there
// are: an issue reads it once, and whatever adds or takes away one of them meets
// everything else that does.
const configPlace = "config"

// config is that record. One that the cache gives is shared.
type config struct {
	Issuers       []issuerEntry `json:"issuers,omitempty"`
	Keys          []keyEntry    `json:"keys,omitempty"`
	DefaultIssuer string        `json:"default_issuer,omitempty"` // ID
	FollowLatest  bool          `json:"default_follows_latest_issuer,omitempty"`
	DefaultKey    string        `json:"default_key,omitempty"` // ID
	URLs          urls          `json:"urls,omitzero"`
	Path          string        `json:"path,omitempty"`     // URL of the mount, for templates
	AIAPath       string        `json:"aia_path,omitempty"` // URL of where its files are published
	CRL           crlConfig     `json:"crl,omitzero"`
	AutoTidy      *autoTidy     `json:"auto_tidy,omitempty"`
}

// issuerEntry is what an issuer is called, which key is its own, and who signed it.
type issuerEntry struct {
	ID    string   `json:"id"`
	Name  string   `json:"name,omitempty"`
	Key   string   `json:"key,omitempty"` // ID; "": only its certificate is here
	Print string   `json:"public"`        // SHA-256 of SubjectPublicKeyInfo, hex
	Chain []string `json:"chain"`         // IDs, its own first: what is shown with its certificates
}

// keyEntry is what a key is called, and its public half.
type keyEntry struct {
	ID    string `json:"id"`
	Name  string `json:"name,omitempty"`
	Type  string `json:"type"`   // rsa, ec or ed25519
	Print string `json:"public"` // SHA-256 of SubjectPublicKeyInfo, hex
}

// issuer is the entry of the issuer that ref names, by ID or name; nil if there is none.
func (c *config) issuer(ref string) *issuerEntry {
	if ref == "default" {
		ref = c.DefaultIssuer
	}
	for i := range c.Issuers {
		if e := &c.Issuers[i]; ref != "" && (e.ID == ref || e.Name == ref) {
			return e
		}
	}
	return nil
}

// key is the entry of the key that ref names, by ID or name; nil if there is none.
func (c *config) key(ref string) *keyEntry {
	if ref == "default" {
		ref = c.DefaultKey
	}
	for i := range c.Keys {
		if e := &c.Keys[i]; ref != "" && (e.ID == ref || e.Name == ref) {
			return e
		}
	}
	return nil
}

// keyOf is the entry of the key with that fingerprint; nil if there is none.
func (c *config) keyOf(public string) *keyEntry {
	for i := range c.Keys {
		if c.Keys[i].Print == public {
			return &c.Keys[i]
		}
	}
	return nil
}

// adopt gives issuers that came without a key theirs, if it is here now.
func (c *config) adopt() {
	for i := range c.Issuers {
		if e := &c.Issuers[i]; e.Key == "" {
			if k := c.keyOf(e.Print); k != nil {
				e.Key = k.ID
			}
		}
	}
}

// checkName refuses what cannot name an issuer or a key, or names another.
func checkName(name string, taken bool, what string) error {
	switch {
	case name == "":
		return nil
	case name == "default":
		return engine.Invalidf("reserved keyword 'default' can not be used as %s name", what)
	case !validName(name) || uuid.Validate(name) == nil:
		return engine.Invalidf("%s name is invalid: it is made of letters, digits, _, - and ., begins and ends with none of the latter two, and is no UUID", what)
	case taken:
		return engine.Invalidf("%s name already in use", what)
	}
	return nil
}

// checkIssuerName refuses name for the issuer id ("" for a new one).
func (c *config) checkIssuerName(name, id string) error {
	e := c.issuer(name)
	return checkName(name, e != nil && e.ID != id, "issuer")
}

// checkKeyName refuses name for the key id ("" for a new one).
func (c *config) checkKeyName(name, id string) error {
	e := c.key(name)
	return checkName(name, e != nil && e.ID != id, "key")
}

// validName says whether a name is one segment of letters, digits and underscores, with dashes and dots inside.
func validName(name string) bool {
	for i := range len(name) {
		c := name[i]
		word := c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if inside := i > 0 && i < len(name)-1 && (c == '-' || c == '.'); !word && !inside {
			return false
		}
	}
	return name != ""
}

// urls are where a certificate says that more about its issuer is found. They
// stand in the API, and in what is stored, by the same names.
type urls struct {
	Issuing   []string `json:"issuing_certificates,omitempty"`
	CRL       []string `json:"crl_distribution_points,omitempty"`
	OCSP      []string `json:"ocsp_servers,omitempty"`
	Templated bool     `json:"enable_templating,omitempty"`
}

// empty says whether an issuer leaves it to the mount's URLs.
func (u urls) empty() bool { return len(u.Issuing)+len(u.CRL)+len(u.OCSP) == 0 }

// crlConfig is how lists of revoked certificates are made. Times are in seconds; 0
// stands for the default.
type crlConfig struct {
	Expiry      int64  `json:"expiry,omitempty"`
	Disable     bool   `json:"disable,omitempty"`
	OCSPDisable bool   `json:"ocsp_disable,omitempty"`
	OCSPExpiry  *int64 `json:"ocsp_expiry,omitempty"` // 0: answers name no time of the next
	AutoRebuild bool   `json:"auto_rebuild,omitempty"`
	Grace       int64  `json:"auto_rebuild_grace_period,omitempty"`
	MaxEntries  int64  `json:"max_crl_entries,omitempty"` // -1: no limit
}

func decodeConfig(b []byte) (*config, error) {
	c := &config{}
	return c, json.Unmarshal(b, c)
}

// settings are the mount's, shared.
func (b *backend) settings(ctx context.Context, v storage.View) (*config, error) {
	c, err := cachedAt(ctx, b.configs, v, configPlace, decodeConfig)
	if err == nil && c == nil {
		c = &config{}
	}
	return c, err
}

// configure has edit change the settings, and saves them.
func configure(ctx context.Context, v storage.View, edit func(c *config) error) (*config, error) {
	c := &config{}
	if _, err := storage.GetJSON(ctx, v, configPlace, c); err != nil {
		return nil, err
	}
	if err := edit(c); err != nil {
		return nil, err
	}
	return c, storage.PutJSON(v, configPlace, c)
}

// urlFields are the parameters of AIA URLs.
func urlFields(templated string) []engine.Field {
	return []engine.Field{
		{Name: "issuing_certificates", Type: engine.StringList, Help: "URLs of the issuer's certificate, for certificates that it issues."},
		{Name: "crl_distribution_points", Type: engine.StringList, Help: "URLs of the list of revoked certificates."},
		{Name: "delta_crl_distribution_points", Type: engine.StringList, Help: "Refused: no delta lists are made."},
		{Name: "ocsp_servers", Type: engine.StringList, Help: "URLs of OCSP responders."},
		{Name: templated, Type: engine.Bool, Help: "The URLs hold {{issuer_id}}, {{cluster_path}} or {{cluster_aia_path}}."},
	}
}

// configRoutes are the settings of the mount.
func (b *backend) configRoutes() []engine.Route {
	defaultRef := engine.Field{Name: "default", Help: "Name or ID."}
	follow := engine.Field{Name: "default_follows_latest_issuer", Type: engine.Bool, Help: "An issuer that is made or imported with its key becomes the default."}
	return []engine.Route{
		{Path: "config/issuers", Help: "The default issuer.", Fields: []engine.Field{defaultRef, follow},
			Answers: engine.Answers{engine.Read: issuersConfig{}, engine.Update: issuersConfig{}}, Read: b.readIssuersConfig, Write: b.writeIssuersConfig},
		{Path: "root/replace", Help: `Make an issuer the default: the one called "next" if none is named.`,
			Fields: []engine.Field{{Name: "default", Default: "next", Help: "Name or ID."}}, Answers: engine.Answers{engine.Update: issuersConfig{}}, Write: b.writeIssuersConfig},
		{Path: "config/keys", Help: "The default key.", Fields: []engine.Field{defaultRef},
			Answers: engine.Answers{engine.Read: keysConfig{}, engine.Update: keysConfig{}}, Read: b.readKeysConfig, Write: b.writeKeysConfig},
		{Path: "config/urls", Help: "URLs that certificates name, unless their issuer has its own.", Fields: urlFields("enable_templating"),
			Answers: engine.Answers{engine.Read: urlsConfig{}, engine.Update: urlsConfig{}}, Read: b.readURLs, Write: b.writeURLs},
		{Path: "config/cluster", Help: "Where this mount is reached, for templates of URLs.", Fields: []engine.Field{
			{Name: "path", Help: "URL of the mount's API: https://vault.example.com/v1/pki."},
			{Name: "aia_path", Help: "URL of where certificates and lists are published; may be plain HTTP."}}, Answers: engine.Answers{engine.Read: clusterConfig{}, engine.Update: clusterConfig{}}, Read: b.readCluster, Write: b.writeCluster},
	}
}

func (b *backend) readIssuersConfig(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	c, err := b.settings(ctx, req.Storage)
	if err != nil {
		return nil, err
	}
	return &engine.Response{Data: map[string]any{"default": c.DefaultIssuer, "default_follows_latest_issuer": c.FollowLatest}}, nil
}

func (b *backend) writeIssuersConfig(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	name := req.Data.String("default")
	if name == "" && !req.Data.Has("default_follows_latest_issuer") {
		return nil, engine.Invalidf("default must name an issuer")
	}
	keyless := false
	c, err := configure(ctx, req.Storage, func(c *config) error {
		if name != "" {
			e := c.issuer(name)
			if e == nil {
				return noIssuer(name)
			}
			c.DefaultIssuer, keyless = e.ID, e.Key == ""
		}
		if req.Data.Has("default_follows_latest_issuer") {
			c.FollowLatest = req.Data.Bool("default_follows_latest_issuer")
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	resp := &engine.Response{Data: map[string]any{"default": c.DefaultIssuer, "default_follows_latest_issuer": c.FollowLatest}}
	if keyless {
		resp.Warnings = append(resp.Warnings, "This selected default issuer has no key associated with it. Some operations like issuing certificates and signing CRLs will be unavailable with the requested default issuer until a key is imported or the default issuer is changed.")
	}
	return resp, nil
}

func (b *backend) readKeysConfig(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	c, err := b.settings(ctx, req.Storage)
	if err != nil {
		return nil, err
	}
	return &engine.Response{Data: map[string]any{"default": c.DefaultKey}}, nil
}

func (b *backend) writeKeysConfig(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	name := req.Data.String("default")
	if name == "" {
		return nil, engine.Invalidf("default must name a key")
	}
	c, err := configure(ctx, req.Storage, func(c *config) error {
		e := c.key(name)
		if e == nil {
			return noKey(name)
		}
		c.DefaultKey = e.ID
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &engine.Response{Data: map[string]any{"default": c.DefaultKey}}, nil
}

func (b *backend) readURLs(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	c, err := b.settings(ctx, req.Storage)
	if err != nil {
		return nil, err
	}
	return &engine.Response{Data: c.URLs.describe("enable_templating")}, nil
}

func (b *backend) writeURLs(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	c, err := configure(ctx, req.Storage, func(c *config) error { return c.URLs.edit(req.Data, "enable_templating") })
	if err != nil {
		return nil, err
	}
	return &engine.Response{Data: c.URLs.describe("enable_templating")}, nil
}

// describe is u in the form of the API. templated is what its switch is called there.
func (u urls) describe(templated string) map[string]any {
	list := func(l []string) []string { return append([]string{}, l...) }
	return map[string]any{"issuing_certificates": list(u.Issuing), "crl_distribution_points": list(u.CRL), "delta_crl_distribution_points": []string{},
		"ocsp_servers": list(u.OCSP), templated: u.Templated}
}

// edit sets what d gives of u.
func (u *urls) edit(d engine.Data, templated string) error {
	if len(d.Strings("delta_crl_distribution_points")) > 0 {
		return errDelta
	}
	if d.Has(templated) {
		u.Templated = d.Bool(templated)
	}
	// As every template may be filled in, to see whether a URL comes of it.
	sample := strings.NewReplacer("{{issuer_id}}", "id", "{{cluster_path}}", "https://cluster", "{{cluster_aia_path}}", "http://cluster")
	for name, list := range map[string]*[]string{"issuing_certificates": &u.Issuing, "crl_distribution_points": &u.CRL, "ocsp_servers": &u.OCSP} {
		if d.Has(name) {
			*list = slices.Clone(d.Strings(name))
		}
		for _, s := range *list {
			if !u.Templated && !isURL(s) || u.Templated && !isURL(sample.Replace(s)) {
				return engine.Invalidf("invalid URL found in %s: %q: it must begin with http://, https:// or ldap:// (or, with %s, be made of {{issuer_id}}, {{cluster_path}} and {{cluster_aia_path}})", name, s, templated)
			}
		}
	}
	return nil
}

var errDelta = engine.Invalidf("delta CRLs are not made by this server: leave delta_crl_distribution_points and enable_delta out; a complete list costs a read no more than its size")

func isURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https" || u.Scheme == "ldap")
}

// filled are the URLs that a certificate by the issuer id names.
func (u urls) filled(c *config, id string) (urls, error) {
	if !u.Templated {
		return u, nil
	}
	var missing string
	fill := func(list []string) []string {
		out := make([]string, len(list))
		for i, s := range list {
			switch {
			case strings.Contains(s, "{{cluster_path}}") && c.Path == "":
				missing = "path"
			case strings.Contains(s, "{{cluster_aia_path}}") && c.AIAPath == "":
				missing = "aia_path"
			}
			out[i] = strings.NewReplacer("{{issuer_id}}", id, "{{cluster_path}}", c.Path, "{{cluster_aia_path}}", c.AIAPath).Replace(s)
		}
		return out
	}
	out := urls{Issuing: fill(u.Issuing), CRL: fill(u.CRL), OCSP: fill(u.OCSP)}
	if missing != "" {
		return out, engine.Invalidf("unable to fill in the URLs of the certificate: set %s in config/cluster, which their templates need", missing)
	}
	return out, nil
}

func (b *backend) readCluster(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	c, err := b.settings(ctx, req.Storage)
	if err != nil {
		return nil, err
	}
	return &engine.Response{Data: map[string]any{"path": c.Path, "aia_path": c.AIAPath}}, nil
}

func (b *backend) writeCluster(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	c, err := configure(ctx, req.Storage, func(c *config) error {
		for name, at := range map[string]*string{"path": &c.Path, "aia_path": &c.AIAPath} {
			if !req.Data.Has(name) {
				continue
			}
			if *at = strings.TrimSuffix(req.Data.String(name), "/"); *at != "" && !isURL(*at) {
				return engine.Invalidf("%s must be a URL", name)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &engine.Response{Data: map[string]any{"path": c.Path, "aia_path": c.AIAPath}}, nil
}

// orDefault is n seconds, or usual if n is 0.
func orDefault(n int64, usual time.Duration) time.Duration {
	if n == 0 {
		return usual
	}
	return time.Duration(n) * time.Second
}
