package cli

import (
	"context"
	"flag"

	"github.com/hashicorp/vault/api"
)

// serverCommand, tlsCommand and kubectlCommand stand in the table for its help alone: Run hands them to their Programs.
func serverCommand() *command {
	return &command{name: "server", synopsis: "Start a Strongroom server", program: true}
}

func tlsCommand() *command {
	return &command{name: "tls", synopsis: "Keep a server's TLS certificate in Kubernetes", program: true}
}

func kubectlCommand() *command {
	return &command{name: "kubectl", synopsis: "Look after the operator's resources; also: kubectl strongroom", program: true}
}

func versionCommand(build Build) *command {
	return &command{
		name: "version", synopsis: "Print the version of this program",
		usage: "", max: 0, output: local,
		help: "Prints the version of this program. What the server runs is in the Version row of \"{program} status\".",
		setup: func(*flag.FlagSet) action {
			return func(_ context.Context, c *call) error {
				c.println(build.String())
				return nil
			}
		},
	}
}

func printGroup() *command {
	return &command{
		name: "print", synopsis: "Print what this program would use",
		help: "Prints values that commands would use when they run.",
		sub: []*command{{
			name: "token", synopsis: "Print the token in use", output: local,
			help: "Prints the token that commands send: VAULT_TOKEN, or else the one that \"{program} login\" kept.",
			setup: func(*flag.FlagSet) action {
				return func(_ context.Context, c *call) error {
					token, err := c.token()
					if err != nil {
						return err
					}
					c.println(token)
					return nil
				}
			},
		}},
	}
}

func pathHelpCommand() *command {
	return &command{
		name: "path-help", synopsis: "Explain a path of the API",
		usage: "[options] PATH", min: 1, max: 1, output: formatted,
		help: `
Prints what the engine or method mounted at a path says about it. The path must exist, but need hold no data:

    $ {cmd} secret/`,
		setup: noFlags(func(ctx context.Context, c *call, client *api.Client) error {
			help, err := client.HelpWithContext(ctx, cleanPath(c.args[0]))
			if err != nil {
				return apiError("Error retrieving help", err)
			}
			return c.print(help, func() string { return help.Help })
		}),
	}
}
