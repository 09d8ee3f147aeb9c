package cli

import (
	"context"
	"flag"
	"strings"

	"github.com/hashicorp/vault/api"
)

func unsealCommand() *command {
	return &command{
		name: "unseal", synopsis: "Unseal a server",
		usage: "[options] [KEY]", max: 1, output: formatted,
		help: `
Hands the server one unseal key. It opens once it has as many different ones as its threshold. With no key the
command asks for one without showing it, which keeps it out of the shell's history; "-" or a pipe reads stdin.

    $ {cmd}
    Unseal Key (will be hidden):`,
		setup: func(f *flag.FlagSet) action {
			var reset, migrate bool
			f.BoolVar(&reset, "reset", false, "Make the server forget the keys it was given so far.")
			f.BoolVar(&migrate, "migrate", false, "Say that this key is part of a change from one seal to another.")
			return func(ctx context.Context, c *call) error {
				client, err := c.client()
				if err != nil {
					return err
				}
				opts := &api.UnsealOpts{Reset: reset, Migrate: migrate}
				if !reset {
					if opts.Key, err = c.secretArg(ctx, 0, "Unseal Key"); err != nil {
						return err
					}
				}
				status, err := client.Sys().UnsealWithOptionsWithContext(ctx, opts)
				if err != nil {
					return apiError("Error unsealing", err)
				}
				return apiError("Error checking leader status", c.printStatus(ctx, client, status))
			}
		},
	}
}

// secretArg is argument n, or, when it is missing or "-", what is typed or piped.
func (c *call) secretArg(ctx context.Context, n int, what string) (string, error) {
	if len(c.args) > n {
		if c.args[n] == "-" {
			return c.pipedSecret(what)
		}
		return strings.TrimSpace(c.args[n]), nil
	}
	return c.secretInput(ctx, what)
}
