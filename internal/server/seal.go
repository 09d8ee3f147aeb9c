package server

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"strongroom/internal/node"
	"strongroom/internal/seal"
	"strongroom/internal/secret"
)

// SealStanza is one seal "TYPE" { … } block. Its parameters hold keys and tokens: they are never printed.
type SealStanza struct {
	Type     string // shamir, static, transit or peer
	Disabled bool   // to migrate away from
	Params   map[string]string

	at position
}

// String leaves the parameters out.
func (s SealStanza) String() string { return fmt.Sprintf("seal %q", s.Type) }

// parameter is one key of a seal, with the environment variable that gives it too. A variable of the seal's own goes before the
// stanza, as Vault documents; one that the CLI shares only fills a gap, since VAULT_ADDR and VAULT_CACERT in a server's environment usually
// tell the CLI there how to reach that very server.
type parameter struct {
	name, env string
	shared    bool
}

var sealParameters = map[string][]parameter{
	seal.Shamir: nil,
	"static":    {{name: "current_key_id"}, {name: "current_key"}, {name: "previous_key_id"}, {name: "previous_key"}},
	"transit": {
		{name: "address", env: "VAULT_ADDR", shared: true},
		{name: "token", env: "VAULT_TOKEN", shared: true},
		{name: "key_name", env: "VAULT_TRANSIT_SEAL_KEY_NAME"},
		{name: "mount_path", env: "VAULT_TRANSIT_SEAL_MOUNT_PATH"},
		{name: "namespace", env: "VAULT_NAMESPACE", shared: true},
		{name: "disable_renewal", env: "VAULT_TRANSIT_SEAL_DISABLE_RENEWAL"},
		{name: "tls_ca_cert", env: "VAULT_CACERT", shared: true},
		{name: "tls_client_cert", env: "VAULT_CLIENT_CERT", shared: true},
		{name: "tls_client_key", env: "VAULT_CLIENT_KEY", shared: true},
		{name: "tls_server_name", env: "VAULT_TLS_SERVER_NAME", shared: true},
		{name: "tls_skip_verify", env: "VAULT_SKIP_VERIFY", shared: true},
	},
}

func (d *decoder) seal(c *Config, kind string, body *block) error {
	s := SealStanza{Type: kind, Params: map[string]string{}, at: body.at}
	known := setters{"disabled": boolean(&s.Disabled)}
	d.ignore(known, nothing, "name", "priority", "key_id_prefix")
	take := func(f field) error {
		var value string
		err := text(&value)(f)
		s.Params[f.name] = value
		return err
	}
	parameters, ok := sealParameters[kind]
	switch {
	case kind == peerSeal:
		parameters = peerParameters
	case !ok:
		return fmt.Errorf("%s: seal %q is not supported: this release has \"shamir\", \"static\", \"transit\" and \"peer\"", body.at, kind)
	}
	for _, p := range parameters {
		known[p.name] = take
	}
	err := d.decode(body, known)
	c.Seals = append(c.Seals, s)
	return err
}

// sealEnvironment adds the seal of VAULT_SEAL_TYPE, if no stanza is of that type, and fills in what the environment gives.
func sealEnvironment(c *Config, getenv func(string) string) error {
	if kind := getenv("VAULT_SEAL_TYPE"); kind != "" {
		if _, ok := sealParameters[kind]; !ok {
			return fmt.Errorf("VAULT_SEAL_TYPE: seal %q is not supported: this release has \"shamir\", \"static\" and \"transit\"", kind)
		}
		if !slices.ContainsFunc(c.Seals, func(s SealStanza) bool { return s.Type == kind && !s.Disabled }) && kind != seal.Shamir {
			c.Seals = append(c.Seals, SealStanza{Type: kind, Params: map[string]string{}, at: position{file: "environment"}})
		}
	}
	for _, s := range c.Seals {
		for _, p := range sealParameters[s.Type] {
			value := ""
			if p.env != "" {
				value = getenv(p.env)
			}
			// Of two transit seals, the environment speaks of the one that counts.
			if value != "" && (s.Params[p.name] == "" || !p.shared && !s.Disabled) {
				s.Params[p.name] = value
			}
		}
	}
	return nil
}

// checkSeals refuses what leaves open which seal counts.
func checkSeals(seals []SealStanza) error {
	var current, old, peer *SealStanza
	for i := range seals {
		s := &seals[i]
		var slot **SealStanza
		switch {
		case s.Type == peerSeal:
			slot = &peer
		case s.Disabled:
			slot = &old
		default:
			slot = &current
		}
		if *slot != nil {
			return fmt.Errorf("%s: %s: a second seal that counts, the first is at %s: keep one, and for a migration say disabled = \"true\" in the one to leave", s.at, *s, (*slot).at)
		}
		*slot = s
	}
	if old != nil && old.Type == seal.Shamir {
		return fmt.Errorf("%s: seal \"shamir\" cannot be disabled: leave the block out; a migration from it needs only the new seal's block", old.at)
	}
	return nil
}

// openSeals gives nc the seals that unseal without people. They are not asked anything yet.
func openSeals(nc *node.Config, seals []SealStanza) error {
	for _, s := range seals {
		if s.Type == peerSeal {
			if s.Disabled {
				continue
			}
			var err error
			if nc.PeerUnseal, err = openPeer(s.Params); err != nil {
				return fmt.Errorf("%s: %s: %w", s.at, s, err)
			}
			continue
		}
		auto, err := openSeal(s)
		if err != nil {
			return fmt.Errorf("%s: %s: %w", s.at, s, err)
		}
		if s.Disabled {
			nc.OldSeal = auto
		} else if auto != nil {
			nc.Seal = auto
		}
	}
	return nil
}

// openSeal makes the seal of a stanza; nil for those that people, or peers, open.
func openSeal(s SealStanza) (seal.Auto, error) {
	switch s.Type {
	case "static":
		return openStatic(s.Params)
	case "transit":
		return openTransit(s.Params)
	}
	return nil, nil
}

func openStatic(p map[string]string) (seal.Auto, error) {
	current, err := staticKey(p, "current")
	if err != nil {
		return nil, err
	}
	if p["previous_key"] == "" && p["previous_key_id"] == "" {
		return seal.NewStatic(*current, nil)
	}
	previous, err := staticKey(p, "previous")
	if err != nil {
		return nil, err
	}
	return seal.NewStatic(*current, previous)
}

// staticKey reads the key called name: in a file or an environment variable, raw, or in base64 or hexadecimal as in the stanza itself.
func staticKey(p map[string]string, name string) (*seal.StaticKey, error) {
	id, source := p[name+"_key_id"], p[name+"_key"]
	if id == "" || source == "" {
		return nil, fmt.Errorf("%[1]s_key_id and %[1]s_key are needed: a name for the key, and file://PATH, env://NAME or its base64", name)
	}
	text := []byte(source)
	if path, ok := strings.CutPrefix(source, "file://"); ok {
		var err error
		if text, err = os.ReadFile(path); err != nil {
			return nil, fmt.Errorf("%s_key: %w", name, err)
		}
	} else if variable, ok := strings.CutPrefix(source, "env://"); ok {
		if text = []byte(os.Getenv(variable)); len(text) == 0 {
			return nil, fmt.Errorf("%s_key: the environment variable %s is not set", name, variable)
		}
	}
	defer clear(text)
	key := decodeKey(text)
	if key == nil {
		return nil, fmt.Errorf("%s_key: a key of %d bytes is needed, raw in a file, or in base64 or hexadecimal: make one with \"openssl rand -out FILE %[2]d\"", name, secret.KeySize)
	}
	return &seal.StaticKey{ID: id, Key: key}, nil
}

// decodeKey is the key that text holds, in any of its forms; nil if it holds none.
func decodeKey(text []byte) secret.Bytes {
	if len(text) == secret.KeySize {
		return bytes.Clone(text)
	}
	trimmed := string(bytes.TrimSpace(text))
	for _, decode := range []func(string) ([]byte, error){hex.DecodeString, base64.StdEncoding.DecodeString, base64.RawStdEncoding.DecodeString} {
		if key, err := decode(trimmed); err == nil && len(key) == secret.KeySize {
			return key
		}
	}
	return nil
}

func openTransit(p map[string]string) (seal.Auto, error) {
	c := seal.TransitConfig{Address: p["address"], Token: secret.Bytes(p["token"]), KeyName: p["key_name"], MountPath: p["mount_path"], Namespace: p["namespace"], TLS: &tls.Config{MinVersion: tls.VersionTLS12}}
	for name, to := range map[string]*bool{"disable_renewal": &c.DisableRenewal, "tls_skip_verify": &c.TLS.InsecureSkipVerify} {
		var err error
		if *to, err = strconv.ParseBool(cmp.Or(p[name], "false")); err != nil {
			return nil, fmt.Errorf("%s: true or false is needed here", name)
		}
	}
	if path := p["tls_ca_cert"]; path != "" {
		pem, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("tls_ca_cert: %w", err)
		}
		c.TLS.RootCAs = x509.NewCertPool()
		if !c.TLS.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("tls_ca_cert: %s holds no PEM certificate", path)
		}
	}
	if p["tls_client_cert"] != "" || p["tls_client_key"] != "" {
		pair, err := tls.LoadX509KeyPair(p["tls_client_cert"], p["tls_client_key"])
		if err != nil {
			return nil, fmt.Errorf("tls_client_cert and tls_client_key: %w", err)
		}
		c.TLS.Certificates = []tls.Certificate{pair}
	}
	c.TLS.ServerName = p["tls_server_name"]
	return seal.NewTransit(c)
}
