package cli

import (
	"cmp"
	"context"
	"flag"
	"slices"

	"github.com/hashicorp/vault/api"
)

func pluginGroup() *command {
	return &command{
		name: "plugin", synopsis: "Look at the engines and methods there are",
		help: "Every secrets engine and auth method is part of the server; it runs no other program, so none can be registered.",
		sub: []*command{
			pluginInfoCommand(), pluginListCommand(),
			absent("deregister"), absent("register"), absent("reload"), absent("reload-status"), absent("runtime"), absent("pin"),
		},
	}
}

func pluginListCommand() *command {
	return &command{
		name: "list", synopsis: "List available plugins",
		usage: "[options] [TYPE]", max: 1, output: formatted,
		help: "Lists the secrets engines and auth methods that can be enabled, or those of a TYPE: auth, secret or database.",
		setup: func(f *flag.FlagSet) action {
			var detailed bool
			f.BoolVar(&detailed, "detailed", false, "Print more about each, such as whether it is still supported.")
			return request(func(ctx context.Context, c *call, client *api.Client) error {
				kind := api.PluginTypeUnknown
				if len(c.args) > 0 {
					var err error
					if kind, err = api.ParsePluginType(c.args[0]); err != nil {
						return usagef("Error parsing type %q: it must be auth, secret or database", c.args[0])
					}
				}
				listed, err := client.Sys().ListPluginsWithContext(ctx, &api.ListPluginsInput{Type: kind})
				if err != nil {
					return apiError("Error listing available plugins", err)
				}
				return c.printPlugins(listed, kind, detailed)
			}).action()
		},
	}
}

// printPlugins prints what is of the type, in the order of type and name. As data it is lists of names by their type, or all that is known of each.
func (c *call) printPlugins(listed *api.ListPluginsResponse, kind api.PluginType, detailed bool) error {
	plugins := slices.DeleteFunc(slices.Clone(listed.Details), func(p api.PluginDetails) bool {
		return kind != api.PluginTypeUnknown && p.Type != kind.String()
	})
	slices.SortFunc(plugins, func(a, b api.PluginDetails) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Name, b.Name))
	})
	var data any = plugins
	if !detailed {
		names := map[string][]string{}
		for _, p := range plugins {
			names[p.Type] = append(names[p.Type], p.Name)
		}
		data = names
	}
	return c.print(data, func() string {
		heads, typed := []any{"Name", "Type", "Version"}, kind != api.PluginTypeUnknown
		if detailed {
			heads = append(heads, "Container", "Deprecation Status")
		}
		rows := make([]string, 0, len(plugins)+1)
		add := func(cells []any) {
			if typed { // the type is the same in every row
				cells = slices.Delete(cells, 1, 2)
			}
			rows = append(rows, row(cells...))
		}
		add(heads)
		for _, p := range plugins {
			cells := []any{p.Name, p.Type, p.Version}
			if detailed {
				cells = append(cells, p.OCIImage != "", p.DeprecationStatus)
			}
			add(cells)
		}
		return table(rows)
	})
}

func pluginInfoCommand() *command {
	return &command{
		name: "info", synopsis: "Read information about a plugin in the catalog",
		usage: "[options] TYPE NAME", min: 2, max: 2, output: fielded,
		help: `
Prints what is known of a secrets engine or an auth method.

    $ {cmd} secret kv`,
		setup: func(f *flag.FlagSet) action {
			var version string
			f.StringVar(&version, "version", "", "Version to look at. Built-in ones have none.")
			return request(func(ctx context.Context, c *call, client *api.Client) error {
				kind, err := api.ParsePluginType(c.args[0])
				if err != nil {
					return usagef("Error parsing type %q: it must be auth, secret or database", c.args[0])
				}
				name := c.args[1]
				found, err := client.Sys().GetPluginWithContext(ctx, &api.GetPluginInput{Name: name, Type: kind, Version: version})
				if err != nil {
					return apiError("Error reading plugin named "+name, err)
				}
				if found == nil {
					return answerf("No value found for plugin %q", name)
				}
				return c.printSecret(&api.Secret{Data: map[string]any{
					"args": found.Args, "builtin": found.Builtin, "command": found.Command, "name": found.Name, "oci_image": found.OCIImage,
					"runtime": found.Runtime, "sha256": found.SHA256, "deprecation_status": found.DeprecationStatus, "version": found.Version,
				}})
			}).action()
		},
	}
}

func versionHistoryCommand() *command {
	return &command{
		name: "version-history", synopsis: "Print the versions that have served this cluster",
		usage: "[options]", output: formatted,
		help: `
Prints which versions of the server have served this cluster, the oldest first, and since when. It takes a token
with sudo on sys/version-history.`,
		setup: noFlags(func(ctx context.Context, c *call, client *api.Client) error {
			secret, err := client.Logical().ListWithContext(ctx, "sys/version-history")
			if err != nil {
				return apiError("Error reading version history", err)
			}
			if secret == nil || secret.Data == nil {
				return answerf("No version history found")
			}
			return c.print(secret, func() string {
				rows := []string{row("Version", "Installation Time", "Build Date")}
				known, _ := secret.Data["key_info"].(map[string]any)
				for _, version := range texts(secret.Data["keys"]) {
					info, _ := known[version].(map[string]any)
					built, _ := info["build_date"].(string)
					rows = append(rows, row(version, info["timestamp_installed"], built))
				}
				return table(rows)
			})
		}),
	}
}
