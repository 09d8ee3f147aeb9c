package cli

import (
	"cmp"
	"context"
	"flag"
	"slices"
	"strconv"

	"github.com/hashicorp/vault/api"
)

func kvMetadataGroup() *command {
	return &command{
		name: "metadata", synopsis: "Interact with the metadata of secrets",
		help: "What version 2 knows of a secret besides its values: versions, limits, and notes of your own.",
		sub:  []*command{kvMetadataDeleteCommand(), kvMetadataGetCommand(), kvMetadataPatchCommand(), kvMetadataPutCommand()},
	}
}

func kvMetadataGetCommand() *command {
	return &command{
		name: "get", synopsis: "Retrieve key metadata",
		usage: "[options] KEY", min: 1, max: 1, output: fielded,
		help: "Prints the metadata of a secret and of each of its versions.",
		setup: func(f *flag.FlagSet) action {
			var mount string
			mountFlag(f, &mount)
			return kvRequest(func(ctx context.Context, c *call, client *api.Client, target kvTarget) error {
				if err := target.requireV2("Metadata"); err != nil {
					return err
				}
				path := target.path("metadata")
				secret, err := client.Logical().ReadWithContext(ctx, path)
				if err != nil {
					return apiError("Error reading "+path, err)
				}
				if secret == nil {
					return answerf("No value found at %s", path)
				}
				if c.options.field != "" || secret.WrapInfo != nil {
					return c.printSecret(secret)
				}
				c.warnings(secret.Warnings)
				return c.print(secret, func() string { return metadataText(path, secret) })
			}).on(&mount)
		},
	}
}

// metadataText lays out the metadata of a secret and, in their order, of its versions.
func metadataText(path string, secret *api.Secret) string {
	all, _ := secret.Data["versions"].(map[string]any)
	general := make(map[string]any, len(secret.Data))
	for key, value := range secret.Data {
		if key != "versions" {
			general[key] = value
		}
	}
	numbers := sortedKeys(all)
	slices.SortStableFunc(numbers, func(a, b string) int {
		x, _ := strconv.Atoi(a)
		y, _ := strconv.Atoi(b)
		return cmp.Compare(x, y)
	})
	sections := []kvSection{{"Metadata", general}}
	for _, number := range numbers {
		if version, ok := all[number].(map[string]any); ok {
			sections = append(sections, kvSection{"Version " + number, version})
		}
	}
	return kvText("Metadata Path", path, sections...)
}

// metadataFlags are the settings of a secret.
type metadataFlags struct {
	maxVersions  int
	casRequired  bool
	deleteAfter  ttl
	custom       pairs
	removeCustom list
}

func (m *metadataFlags) declare(f *flag.FlagSet) {
	f.IntVar(&m.maxVersions, "max-versions", 0, "How many versions to keep. 0 is what the engine keeps.")
	f.BoolVar(&m.casRequired, "cas-required", false, "Refuse writes that do not give -cas.")
	f.Var(&m.deleteAfter, "delete-version-after", "How long after it is written a version is deleted by itself.")
	f.Var(&m.custom, "custom-metadata", "Note to keep with the secret, as `key=value`. May be given more than once. It is not secret.")
}

// body holds the settings that were given, and nothing else.
func (m *metadataFlags) body(c *call) map[string]any {
	body := map[string]any{}
	if c.given("max-versions") {
		body["max_versions"] = m.maxVersions
	}
	if c.given("cas-required") {
		body["cas_required"] = m.casRequired
	}
	if c.given("delete-version-after") {
		body["delete_version_after"] = m.deleteAfter.Duration.String()
	}
	if len(m.custom) == 0 && len(m.removeCustom) == 0 {
		return body
	}
	custom := map[string]any{}
	for key, value := range m.custom {
		custom[key] = value
	}
	for _, key := range m.removeCustom {
		custom[key] = nil // null removes, in a merge patch
	}
	body["custom_metadata"] = custom
	return body
}

func kvMetadataPutCommand() *command {
	return &command{
		name: "put", synopsis: "Set or update key settings",
		usage: "[options] KEY", min: 1, max: 1, output: formatted,
		help: `
Sets the settings of a secret, which need not exist yet. Its notes (-custom-metadata) are replaced.

    $ {cmd} -mount=secret -max-versions=5 app`,
		setup: metadataSetup(false),
	}
}

func kvMetadataPatchCommand() *command {
	return &command{
		name: "patch", synopsis: "Patch key settings",
		usage: "[options] KEY", min: 1, max: 1, output: formatted,
		help: `
Changes the given settings and notes of a secret and keeps the others.

    $ {cmd} -mount=secret -custom-metadata=owner=ada app`,
		setup: metadataSetup(true),
	}
}

func metadataSetup(patch bool) func(*flag.FlagSet) action {
	return func(f *flag.FlagSet) action {
		var mount string
		var m metadataFlags
		mountFlag(f, &mount)
		m.declare(f)
		if patch {
			f.Var(&m.removeCustom, "remove-custom-metadata", "`Key` of a note to remove. May be given more than once.")
		}
		return kvRequest(func(ctx context.Context, c *call, client *api.Client, target kvTarget) error {
			if err := target.requireV2("Metadata"); err != nil {
				return err
			}
			path := target.path("metadata")
			write := client.Logical().WriteWithContext
			if patch {
				write = client.Logical().JSONMergePatch
			}
			secret, err := write(ctx, path, m.body(c))
			if err != nil {
				return apiError("Error writing data to "+path, err)
			}
			return c.written(secret, path)
		}).on(&mount)
	}
}

func kvMetadataDeleteCommand() *command {
	return &command{
		name: "delete", synopsis: "Delete all versions and metadata of a key",
		usage: "[options] KEY", min: 1, max: 1, output: plain,
		help: "Deletes a secret whole: all its versions, its settings and its notes. There is no way back.",
		setup: func(f *flag.FlagSet) action {
			var mount string
			mountFlag(f, &mount)
			return kvRequest(func(ctx context.Context, c *call, client *api.Client, target kvTarget) error {
				if err := target.requireV2("Metadata"); err != nil {
					return err
				}
				path := target.path("metadata")
				secret, err := client.Logical().DeleteWithContext(ctx, path)
				if err != nil {
					return apiError("Error deleting "+path, err)
				}
				return c.deleted(secret, path)
			}).on(&mount)
		},
	}
}
