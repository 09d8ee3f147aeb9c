package cli

import (
	"context"
	"flag"
	"fmt"

	"github.com/hashicorp/vault/api"
)

func namespaceGroup() *command {
	return &command{
		name: "namespace", synopsis: "Interact with namespaces",
		help: `
A namespace is a server within the server: with mounts, policies, identities and tokens of its own.
These commands are about the namespaces below that of -namespace (VAULT_NAMESPACE).`,
		sub: []*command{
			namespaceCreateCommand(), namespaceDeleteCommand(), namespaceListCommand(), namespaceLockCommand(), namespaceLookupCommand(),
			namespacePatchCommand(), namespaceUnlockCommand(),
		},
	}
}

func childPath(c *call) string { return "sys/namespaces/" + cleanPath(c.args[0]) }

func namespaceCreateCommand() *command {
	return &command{
		name: "create", synopsis: "Create a new namespace",
		usage: "[options] PATH", min: 1, max: 1, output: fielded,
		help: `
Creates a namespace directly below the current one.

    $ {cmd} -custom-metadata=owner=ada team-a
    $ {cmd} -namespace=team-a training`,
		setup: func(f *flag.FlagSet) action {
			var custom pairs
			f.Var(&custom, "custom-metadata", "Note to keep with the namespace, as `key=value`. May be given more than once.")
			return request(func(ctx context.Context, c *call, client *api.Client) error {
				body := map[string]any{"custom_metadata": map[string]string(custom)}
				secret, err := client.Logical().WriteWithContext(ctx, childPath(c), body)
				if err != nil {
					return apiError("Error creating namespace", err)
				}
				return c.printSecret(secret)
			}).action()
		},
	}
}

func namespacePatchCommand() *command {
	return &command{
		name: "patch", synopsis: "Patch an existing namespace",
		usage: "[options] PATH", min: 1, max: 1, output: fielded,
		help: `
Changes the given notes of a namespace and keeps the others.

    $ {cmd} -custom-metadata=owner=ada -remove-custom-metadata=phone team-a`,
		setup: func(f *flag.FlagSet) action {
			var m metadataFlags
			f.Var(&m.custom, "custom-metadata", "Note to keep with the namespace, as `key=value`. May be given more than once.")
			f.Var(&m.removeCustom, "remove-custom-metadata", "`Key` of a note to remove. May be given more than once.")
			return request(func(ctx context.Context, c *call, client *api.Client) error {
				secret, err := client.Logical().JSONMergePatch(ctx, childPath(c), m.body(c))
				if err != nil {
					return apiError("Error patching namespace", err)
				}
				if secret == nil {
					return answerf("Namespace not found")
				}
				return c.printSecret(secret)
			}).action()
		},
	}
}

func namespaceLookupCommand() *command {
	return &command{
		name: "lookup", synopsis: "Look up an existing namespace",
		usage: "[options] PATH", min: 1, max: 1, output: fielded,
		help: "Prints the ID, the path and the notes of a namespace.",
		setup: noFlags(func(ctx context.Context, c *call, client *api.Client) error {
			secret, err := client.Logical().ReadWithContext(ctx, childPath(c))
			if err != nil {
				return apiError("Error looking up namespace", err)
			}
			if secret == nil {
				return answerf("Namespace not found")
			}
			return c.printSecret(secret)
		}),
	}
}

func namespaceDeleteCommand() *command {
	return &command{
		name: "delete", synopsis: "Delete an existing namespace",
		usage: "[options] PATH", min: 1, max: 1, output: plain,
		help: `
Deletes a namespace with all that it holds: it is closed at once, its tokens and leases end, and its data
is deleted in the background. A namespace with others below it is not deleted.`,
		setup: noFlags(func(ctx context.Context, c *call, client *api.Client) error {
			secret, err := client.Logical().DeleteWithContext(ctx, childPath(c))
			if err != nil {
				return apiError("Error deleting namespace", err)
			}
			if secret != nil {
				c.warnings(secret.Warnings)
			}
			c.printf("Success! Namespace deleted at: %s", mountPath(c.args[0]))
			return nil
		}),
	}
}

func namespaceListCommand() *command {
	return &command{
		name: "list", synopsis: "List child namespaces",
		usage: "[options]", output: formatted,
		help: "Lists the namespaces directly below the current one.",
		setup: func(f *flag.FlagSet) action {
			var detailed bool
			f.BoolVar(&detailed, "detailed", false, "Print their IDs and notes too.")
			return request(func(ctx context.Context, c *call, client *api.Client) error {
				secret, err := client.Logical().ListWithContext(ctx, "sys/namespaces")
				if err != nil {
					return apiError("Error listing namespaces", err)
				}
				if secret == nil || !detailed || secret.WrapInfo != nil {
					return c.printKeys(secret, "sys/namespaces")
				}
				info, _ := secret.Data["key_info"].(map[string]any)
				return c.print(info, func() string {
					rows := []string{row("Path", "ID", "Custom Metadata")}
					for _, path := range sortedKeys(info) {
						n, _ := info[path].(map[string]any)
						rows = append(rows, row(path, n["id"], fmt.Sprint(n["custom_metadata"])))
					}
					return table(rows)
				})
			}).action()
		},
	}
}

// lockPath is where the namespace of the arguments, or the current one, is locked or unlocked.
func lockPath(c *call, do string) string {
	path := "sys/namespaces/api-lock/" + do
	if len(c.args) > 0 && cleanPath(c.args[0]) != "" {
		path += "/" + cleanPath(c.args[0])
	}
	return path
}

func namespaceLockCommand() *command {
	return &command{
		name: "lock", synopsis: "Lock the API for a namespace",
		usage: "[options] [PATH]", max: 1, output: fielded,
		help: `
Locks the API of the current namespace, or of one below it, and of all below that: nothing is answered
there but being unlocked. Prints the key that unlocks it; keep it.`,
		setup: noFlags(func(ctx context.Context, c *call, client *api.Client) error {
			secret, err := client.Logical().WriteWithContext(ctx, lockPath(c, "lock"), nil)
			if err != nil {
				return apiError("Error locking namespace", err)
			}
			return c.printSecret(secret)
		}),
	}
}

func namespaceUnlockCommand() *command {
	return &command{
		name: "unlock", synopsis: "Unlock the API for a namespace",
		usage: "[options] [PATH]", max: 1, output: plain,
		help: "Unlocks the API of the current namespace, or of one below it.",
		setup: func(f *flag.FlagSet) action {
			var key string
			f.StringVar(&key, "unlock-key", "", "The key that locking printed. A root token needs none.")
			return request(func(ctx context.Context, c *call, client *api.Client) error {
				if _, err := client.Logical().WriteWithContext(ctx, lockPath(c, "unlock"), map[string]any{"unlock_key": key}); err != nil {
					return apiError("Error unlocking namespace", err)
				}
				c.printf("Success! The namespace is unlocked")
				return nil
			}).action()
		},
	}
}
