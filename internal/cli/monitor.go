package cli

import (
	"context"
	"flag"
	"net/http"

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
			f.StringVar(&level, "log-level", "info", "`Level` to show: trace, debug, info, warn or error.")
			f.StringVar(&format, "log-format", "standard", "`Format` of the lines: standard or json.")
			return request(func(ctx context.Context, c *call, client *api.Client) error {
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

func scanCommand() *command {
	return &command{
		name: "scan", synopsis: "List data or secrets recursively",
		usage: "[options] PATH", min: 1, max: 1, output: formatted,
		help: `
Lists the keys below a path and in all folders below it, as far as the engine can. It takes the capability scan.

    $ {cmd} secret/metadata/apps`,
		setup: noFlags(func(ctx context.Context, c *call, client *api.Client) error {
			path := cleanPath(c.args[0])
			secret, err := client.Logical().ReadWithDataWithContext(ctx, path, map[string][]string{"scan": {"true"}})
			if isStatus(err, http.StatusNotFound) {
				secret, err = nil, nil
			}
			if err != nil {
				return apiError("Error scanning "+path, err)
			}
			return c.printKeys(secret, path)
		}),
	}
}
