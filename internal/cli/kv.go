package cli

import (
	"context"
	"errors"
	"flag"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/vault/api"
)

func kvGroup() *command {
	return &command{
		name: "kv", synopsis: "Interact with the key-value storage",
		help: `
Keeps secrets as keys and values. Version 2 keeps old versions too. A secret is named by -mount and its key, or by
both in one path:

    $ {program} kv put -mount=secret app password=s3cret
    $ {program} kv get secret/app`,
		sub: []*command{
			kvDeleteCommand(), kvDestroyCommand(), kvEnableVersioningCommand(), kvGetCommand(), kvListCommand(),
			kvMetadataGroup(), kvPatchCommand(), kvPutCommand(), kvRollbackCommand(), kvUndeleteCommand(),
		},
	}
}

func mountFlag(f *flag.FlagSet, mount *string) {
	f.StringVar(mount, "mount", "", "`Path` where the engine is mounted; the argument is then the key below it. "+
		"Without it the argument is both in one.")
}

// kvTarget is a secret, or a folder of them, in a KV engine.
type kvTarget struct {
	mount string // with a slash at the end; empty if the server did not tell
	key   string
	v2    bool
}

// path is where the API has a section of the target. Version 1 has no sections.
func (t kvTarget) path(section string) string {
	if !t.v2 {
		return cleanPath(t.mount + t.key)
	}
	return cleanPath(t.mount + section + "/" + t.key)
}

// requireV2 refuses what only version 2 can do.
func (t kvTarget) requireV2(what string) error {
	if t.v2 {
		return nil
	}
	return usagef("%s not supported on KV Version 1 (\"vault kv enable-versioning %s\" turns versions on)", what, cleanPath(t.mount))
}

// kvTarget asks the server which engine the argument lies in, and splits it there.
func (c *call) kvTarget(ctx context.Context, client *api.Client, mount, arg string) (kvTarget, error) {
	full := cleanPath(arg)
	ask := full
	if mount != "" {
		ask = cleanPath(mount)
		full = cleanPath(ask + "/" + full)
	}
	if full == "" {
		return kvTarget{}, usagef("The path is empty: name a secret, such as secret/app")
	}
	answer, err := preflight(ctx, client, ask)
	if err != nil {
		return kvTarget{}, err
	}
	if answer == nil {
		return kvTarget{key: full}, nil // a server that does not tell has no version 2
	}
	target := kvTarget{key: full}
	target.mount, _ = answer.Data["path"].(string)
	if options, ok := answer.Data["options"].(map[string]any); ok {
		target.v2 = options["version"] == "2"
	}
	target.key = strings.TrimPrefix(strings.TrimPrefix(full+"/", target.mount), "/")
	target.key = strings.TrimSuffix(target.key, "/")
	return target, nil
}

// preflight reads what is mounted at path. It is sent plainly even where the command's own request is to be
// wrapped or described.
func preflight(ctx context.Context, client *api.Client, path string) (*api.Secret, error) {
	curl, policy, wrap := client.OutputCurlString(), client.OutputPolicy(), client.CurrentWrappingLookupFunc()
	client.SetOutputCurlString(false)
	client.SetOutputPolicy(false)
	client.SetWrappingLookupFunc(func(_, _ string) string { return "" })
	defer func() {
		client.SetOutputCurlString(curl)
		client.SetOutputPolicy(policy)
		client.SetWrappingLookupFunc(wrap)
	}()
	secret, err := client.Logical().ReadWithContext(ctx, "sys/internal/ui/mounts/"+path)
	return secret, err // the error is the API's own text: nothing was attempted yet that could be named
}

// isStatus tells that the server answered with one of the codes.
func isStatus(err error, codes ...int) bool {
	var refused *api.ResponseError
	return errors.As(err, &refused) && slices.Contains(codes, refused.StatusCode)
}

// kvSection is one titled table of a KV secret.
type kvSection struct {
	title string
	data  map[string]any
}

// kvText lays out the path and sections of a secret, each under a centred heading.
func kvText(pathTitle, path string, sections ...kvSection) string {
	var parts []string
	if path != "" {
		parts = append(parts, heading(pathTitle, len(path))+"\n"+path)
	}
	for _, s := range sections {
		width := len("Key")
		for key := range s.data {
			width = max(width, len([]rune(key)))
		}
		parts = append(parts, heading(s.title, width+len("    Value"))+"\n"+rawTable(s.data))
	}
	return strings.Join(parts, "\n\n")
}

// rawTable is mapTable without readable durations: what a person stored is shown as it is.
func rawTable(data map[string]any) string {
	rows := make([]string, 0, len(data))
	for _, key := range sortedKeys(data) {
		rows = append(rows, row(key, data[key]))
	}
	return keyValue(rows...)
}

// versions reads the -versions flag.
func versions(texts list) ([]int, error) {
	numbers := make([]int, 0, len(texts))
	for _, text := range texts {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return nil, usagef("Invalid version %q: versions are whole numbers from 1", text)
		}
		numbers = append(numbers, n)
	}
	return numbers, nil
}

// kvRequest is the body of a command that works on one secret.
type kvRequest func(ctx context.Context, c *call, client *api.Client, target kvTarget) error

// on resolves the first argument and hands it to the body.
func (r kvRequest) on(mount *string) action {
	return request(func(ctx context.Context, c *call, client *api.Client) error {
		target, err := c.kvTarget(ctx, client, *mount, c.args[0])
		if err != nil {
			return err
		}
		return r(ctx, c, client, target)
	}).action()
}

func kvEnableVersioningCommand() *command {
	return &command{
		name: "enable-versioning", synopsis: "Turn on versioning",
		usage: "[options] MOUNT", min: 1, max: 1, output: plain,
		help: "Makes the version 1 engine at a path a version 2 engine, which keeps old versions. There is no way back.",
		setup: noFlags(func(ctx context.Context, c *call, client *api.Client) error {
			path := mountPath(c.args[0])
			change := api.TuneMountConfigInput{Options: &map[string]string{"version": "2"}}
			if err := client.Sys().TuneMountAllowNilWithContext(ctx, cleanPath(path), change); err != nil {
				return apiError("Error tuning secrets engine "+path, err)
			}
			c.printf("Success! Tuned the secrets engine at: %s", path)
			return nil
		}),
	}
}

func kvListCommand() *command {
	return &command{
		name: "list", synopsis: "List data or secrets",
		usage: "[options] PATH", max: 1, output: formatted,
		help: `
Lists the keys below a path. A key with a slash at its end has more below it. Values are not shown.

    $ {cmd} -mount=secret apps/`,
		setup: func(f *flag.FlagSet) action {
			var mount string
			var p page
			mountFlag(f, &mount)
			p.declare(f)
			return request(func(ctx context.Context, c *call, client *api.Client) error {
				arg := ""
				if len(c.args) > 0 {
					arg = c.args[0]
				} else if mount == "" {
					return usagef("Not enough arguments (expected 1, got 0)")
				}
				target, err := c.kvTarget(ctx, client, mount, arg)
				if err != nil {
					return err
				}
				path := target.path("metadata")
				secret, err := p.list(ctx, client, path)
				if err != nil {
					return apiError("Error listing "+path, err)
				}
				return c.printKeys(secret, path)
			}).action()
		},
	}
}

func kvGetCommand() *command {
	return &command{
		name: "get", synopsis: "Retrieve data",
		usage: "[options] KEY", min: 1, max: 1, output: fielded,
		help: `
Prints a secret. -field prints one value alone, -version an older one.

    $ {cmd} -mount=secret app
    $ {cmd} -mount=secret -field=password app`,
		setup: func(f *flag.FlagSet) action {
			var mount string
			var version int
			mountFlag(f, &mount)
			f.IntVar(&version, "version", 0, "Version to print. The default is the current one.")
			return kvRequest(func(ctx context.Context, c *call, client *api.Client, target kvTarget) error {
				path := target.path("data")
				var query map[string][]string
				if target.v2 && version > 0 {
					query = map[string][]string{"version": {strconv.Itoa(version)}}
				}
				secret, err := client.Logical().ReadWithDataWithContext(ctx, path, query)
				if err != nil {
					return apiError("Error reading "+path, err)
				}
				if secret == nil {
					return answerf("No value found at %s", path)
				}
				return c.printKVSecret(secret, target)
			}).on(&mount)
		},
	}
}

// printKVSecret prints the answer to kv get.
func (c *call) printKVSecret(secret *api.Secret, target kvTarget) error {
	if secret.WrapInfo != nil {
		return c.printSecret(secret)
	}
	data, path := secret.Data, ""
	if target.v2 {
		data, _ = secret.Data["data"].(map[string]any)
		path = target.path("data")
	}
	if c.options.field != "" {
		if target.v2 && data == nil {
			return answerf("No data found at %s", path)
		}
		return c.printField(&api.Secret{Data: data}, c.options.field)
	}
	c.warnings(secret.Warnings)
	return c.print(secret, func() string {
		var sections []kvSection
		if metadata, ok := secret.Data["metadata"].(map[string]any); target.v2 && ok {
			sections = append(sections, kvSection{"Metadata", metadata})
		}
		if data != nil { // a deleted version has metadata only
			sections = append(sections, kvSection{"Data", data})
		}
		return kvText("Secret Path", path, sections...)
	})
}

// notAllowed are the answers of a server, or of a policy, that does not take PATCH.
func notAllowed(err error) bool {
	return isStatus(err, http.StatusForbidden, http.StatusMethodNotAllowed)
}
