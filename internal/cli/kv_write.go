package cli

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"strconv"

	"github.com/hashicorp/vault/api"
)

func kvPutCommand() *command {
	return &command{
		name: "put", synopsis: "Set or update data",
		usage: "[options] KEY [DATA]", min: 1, max: -1, output: fielded,
		help: `
Stores a secret in place of the one that was there; version 2 keeps that as an older version. Data is written
as for "{program} write": key=value, key=@file, key=-, @file.json, or "-" for JSON on stdin.

    $ {cmd} -mount=secret app username=ada password=s3cret
    $ {cmd} -mount=secret app @app.json`,
		setup: func(f *flag.FlagSet) action {
			var mount string
			var cas int
			mountFlag(f, &mount)
			casFlag(f, &cas)
			return kvRequest(func(ctx context.Context, c *call, client *api.Client, target kvTarget) error {
				data, err := c.kvData()
				if err != nil {
					return err
				}
				path := target.path("data")
				if target.v2 {
					data = versioned(data, cas)
				}
				secret, err := client.Logical().WriteWithContext(ctx, path, data)
				if err != nil {
					return apiError("Error writing data to "+path, err)
				}
				return c.kvWritten(secret, path)
			}).on(&mount)
		},
	}
}

func casFlag(f *flag.FlagSet, cas *int) {
	f.IntVar(cas, "cas", -1, "Write only if this is the current version; 0 is only if there is no secret yet. "+
		"It keeps writers from undoing each other. Version 2 only.")
}

// kvData is the data after the key.
func (c *call) kvData() (map[string]any, error) {
	if len(c.args) < 2 {
		return nil, usagef("Must supply data")
	}
	return c.data(1)
}

// versioned is the body of a write to a version 2 engine. A negative cas is none.
func versioned(data map[string]any, cas int) map[string]any {
	options := map[string]any{}
	if cas >= 0 {
		options["cas"] = cas
	}
	return map[string]any{"data": data, "options": options}
}

// kvWritten prints the answer to a write: of version 2 what is known of the new version, of version 1 nothing.
func (c *call) kvWritten(secret *api.Secret, path string) error {
	if secret == nil || secret.WrapInfo != nil || c.options.field != "" {
		return c.written(secret, path)
	}
	c.warnings(secret.Warnings)
	return c.print(secret, func() string {
		return kvText("Secret Path", path, kvSection{"Metadata", secret.Data})
	})
}

func kvPatchCommand() *command {
	return &command{
		name: "patch", synopsis: "Set or update data without overwriting",
		usage: "[options] KEY [DATA]", min: 1, max: -1, output: fielded,
		help: `
Changes the given values of a secret and keeps the others. The result is a new version. Version 2 only.

    $ {cmd} -mount=secret app password=n3w`,
		setup: func(f *flag.FlagSet) action {
			var mount string
			var p kvPatch
			mountFlag(f, &mount)
			casFlag(f, &p.cas)
			f.StringVar(&p.method, "method", "", "How to do it: \"patch\" sends the change alone, \"rw\" reads the secret and writes it whole. "+
				"The default is patch, or rw where that is not allowed.")
			f.Var(&p.remove, "remove-data", "`Key` to remove. May be given more than once.")
			return kvRequest(p.run).on(&mount)
		},
	}
}

type kvPatch struct {
	cas    int
	method string
	remove list
}

func (p *kvPatch) run(ctx context.Context, c *call, client *api.Client, target kvTarget) error {
	if !target.v2 {
		return answerf("KV engine mount must be version 2 for patch support")
	}
	if p.method != "" && p.method != "patch" && p.method != "rw" {
		return usagef("Unsupported method provided to -method flag: %s (valid: patch, rw)", p.method)
	}
	data, err := c.data(1)
	if err != nil {
		return err
	}
	if len(data) == 0 && len(p.remove) == 0 {
		return usagef("Must supply data")
	}
	path := target.path("data")
	secret, err := p.send(ctx, c, client, path, data)
	if err != nil {
		return apiError("Error writing data to "+path, err)
	}
	if secret == nil {
		return answerf("No value found at %s", path)
	}
	return c.kvWritten(secret, path)
}

func (p *kvPatch) send(ctx context.Context, c *call, client *api.Client, path string, data map[string]any) (*api.Secret, error) {
	if p.method == "rw" {
		return p.readThenWrite(ctx, client, path, data)
	}
	patch := maps.Clone(data)
	for _, key := range p.remove {
		patch[key] = nil
	}
	secret, err := client.Logical().JSONMergePatch(ctx, path, versioned(patch, p.cas))
	if isStatus(err, http.StatusNotFound) {
		return nil, nil
	}
	if p.method == "patch" || !notAllowed(err) {
		return secret, err
	}
	refused := err
	if secret, err = p.readThenWrite(ctx, client, path, data); err != nil {
		return nil, err
	}
	if isStatus(refused, http.StatusForbidden) && secret != nil {
		c.complain(ansiYellow, fmt.Sprintf("Data was written to %s but we recommend that you add the \"patch\" capability "+
			"to your ACL policy in order to use HTTP PATCH in the future.", path))
	}
	return secret, nil
}

// readThenWrite does what PATCH does. The version that was read guards the write, so that a write between the
// two is not lost.
func (p *kvPatch) readThenWrite(ctx context.Context, client *api.Client, path string, data map[string]any) (*api.Secret, error) {
	current, version, err := readVersion(ctx, client, path, 0)
	if err != nil || current == nil {
		return nil, err
	}
	if p.cas >= 0 {
		version = p.cas
	}
	merged := maps.Clone(current)
	maps.Copy(merged, data)
	for _, key := range p.remove {
		delete(merged, key)
	}
	return client.Logical().WriteWithContext(ctx, path, versioned(merged, version))
}

// readVersion reads the data and number of one version; 0 is the current one. The data is nil if the version
// is deleted or was never there.
func readVersion(ctx context.Context, client *api.Client, path string, n int) (data map[string]any, version int, err error) {
	var query map[string][]string
	if n > 0 {
		query = map[string][]string{"version": {strconv.Itoa(n)}}
	}
	secret, err := client.Logical().ReadWithDataWithContext(ctx, path, query)
	if err != nil || secret == nil {
		return nil, 0, err
	}
	data, _ = secret.Data["data"].(map[string]any)
	metadata, _ := secret.Data["metadata"].(map[string]any)
	number, _ := metadata["version"].(json.Number)
	parsed, err := number.Int64()
	if err != nil {
		return nil, 0, fmt.Errorf("the server's answer tells no version number")
	}
	return data, int(parsed), nil
}

func kvRollbackCommand() *command {
	return &command{
		name: "rollback", synopsis: "Roll back to a previous version of data",
		usage: "[options] KEY", min: 1, max: 1, output: fielded,
		help: `
Stores an older version again as the newest one. Version 2 only.

    $ {cmd} -mount=secret -version=2 app`,
		setup: func(f *flag.FlagSet) action {
			var mount string
			var version int
			mountFlag(f, &mount)
			f.IntVar(&version, "version", 0, "Version to store again.")
			return kvRequest(func(ctx context.Context, c *call, client *api.Client, target kvTarget) error {
				if version < 1 {
					return usagef("Version flag must be specified: -version=N, with N from 1")
				}
				if err := target.requireV2("Rollback"); err != nil {
					return err
				}
				return c.rollback(ctx, client, target.path("data"), version)
			}).on(&mount)
		},
	}
}

func (c *call) rollback(ctx context.Context, client *api.Client, path string, version int) error {
	_, current, err := readVersion(ctx, client, path, 0)
	if err != nil {
		return apiError("Error doing pre-read at "+path, err)
	}
	if current == 0 {
		return answerf("No value found at %s", path)
	}
	old, found, err := readVersion(ctx, client, path, version)
	if err != nil {
		return apiError("Error doing pre-read at "+path, err)
	}
	switch {
	case found == 0:
		return answerf("No value found at %s for version %d", path, version)
	case old == nil:
		return answerf("Version %d of %s is deleted or destroyed: there is nothing to roll back to", version, path)
	}
	secret, err := client.Logical().WriteWithContext(ctx, path, versioned(old, current))
	if err != nil {
		return apiError("Error writing data to "+path, err)
	}
	if secret == nil {
		return answerf("The server told nothing of the new version at %s", path)
	}
	return c.printSecret(secret)
}
