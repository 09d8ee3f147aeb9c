package cli

import (
	"flag"
	"fmt"
	"strconv"

	"github.com/hashicorp/vault/api"
)

// mountFlags are the flags of enable and tune, which secrets engines and auth methods share.
type mountFlags struct {
	description, path, listing, tokenType, pluginName, pluginVersion, identityKey string

	defaultTTL, maxTTL                                     ttl
	requestKeys, responseKeys, passthrough, allowedHeaders list
	managedKeys, delegated                                 list
	options                                                pairs
	version                                                int

	forceNoCache, local, sealWrap, externalEntropy, trimSlashes, overridePinned bool
}

// declareTune declares what can be changed later, and so what tune takes.
func (m *mountFlags) declareTune(f *flag.FlagSet, what string) {
	f.StringVar(&m.description, "description", "", "What the "+what+" is for, in words.")
	f.Var(&m.defaultTTL, "default-lease-ttl", "How long leases and tokens of this "+what+" last unless asked otherwise. Unset is the server's default.")
	f.Var(&m.maxTTL, "max-lease-ttl", "How long leases and tokens of this "+what+" can last at most. Unset is the server's maximum.")
	f.Var(&m.requestKeys, "audit-non-hmac-request-keys", "Request `key` that audit devices record as it is. May be given more than once.")
	f.Var(&m.responseKeys, "audit-non-hmac-response-keys", "Response `key` that audit devices record as it is. May be given more than once.")
	f.StringVar(&m.listing, "listing-visibility", "", "Whether the "+what+" is shown to those who are not logged in: \"unauth\" or \"hidden\".")
	f.Var(&m.passthrough, "passthrough-request-headers", "Request `header` that is passed to the "+what+". May be given more than once.")
	f.Var(&m.allowedHeaders, "allowed-response-headers", "Response `header` that the "+what+" may set. May be given more than once.")
	f.Var(&m.options, "options", "Option for the "+what+", as `key=value`. May be given more than once.")
	f.IntVar(&m.version, "version", 0, "Version of the "+what+": for kv, 1 or 2.")
	f.StringVar(&m.pluginVersion, "plugin-version", "", "Version of the plugin to run.")
	f.BoolVar(&m.overridePinned, "override-pinned-version", false, "Run -plugin-version even if another is pinned.")
	f.Var(&m.managedKeys, "allowed-managed-keys", "Managed `key` that the "+what+" may use. May be given more than once.")
	f.Var(&m.delegated, "delegated-auth-accessors", "`Accessor` of an auth method that the "+what+" may delegate logins to. May be given more than once.")
	f.StringVar(&m.identityKey, "identity-token-key", "", "Key that signs the identity tokens of the "+what+".")
	f.BoolVar(&m.trimSlashes, "trim-request-trailing-slashes", false, "Take requests whose path ends in a slash as if it did not.")
}

// declareEnable declares the rest of enable.
func (m *mountFlags) declareEnable(f *flag.FlagSet, what string) {
	m.declareTune(f, what)
	f.StringVar(&m.path, "path", "", "Where to put the "+what+". The default is its type.")
	f.BoolVar(&m.forceNoCache, "force-no-cache", false, "Keep the "+what+" out of the cache.")
	f.BoolVar(&m.local, "local", false, "Keep the "+what+" out of replication.")
	f.BoolVar(&m.sealWrap, "seal-wrap", false, "Wrap the critical values of the "+what+" with the seal as well.")
	f.BoolVar(&m.externalEntropy, "external-entropy-access", false, "Let the "+what+" use the seal's source of randomness.")
	f.StringVar(&m.pluginName, "plugin-name", "", "Name of the plugin to run, if that is not its type.")
}

// input is the body of enable for a mount of the given type.
func (m *mountFlags) input(kind string) *api.MountInput {
	input := &api.MountInput{
		Type:                  kind,
		Description:           m.description,
		Local:                 m.local,
		SealWrap:              m.sealWrap,
		ExternalEntropyAccess: m.externalEntropy,
		Options:               m.allOptions(),
		Config: api.MountConfigInput{
			DefaultLeaseTTL:           m.defaultTTL.text(),
			MaxLeaseTTL:               m.maxTTL.text(),
			ForceNoCache:              m.forceNoCache,
			AuditNonHMACRequestKeys:   m.requestKeys,
			AuditNonHMACResponseKeys:  m.responseKeys,
			ListingVisibility:         m.listing,
			PassthroughRequestHeaders: m.passthrough,
			AllowedResponseHeaders:    m.allowedHeaders,
			TokenType:                 m.tokenType,
			PluginVersion:             m.pluginVersion,
			AllowedManagedKeys:        m.managedKeys,
			DelegatedAuthAccessors:    m.delegated,
			IdentityTokenKey:          m.identityKey,
		},
	}
	if m.overridePinned {
		input.Config.OverridePinnedVersion = &m.overridePinned
	}
	if m.trimSlashes {
		input.Config.TrimRequestTrailingSlashes = &m.trimSlashes
	}
	if kind == "plugin" && m.pluginName != "" {
		input.Type = m.pluginName
	}
	return input
}

func (m *mountFlags) allOptions() map[string]string {
	if m.version == 0 {
		return m.options
	}
	options := map[string]string{}
	for key, value := range m.options {
		options[key] = value
	}
	options["version"] = strconv.Itoa(m.version)
	return options
}

// changes is the body of tune: what was given, even if empty, and nothing else.
func (m *mountFlags) changes(c *call) api.TuneMountConfigInput {
	var input api.TuneMountConfigInput
	text := func(flag, value string, field **string) {
		if c.given(flag) {
			*field = &value
		}
	}
	texts := func(flag string, value list, field **[]string) {
		if c.given(flag) {
			values := append([]string{}, value...)
			*field = &values
		}
	}
	toggle := func(flag string, value bool, field **bool) {
		if c.given(flag) {
			*field = &value
		}
	}
	text("description", m.description, &input.Description)
	text("default-lease-ttl", m.defaultTTL.Duration.String(), &input.DefaultLeaseTTL)
	text("max-lease-ttl", m.maxTTL.Duration.String(), &input.MaxLeaseTTL)
	text("listing-visibility", m.listing, &input.ListingVisibility)
	text("token-type", m.tokenType, &input.TokenType)
	text("plugin-version", m.pluginVersion, &input.PluginVersion)
	texts("audit-non-hmac-request-keys", m.requestKeys, &input.AuditNonHMACRequestKeys)
	texts("audit-non-hmac-response-keys", m.responseKeys, &input.AuditNonHMACResponseKeys)
	texts("passthrough-request-headers", m.passthrough, &input.PassthroughRequestHeaders)
	texts("allowed-response-headers", m.allowedHeaders, &input.AllowedResponseHeaders)
	texts("allowed-managed-keys", m.managedKeys, &input.AllowedManagedKeys)
	texts("delegated-auth-accessors", m.delegated, &input.DelegatedAuthAccessors)
	text("identity-token-key", m.identityKey, &input.IdentityTokenKey)
	toggle("trim-request-trailing-slashes", m.trimSlashes, &input.TrimRequestTrailingSlashes)
	toggle("override-pinned-version", m.overridePinned, &input.OverridePinnedVersion)
	if options := m.allOptions(); options != nil {
		input.Options = &options
	}
	return input
}

// printMounts prints a table of mounts, one row each as cells makes it.
func (c *call) printMounts(mounts map[string]*api.MountOutput, heads string, cells func(path string, m *api.MountOutput) string) error {
	return c.print(mounts, func() string {
		rows := []string{heads}
		for _, path := range sortedKeys(mounts) {
			rows = append(rows, cells(path, mounts[path]))
		}
		return table(rows)
	})
}

// mountTTL is a mount's TTL in seconds, or the word for inheriting the server's.
func mountTTL(kind string, seconds int) string {
	switch {
	case kind == "system" || kind == "ns_system" || kind == "cubbyhole" || kind == "ns_cubbyhole":
		return ""
	case seconds == 0:
		return "system"
	}
	return strconv.Itoa(seconds)
}

func replication(m *api.MountOutput) string {
	if m.Local {
		return "local"
	}
	return "replicated"
}

func mountOptions(m *api.MountOutput) string {
	if len(m.Options) == 0 {
		return "map[]"
	}
	return fmt.Sprint(m.Options)
}
