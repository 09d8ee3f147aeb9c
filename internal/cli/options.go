package cli

import (
	"flag"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"
)

// options are the flags that many commands share: how to reach the server, and how to print its answer.
type options struct {
	address, agentAddress string
	tls                   api.TLSConfig
	namespace             string
	headers               pairs
	mfa                   values
	policyOverride        bool
	noRedirects           bool
	wrapTTL               ttl
	curl, policy          bool
	nonInteractive        bool

	format, field string
}

// newOptions takes the defaults from the environment, so that a flag wins over a variable.
func newOptions(sys IO) *options {
	o := &options{
		address:      sys.env(api.EnvVaultAddress),
		agentAddress: sys.env(api.EnvVaultAgentAddr),
		namespace:    sys.env(api.EnvVaultNamespace),
		format:       sys.env("VAULT_FORMAT"),
		tls: api.TLSConfig{
			CACert:        sys.env(api.EnvVaultCACert),
			CACertBytes:   []byte(sys.env(api.EnvVaultCACertBytes)),
			CAPath:        sys.env(api.EnvVaultCAPath),
			ClientCert:    sys.env(api.EnvVaultClientCert),
			ClientKey:     sys.env(api.EnvVaultClientKey),
			TLSServerName: sys.env(api.EnvVaultTLSServerName),
		},
	}
	o.noRedirects, _ = parseBool(sys.env(api.EnvVaultDisableRedirects))
	if value := sys.env(api.EnvVaultMFA); value != "" {
		o.mfa = values{value}
	}
	o.tls.Insecure, _ = parseBool(sys.env(api.EnvVaultSkipVerify))
	if value := sys.env(api.EnvVaultWrapTTL); value != "" {
		_ = o.wrapTTL.Set(value) // an unreadable value means no wrapping, as with the client library
	}
	if o.format == "" {
		o.format = "table"
	}
	return o
}

func (o *options) declare(f *flag.FlagSet, kind output) {
	if kind == local {
		return
	}
	f.StringVar(&o.address, "address", o.address, "Address of the server. The environment variable is VAULT_ADDR; the default is https://127.0.0.1:8200.")
	f.StringVar(&o.agentAddress, "agent-address", o.agentAddress, "Address of an agent to go through. The environment variable is VAULT_AGENT_ADDR.")
	f.StringVar(&o.tls.CACert, "ca-cert", o.tls.CACert, "PEM `file` with the certificate authority that signed the server's certificate (VAULT_CACERT). It wins over -ca-path.")
	f.StringVar(&o.tls.CAPath, "ca-path", o.tls.CAPath, "`Directory` of PEM files with certificate authorities (VAULT_CAPATH).")
	f.StringVar(&o.tls.ClientCert, "client-cert", o.tls.ClientCert, "PEM `file` with the certificate to show the server (VAULT_CLIENT_CERT).")
	f.StringVar(&o.tls.ClientKey, "client-key", o.tls.ClientKey, "PEM `file` with the private key of -client-cert (VAULT_CLIENT_KEY).")
	f.StringVar(&o.tls.TLSServerName, "tls-server-name", o.tls.TLSServerName, "Name the server's certificate must carry, and that SNI asks for (VAULT_TLS_SERVER_NAME).")
	f.BoolVar(&o.tls.Insecure, "tls-skip-verify", o.tls.Insecure, "Accept any certificate. Whoever answers on the network then reads what you send (VAULT_SKIP_VERIFY).")
	f.StringVar(&o.namespace, "namespace", o.namespace, "Namespace to work in (VAULT_NAMESPACE). The short form is -ns.")
	f.StringVar(&o.namespace, "ns", o.namespace, "")
	f.Var(&o.headers, "header", "Header to add to the requests, as `key=value`. May be given more than once. Names that start with X-Vault- are refused.")
	f.Var(&o.mfa, "mfa", "Credential of a second factor, as `method:passcode`, sent as X-Vault-MFA. May be given more than once (VAULT_MFA).")
	f.BoolVar(&o.policyOverride, "policy-override", false, "Ask to override a soft-mandatory Sentinel policy, where a server has those.")
	f.BoolVar(&o.noRedirects, "disable-redirects", o.noRedirects, "Do not follow redirects (VAULT_DISABLE_REDIRECTS).")
	f.Var(&o.wrapTTL, "wrap-ttl", "Put the answer in a cubbyhole for this long and return the token that opens it once, such as \"5m\" (VAULT_WRAP_TTL).")
	f.BoolVar(&o.curl, "output-curl-string", false, "Print the curl command that would send the request, and send nothing.")
	f.BoolVar(&o.policy, "output-policy", false, "Print the policy the request needs, and send nothing.")
	f.BoolVar(&o.nonInteractive, "non-interactive", false, "Never ask on the terminal: a missing value is an error.")
	if kind >= formatted {
		f.StringVar(&o.format, "format", o.format, "How to print: \"table\", \"json\", \"yaml\", \"pretty\" (as a table) or, for read, \"raw\" (VAULT_FORMAT).")
	}
	if kind >= fielded {
		f.StringVar(&o.field, "field", "", "Print this field alone, without a newline unless stdout is a terminal.")
	}
}

// check refuses what no command could do anything with.
func (o *options) check(kind output) error {
	o.format = strings.ToLower(o.format)
	if kind >= formatted && !slices.Contains([]string{"table", "json", "yaml", "yml", "pretty", "raw"}, o.format) {
		return usagef("Invalid output format: %s (valid: table, json, yaml, pretty, raw)", o.format)
	}
	switch {
	case kind < formatted:
		o.format = "table" // VAULT_FORMAT is for commands that have something to format
	case o.format == "pretty":
		o.format = "table" // what people read is laid out for them anyway
	case o.format == "yml":
		o.format = "yaml"
	}
	for name := range o.headers {
		if strings.HasPrefix(http.CanonicalHeaderKey(name), "X-Vault-") {
			return usagef("Header %q is reserved: names that start with X-Vault- are set by other flags", name)
		}
	}
	return nil
}

func parseBool(text string) (bool, error) {
	switch strings.ToLower(text) {
	case "1", "t", "true":
		return true, nil
	case "", "0", "f", "false":
		return false, nil
	}
	return false, fmt.Errorf("%q is neither true nor false", text)
}

// client makes the API client for this command. The token is VAULT_TOKEN's, or else the one `login` kept.
func (c *call) client() (*api.Client, error) {
	client, err := c.bareClient()
	if err != nil {
		return nil, err
	}
	token, err := c.token()
	if err != nil {
		return nil, err
	}
	client.SetToken(token)
	return client, nil
}

// bareClient is a client with no token, for logins and for requests that need none.
func (c *call) bareClient() (*api.Client, error) {
	o := c.options
	config := api.DefaultConfig()
	if config.Error != nil {
		return nil, usagef("Error reading the environment: %w", config.Error)
	}
	if o.address == "" && o.agentAddress == "" {
		c.complain(ansiYellow, "WARNING! VAULT_ADDR and -address unset. Defaulting to https://127.0.0.1:8200.")
	}
	config.Address = "https://127.0.0.1:8200"
	if o.address != "" {
		config.Address = o.address
	}
	config.AgentAddress = o.agentAddress
	if len(o.tls.CACertBytes) == 0 {
		o.tls.CACertBytes = nil
	}
	if err := config.ConfigureTLS(&o.tls); err != nil {
		return nil, usagef("Error setting up TLS: %w", err)
	}
	config.DisableRedirects = o.noRedirects
	config.OutputCurlString = o.curl
	config.OutputPolicy = o.policy
	client, err := api.NewClient(config)
	if err != nil {
		return nil, usagef("Error creating the client: %w", err)
	}
	client.SetToken("") // NewClient looks at the process's environment; call.token is what decides
	client.ClearNamespace()
	if o.namespace != "" {
		client.SetNamespace(strings.Trim(o.namespace, "/"))
	}
	client.SetMFACreds(o.mfa)
	client.SetPolicyOverride(o.policyOverride)
	for name, value := range o.headers {
		client.AddHeader(name, value)
	}
	client.SetWrappingLookupFunc(func(_, path string) string {
		if o.wrapTTL.Duration == 0 && path == "sys/wrapping/wrap" {
			return api.DefaultWrappingTTL // wrapping is that path's only purpose
		}
		return o.wrapTTL.text()
	})
	return client, nil
}

func (c *call) token() (string, error) {
	if token := strings.TrimSpace(c.env(api.EnvVaultToken)); token != "" {
		return token, nil
	}
	keeper, err := c.tokenKeeper()
	if err != nil {
		return "", err
	}
	return keeper.read()
}

// ttl is a flag that takes Vault's durations: "90s", "24h", "7d", or a bare number of seconds.
type ttl struct{ time.Duration }

func (t *ttl) Set(text string) error {
	d, err := parseTTL(text)
	if err != nil {
		return err
	}
	t.Duration = d
	return nil
}

// text is the duration as a request carries it: empty when the flag was not given.
func (t *ttl) text() string {
	if t.Duration == 0 {
		return ""
	}
	return t.Duration.String()
}

// list is a flag that may be repeated and that splits at commas.
type list []string

func (l *list) String() string { return strings.Join(*l, ",") }

func (l *list) Set(text string) error {
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			*l = append(*l, part)
		}
	}
	return nil
}

// values is a flag that may be repeated and whose values are taken whole.
type values []string

func (v *values) String() string { return strings.Join(*v, ",") }

func (v *values) Set(text string) error {
	*v = append(*v, text)
	return nil
}

// pairs is a flag of the form key=value that may be repeated.
type pairs map[string]string

func (p *pairs) String() string { return "" }

func (p *pairs) Set(text string) error {
	key, value, ok := strings.Cut(text, "=")
	if !ok || key == "" {
		return fmt.Errorf("missing = in KV pair: %q", text)
	}
	if *p == nil {
		*p = pairs{}
	}
	(*p)[strings.TrimSpace(key)] = value
	return nil
}
