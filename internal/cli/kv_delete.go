package cli

import (
	"context"
	"flag"

	"github.com/hashicorp/vault/api"
)

func versionsFlag(f *flag.FlagSet, texts *list, usage string) {
	f.Var(texts, "versions", usage+" Commas part them.")
}

func kvDeleteCommand() *command {
	return &command{
		name: "delete", synopsis: "Delete versions in the KV store",
		usage: "[options] KEY", min: 1, max: 1, output: plain,
		help: `
Deletes a secret. In version 2 it deletes the current version, or those of -versions; "{program} kv undelete"
brings them back.

    $ {cmd} -mount=secret -versions=3,4 app`,
		setup: func(f *flag.FlagSet) action {
			var mount string
			var texts list
			mountFlag(f, &mount)
			versionsFlag(f, &texts, "Versions to delete. Version 2 only.")
			return kvRequest(func(ctx context.Context, c *call, client *api.Client, target kvTarget) error {
				numbers, err := versions(texts)
				if err != nil {
					return err
				}
				path := target.path("data")
				var secret *api.Secret
				if len(numbers) > 0 {
					if err := target.requireV2("Deleting versions"); err != nil {
						return err
					}
					secret, err = client.Logical().WriteWithContext(ctx, target.path("delete"), map[string]any{"versions": numbers})
				} else {
					secret, err = client.Logical().DeleteWithContext(ctx, path)
				}
				if err != nil {
					return apiError("Error deleting "+path, err)
				}
				return c.deleted(secret, path)
			}).on(&mount)
		},
	}
}

func kvUndeleteCommand() *command {
	return versionsCommand("undelete", "Undelete versions in the KV store", "Undelete", "Versions to bring back.", `
Brings back versions that were deleted, but not those that were destroyed. Version 2 only.

    $ {cmd} -mount=secret -versions=3 app`)
}

func kvDestroyCommand() *command {
	return versionsCommand("destroy", "Permanently remove one or more versions", "Destroy", "Versions to destroy.", `
Removes versions for good: not even "{program} kv undelete" brings them back. Version 2 only.

    $ {cmd} -mount=secret -versions=11 app`)
}

// versionsCommand is a command that posts version numbers to the section of its own name.
func versionsCommand(name, synopsis, what, usage, help string) *command {
	return &command{
		name: name, synopsis: synopsis, help: help,
		usage: "[options] KEY", min: 1, max: 1, output: formatted,
		setup: func(f *flag.FlagSet) action {
			var mount string
			var texts list
			mountFlag(f, &mount)
			versionsFlag(f, &texts, usage)
			return kvRequest(func(ctx context.Context, c *call, client *api.Client, target kvTarget) error {
				numbers, err := versions(texts)
				if err != nil {
					return err
				}
				if len(numbers) == 0 {
					return usagef("No versions provided, use the \"-versions\" flag to specify the version to %s.", name)
				}
				if err := target.requireV2(what); err != nil {
					return err
				}
				path := target.path(name)
				secret, err := client.Logical().WriteWithContext(ctx, path, map[string]any{"versions": numbers})
				if err != nil {
					return apiError("Error writing data to "+path, err)
				}
				return c.written(secret, path)
			}).on(&mount)
		},
	}
}
