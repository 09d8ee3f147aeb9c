package cli

import (
	"context"
	"flag"

	"github.com/hashicorp/vault/api"
)

func monitorCommand() *command {
	return &command{
		name: "monitor", synopsis: "Stream log messages from a server",
		usage: "[options]", output: plain,
		help: `
Prints what the server writes to its log from now on, until you interrupt it. The level is this command's own: the
server's log stays as it is.

    $ {cmd} -log-level=debug`,
		setup: func(f *flag.FlagSet) action {
			var level, format string
			f.StringVar(&level, "log-level", "info", "`Level` to show: trace, debug, info, warn or error (VAULT_LOG_LEVEL).")
			f.StringVar(&format, "log-format", "standard", "`Format` of the lines: standard or json (VAULT_LOG_FORMAT).")
			return request(func(ctx context.Context, c *call, client *api.Client) error {
				if text := c.env("VAULT_LOG_LEVEL"); text != "" && !c.given("log-level") {
					level = text
				}
				if text := c.env("VAULT_LOG_FORMAT"); text != "" && !c.given("log-format") {
					format = text
				}
				lines, err := client.Sys().Monitor(ctx, level, format)
				if err != nil {
					return apiError("Error starting monitor", err)
				}
				for line := range lines {
					c.printf("%s", line)
				}
				return nil
			}).action()
		},
	}
}
