package server

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"strongroom/internal/metrics"
)

// Options are the flags of the server command.
type Options struct {
	ConfigPaths []string // files or directories
	Log         Logging  // overrides configuration and environment; empty fields do not

	Dev              bool // in memory, one node, unsealed
	DevRootTokenID   string
	DevListenAddress string
	DevNoStoreToken  bool // leave the CLI's token file alone
	DevNoKV          bool // mount nothing at secret/
	DevTLS           bool
	DevTLSCertDir    string // where -dev-tls writes its files; Config makes a temporary one when empty
	DevTLSSANs       []string
}

const serverUsage = `Usage: strongroom server [options]

  Starts a server with a configuration, which then waits to be initialized and unsealed:

      $ strongroom server -config=/etc/strongroom/

  Or one for development, in memory, unsealed, with its root token printed:

      $ strongroom server -dev -dev-root-token-id=root

Options:

`

// ParseOptions reads the arguments after "server" and the documented VAULT_DEV_… variables. With -h it writes the usage to stderr and
// returns flag.ErrHelp.
func ParseOptions(args []string, stderr io.Writer) (Options, error) {
	o := Options{DevListenAddress: defaultAddress}
	if id := os.Getenv("VAULT_DEV_ROOT_TOKEN_ID"); id != "" {
		o.DevRootTokenID = id
	}
	if addr := os.Getenv("VAULT_DEV_LISTEN_ADDRESS"); addr != "" {
		o.DevListenAddress = addr
	}
	flags := o.flags()
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprint(stderr, serverUsage)
			flags.SetOutput(stderr)
			flags.PrintDefaults()
			return Options{}, err
		}
		return Options{}, fmt.Errorf("%w; \"server -h\" lists the options", err)
	}
	if err := checkRefused(flags); err != nil {
		return Options{}, err
	}
	if flags.NArg() > 0 {
		return Options{}, fmt.Errorf("unexpected argument %q: a configuration is named with -config=PATH", flags.Arg(0))
	}
	o.Dev = o.Dev || o.DevTLS
	if !o.Dev && len(o.ConfigPaths) == 0 {
		return Options{}, errors.New("no configuration: name a file or directory with -config=PATH, or start a development server with -dev")
	}
	if o.Dev {
		if _, err := parseHostPort(o.DevListenAddress); err != nil {
			return Options{}, fmt.Errorf("-dev-listen-address: %w", err)
		}
	}
	return o, nil
}

// flags binds o's fields to their names on the command line.
func (o *Options) flags() *flag.FlagSet {
	flags := flag.NewFlagSet("server", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // the error goes to the caller alone
	repeated := func(to *[]string) func(string) error {
		return func(s string) error { *to = append(*to, s); return nil }
	}
	flags.Func("config", "`path` of a configuration file, or of a directory of *.hcl and *.json files; may be repeated", repeated(&o.ConfigPaths))
	flags.Func("log-level", "`level` of the log: trace, debug, info, warn or error (VAULT_LOG_LEVEL)", func(s string) (err error) {
		o.Log.Level, err = parseLogLevel(s)
		return err
	})
	flags.Func("log-format", "`format` of the log: standard or json (VAULT_LOG_FORMAT)", func(s string) (err error) {
		o.Log.Format, err = parseWord(s, logFormats()...)
		return err
	})
	flags.StringVar(&o.Log.File, "log-file", "", "`path` of a file to append the log to as well")
	flags.BoolVar(&o.Dev, "dev", false, "run in memory, unsealed, for development only")
	flags.StringVar(&o.DevRootTokenID, "dev-root-token-id", o.DevRootTokenID, "root `token` of the development server (VAULT_DEV_ROOT_TOKEN_ID)")
	flags.StringVar(&o.DevListenAddress, "dev-listen-address", o.DevListenAddress, "`host:port` of the development server (VAULT_DEV_LISTEN_ADDRESS)")
	flags.BoolVar(&o.DevNoStoreToken, "dev-no-store-token", false, "do not write the development root token to the CLI's token file")
	flags.BoolVar(&o.DevNoKV, "dev-no-kv", false, "do not enable a KV engine at secret/")
	flags.BoolVar(&o.DevTLS, "dev-tls", false, "as -dev, with TLS from a certificate authority made at the start")
	flags.StringVar(&o.DevTLSCertDir, "dev-tls-cert-dir", "", "`directory` for the certificates of -dev-tls; a temporary one by default")
	flags.Func("dev-tls-san", "further `name` or IP address the certificate of -dev-tls is for; may be repeated", repeated(&o.DevTLSSANs))
	for name, why := range refusedFlags() {
		flags.Bool(name, false, "refused: "+why)
	}
	return flags
}

// refusedFlags are flags of Vault's with the reason why this server does not take them.
func refusedFlags() map[string]string {
	return map[string]string{
		"recovery":              "recovery mode is not in this release",
		"exit-on-core-shutdown": "this release always exits when its server stops, so leave the flag out",
	}
}

// checkRefused is an error when one of them was given.
func checkRefused(flags *flag.FlagSet) (err error) {
	flags.Visit(func(f *flag.Flag) {
		if why, refused := refusedFlags()[f.Name]; refused {
			err = errors.Join(err, fmt.Errorf("-%s: %s", f.Name, why))
		}
	})
	return err
}

// Config is the configuration these options ask for, with the warnings LoadConfig gives. With -dev-tls it writes the certificates, and
// sets DevTLSCertDir to where.
func (o *Options) Config() (c *Config, warnings []string, err error) {
	if o.Dev {
		c, warnings, err = o.devConfig()
	} else {
		c, warnings, err = LoadConfig(o.ConfigPaths...)
	}
	if err != nil {
		return nil, warnings, err
	}
	c.Log.Level = orDefault(o.Log.Level, c.Log.Level)
	c.Log.Format = orDefault(o.Log.Format, c.Log.Format)
	c.Log.File = orDefault(o.Log.File, c.Log.File)
	return c, warnings, nil
}

// devConfig is a listener and memory. Files given besides may set anything else; container images pass a directory, mostly empty, whatever the mode.
func (o *Options) devConfig() (*Config, []string, error) {
	l := newListener()
	l.Address, l.at = o.DevListenAddress, position{file: "-dev-listen-address"}
	l.TLS.Disable = !o.DevTLS
	if o.DevTLS {
		if err := o.devCertificates(&l.TLS); err != nil {
			return nil, nil, fmt.Errorf("-dev-tls: %w", err)
		}
	}
	c := &Config{Listeners: []Listener{l}, Telemetry: metrics.Options{Retention: defaultRetention}, UI: true, DisableMlock: true, Audit: Audit{AllowAPI: true}}
	d := &decoder{}
	if err := d.load(c, o.ConfigPaths...); err != nil {
		return nil, d.warnings, err
	}
	if c.Storage.Type != "" {
		d.warnf("the storage block at %s has no effect: -dev keeps everything in memory", c.Storage.at)
	}
	c.Storage = Storage{Type: "inmem", MaxEntrySize: defaultMaxEntry}
	return c, d.warnings, d.finish(c)
}
