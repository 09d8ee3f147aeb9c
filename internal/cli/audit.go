package cli

import (
	"context"
	"flag"
	"fmt"
	"strings"

	"github.com/hashicorp/vault/api"
)

func auditGroup() *command {
	return &command{
		name: "audit", synopsis: "Interact with audit devices",
		help: "Audit devices keep a record of every request and every answer, with hashes in the place of secrets.",
		sub:  []*command{auditDisableCommand(), auditEnableCommand(), auditListCommand()},
	}
}

func auditEnableCommand() *command {
	return &command{
		name: "enable", synopsis: "Enable an audit device",
		usage: "[options] TYPE [CONFIG K=V...]", min: 1, max: -1, output: plain,
		help: `
Enables an audit device at a path, its type unless -path says otherwise. The server must allow it
(unsafe_allow_api_audit_creation); otherwise devices are declared in its configuration.

    $ {cmd} file file_path=/var/log/strongroom/audit.log`,
		setup: func(f *flag.FlagSet) action {
			var path, description string
			var local bool
			f.StringVar(&path, "path", "", "Where to put the audit device. The default is its type.")
			f.StringVar(&description, "description", "", "What the audit device is for, in words.")
			f.BoolVar(&local, "local", false, "Keep the audit device out of replication.")
			return request(func(ctx context.Context, c *call, client *api.Client) error {
				kind := strings.TrimSpace(c.args[0])
				if path == "" {
					path = kind
				}
				options := pairs{}
				for _, arg := range c.args[1:] {
					if err := options.Set(arg); err != nil {
						return usagef("Failed to parse options: %w", err)
					}
				}
				at := mountPath(path)
				err := client.Sys().EnableAuditWithOptionsWithContext(ctx, cleanPath(at), &api.EnableAuditOptions{Type: kind, Description: description, Options: options, Local: local})
				if err != nil {
					return apiError("Error enabling audit device", err)
				}
				c.printf("Success! Enabled the %s audit device at: %s", kind, at)
				return nil
			}).action()
		},
	}
}

func auditDisableCommand() *command {
	return &command{
		name: "disable", synopsis: "Disable an audit device",
		usage: "[options] PATH", min: 1, max: 1, output: plain,
		help: "Disables the audit device at a path. What it has recorded stays where it is.",
		setup: noFlags(func(ctx context.Context, c *call, client *api.Client) error {
			path := mountPath(c.args[0])
			if err := client.Sys().DisableAuditWithContext(ctx, cleanPath(path)); err != nil {
				return apiError("Error disabling audit device", err)
			}
			c.printf("Success! Disabled audit device (if it was enabled) at: %s", path)
			return nil
		}),
	}
}

func auditListCommand() *command {
	return &command{
		name: "list", synopsis: "List enabled audit devices",
		usage: "[options]", output: formatted,
		help: "Lists the audit devices and where they are.",
		setup: func(f *flag.FlagSet) action {
			var detailed bool
			f.BoolVar(&detailed, "detailed", false, "Print more about each, such as its options.")
			return request(func(ctx context.Context, c *call, client *api.Client) error {
				devices, err := client.Sys().ListAuditWithContext(ctx)
				if err != nil {
					return apiError("Error listing audits", err)
				}
				if len(devices) == 0 && c.isTable() {
					return answerf("No audit devices are enabled.")
				}
				return c.print(devices, func() string { return auditTable(devices, detailed) })
			}).action()
		},
	}
}

func auditTable(devices map[string]*api.Audit, detailed bool) string {
	rows := []string{row("Path", "Type", "Description")}
	if detailed {
		rows = []string{row("Path", "Type", "Description", "Replication", "Options")}
	}
	for _, path := range sortedKeys(devices) {
		d := devices[path]
		if !detailed {
			rows = append(rows, row(path, d.Type, d.Description))
			continue
		}
		var options []string
		for _, name := range sortedKeys(d.Options) {
			options = append(options, fmt.Sprintf("%s=%s", name, d.Options[name]))
		}
		replicated := "replicated"
		if d.Local {
			replicated = "local"
		}
		rows = append(rows, row(path, d.Type, d.Description, replicated, strings.Join(options, " ")))
	}
	return table(rows)
}
