package cli

import (
	"context"
	"flag"
	"fmt"
	"strings"

	"github.com/hashicorp/vault/api"
)

func authGroup() *command {
	return &command{
		name: "auth", synopsis: "Interact with auth methods",
		help: "Auth methods are the ways to prove who one is and get a token, each under a path of its own.",
		sub: []*command{
			authDisableCommand(), authEnableCommand(), authHelpCommand(), authListCommand(), authMoveCommand(), authTuneCommand(),
		},
	}
}

// authMountPath takes the path of an auth method with or without auth/ before it.
func authMountPath(path string) string {
	return mountPath(strings.TrimPrefix(cleanPath(path), "auth/"))
}

func authEnableCommand() *command {
	return &command{
		name: "enable", synopsis: "Enable a new auth method",
		usage: "[options] TYPE", min: 1, max: 1, output: plain,
		help: `
Enables an auth method at a path below auth/, its type unless -path says otherwise.

    $ {cmd} kubernetes`,
		setup: func(f *flag.FlagSet) action {
			var m mountFlags
			m.declareEnable(f, "auth method")
			m.declareTokenType(f)
			return request(func(ctx context.Context, c *call, client *api.Client) error {
				kind := c.args[0]
				path := authMountPath(m.path)
				if path == "/" {
					if path = mountPath(kind); kind == "plugin" {
						path = mountPath(m.pluginName)
					}
				}
				if err := client.Sys().EnableAuthWithOptionsWithContext(ctx, cleanPath(path), m.input(kind)); err != nil {
					return apiError("Error enabling "+kind+" auth", err)
				}
				what := kind + " auth method"
				if kind == "plugin" {
					what = m.pluginName + " plugin"
				}
				c.printf("Success! Enabled %s at: %s", what, path)
				return nil
			}).action()
		},
	}
}

func (m *mountFlags) declareTokenType(f *flag.FlagSet) {
	f.StringVar(&m.tokenType, "token-type", "", "Type of the tokens it makes: default-service, default-batch, service or batch.")
}

func authDisableCommand() *command {
	return &command{
		name: "disable", synopsis: "Disable an auth method",
		usage: "[options] PATH", min: 1, max: 1, output: plain,
		help: "Disables the auth method at a path and revokes every token it made.",
		setup: noFlags(func(ctx context.Context, c *call, client *api.Client) error {
			path := authMountPath(c.args[0])
			if err := client.Sys().DisableAuthWithContext(ctx, cleanPath(path)); err != nil {
				return apiError(fmt.Sprintf("Error disabling auth method at %s", path), err)
			}
			c.printf("Success! Disabled the auth method (if it existed) at: %s", path)
			return nil
		}),
	}
}

func authListCommand() *command {
	return &command{
		name: "list", synopsis: "List enabled auth methods",
		usage: "[options]", output: formatted,
		help: "Lists the auth methods and where they are. A TTL of \"system\" is the server's default.",
		setup: func(f *flag.FlagSet) action {
			var detailed bool
			f.BoolVar(&detailed, "detailed", false, "Print more about each, such as its TTLs and options.")
			return request(func(ctx context.Context, c *call, client *api.Client) error {
				methods, err := client.Sys().ListAuthWithContext(ctx)
				if err != nil {
					return apiError("Error listing enabled authentications", err)
				}
				heads, cells := row("Path", "Type", "Accessor", "Description", "Version"), authRow
				if detailed {
					heads, cells = row("Path", "Plugin", "Accessor", "Default TTL", "Max TTL", "Token Type", "Replication",
						"Seal Wrap", "External Entropy Access", "Options", "Description", "UUID", "Version",
						"Running Version", "Running SHA256", "Deprecation Status"), authDetails
				}
				return c.printMounts(methods, heads, cells)
			}).action()
		},
	}
}

func authRow(path string, m *api.MountOutput) string {
	return row(path, m.Type, m.Accessor, m.Description, m.PluginVersion)
}

func authDetails(path string, m *api.MountOutput) string {
	return row(path, m.Type, m.Accessor, mountTTL("", m.Config.DefaultLeaseTTL), mountTTL("", m.Config.MaxLeaseTTL),
		m.Config.TokenType, replication(m), m.SealWrap, m.ExternalEntropyAccess, mountOptions(m), m.Description, m.UUID,
		m.PluginVersion, m.RunningVersion, m.RunningSha256, m.DeprecationStatus)
}

func authTuneCommand() *command {
	return &command{
		name: "tune", synopsis: "Tune an auth method configuration",
		usage: "[options] PATH", min: 1, max: 1, output: plain,
		help: `
Changes the settings of the auth method at a path. What is not named stays as it is.

    $ {cmd} -default-lease-ttl=72h kubernetes/
    $ {cmd} -user-lockout-threshold=10 -user-lockout-duration=10m userpass/`,
		setup: func(f *flag.FlagSet) action {
			var m mountFlags
			var l lockoutFlags
			m.declareTune(f, "auth method")
			m.declareTokenType(f)
			l.declare(f)
			return request(func(ctx context.Context, c *call, client *api.Client) error {
				path := authMountPath(c.args[0])
				input := m.changes(c)
				input.UserLockoutConfig = l.changes(c)
				if err := client.Sys().TuneMountAllowNilWithContext(ctx, "auth/"+cleanPath(path), input); err != nil {
					return apiError("Error tuning auth method "+path, err)
				}
				c.printf("Success! Tuned the auth method at: %s", path)
				return nil
			}).action()
		},
	}
}

func authMoveCommand() *command {
	return &command{
		name: "move", synopsis: "Move an auth method to a new path",
		usage: "[options] SOURCE DESTINATION", min: 2, max: 2, output: plain,
		help: `
Moves an auth method with its roles and settings to a new path. The tokens it issued are revoked, because they
name the old one.

    $ {cmd} auth/approle auth/machines`,
		setup: noFlags(func(ctx context.Context, c *call, client *api.Client) error {
			return c.move(ctx, client, "auth method", "auth/"+authMountPath(c.args[0]), "auth/"+authMountPath(c.args[1]))
		}),
	}
}

func authHelpCommand() *command {
	return &command{
		name: "help", synopsis: "Explain how to log in with an auth method",
		usage: "[options] TYPE | PATH", min: 1, max: 1, output: plain,
		help: `
Explains how to log in with an auth method: with a type, or with what is enabled at a path.

    $ {cmd} userpass
    $ {cmd} my-method/`,
		setup: func(*flag.FlagSet) action {
			return func(ctx context.Context, c *call) error {
				kind := strings.TrimSpace(c.args[0])
				text, known := loginHelp(kind)
				if known {
					c.println(text)
					return nil
				}
				client, err := c.client()
				if err != nil {
					return err
				}
				methods, err := client.Sys().ListAuthWithContext(ctx)
				if err != nil {
					return apiError("Error listing auth methods", err)
				}
				method := methods[authMountPath(kind)]
				if method == nil {
					return usagef("Error retrieving help: unknown auth method %q: it is neither a type nor the path of one that is enabled", kind)
				}
				if text, known = loginHelp(method.Type); !known {
					return usagef("No help is known for the auth method %q: \"vault path-help auth/%s\" lists its paths", method.Type, authMountPath(kind))
				}
				c.println(text)
				return nil
			}
		},
	}
}

// loginHelp says how `login` is used with a type of auth method.
func loginHelp(kind string) (text string, known bool) {
	help := map[string]string{
		"approle":    "role_id=ID secret_id=ID\n\n  Logs a machine in with its role id and, unless the role goes without, a secret id.",
		"cert":       "[name=ROLE]\n\n  Logs in with the certificate of -client-cert and -client-key.\n\n  name=ROLE\n      The role to use; without it the first that the certificate fits.",
		"jwt":        "role=ROLE jwt=TOKEN\n\n  Logs in with a signed token; jwt=@file takes it from a file.",
		"kubernetes": "role=ROLE jwt=TOKEN\n\n  Logs in with the token of a service account; jwt=@file takes it from a file.",
		"ldap":       "[username=NAME] [password=PASSWORD]\n\n  Logs in as somebody a directory knows. The name is $USER unless it is given; a missing password is asked for.",
		"oidc": "[role=ROLE]\n\n  Logs in with a browser, which comes back to a listener on this machine.\n\n" +
			"  role=ROLE\n      The role to use; without it the default of the method.\n" +
			"  listenaddress=ADDRESS, port=PORT\n      Where to wait for the browser: localhost and 8250.\n" +
			"  callbackhost=HOST, callbackport=PORT, callbackmethod=SCHEME\n      How the browser reaches that: localhost, the same port, and http.\n" +
			"  callbackmode=direct\n      Have the browser, which may be elsewhere, go to the server, and ask that for the outcome.\n" +
			"  skip_browser=true\n      Print the address only, and open no browser.",
		"token":    "[TOKEN]\n\n  Logs in with a token that is there already: an argument, or typed when asked.",
		"userpass": "username=NAME [password=PASSWORD]\n\n  Logs in with a name and a password, which is asked for if it is missing.",
	}
	body, known := help[kind]
	return "Usage: vault login -method=" + kind + " " + body, known
}
