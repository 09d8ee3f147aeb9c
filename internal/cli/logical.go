package cli

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/hashicorp/vault/api"
)

func readCommand() *command {
	return &command{
		name: "read", synopsis: "Read data and retrieve secrets",
		usage: "[options] PATH [key=value...]", min: 1, max: -1, output: fielded,
		help: `
Reads from any path of the server: a secret, credentials made on demand, the configuration of an engine. The
arguments after the path are sent as query parameters.

    $ {cmd} auth/kubernetes/role/my-role`,
		setup: func(*flag.FlagSet) action { return runRead },
	}
}

func runRead(ctx context.Context, c *call) error {
	path := cleanPath(c.args[0])
	query, err := c.query(1)
	if err != nil {
		return err
	}
	client, err := c.client()
	if err != nil {
		return err
	}
	if c.options.format == "raw" && c.options.field == "" {
		return c.readRaw(ctx, client, path, query)
	}
	secret, err := client.Logical().ReadWithDataWithContext(ctx, path, query)
	if err != nil {
		return apiError("Error reading "+path, err)
	}
	if secret == nil {
		return answerf("No value found at %s", path)
	}
	return c.printSecret(secret)
}

// readRaw prints the body as the server sent it.
func (c *call) readRaw(ctx context.Context, client *api.Client, path string, query map[string][]string) error {
	resp, err := client.Logical().ReadRawWithDataWithContext(ctx, path, query)
	if resp != nil {
		defer resp.Body.Close()
	}
	if err != nil {
		return apiError("Error reading "+path, err)
	}
	if _, err := io.Copy(c.Stdout, resp.Body); err != nil {
		return apiError("Error reading "+path, err)
	}
	return nil
}

// query parses the arguments after the first n as query parameters, or nil if there are none.
func (c *call) query(n int) (map[string][]string, error) {
	data, err := c.data(n)
	if err != nil || len(data) == 0 {
		return nil, err
	}
	query := make(map[string][]string, len(data))
	for key, value := range data {
		values, isList := value.([]any)
		if !isList {
			values = []any{value}
		}
		for _, v := range values {
			query[key] = append(query[key], fmt.Sprint(v))
		}
	}
	return query, nil
}

func writeCommand() *command {
	return &command{
		name: "write", synopsis: "Write data, configuration, and secrets",
		usage: "[options] PATH [DATA K=V...]", min: 1, max: -1, output: fielded,
		help: `
Writes to any path of the server. Data is key=value; "key=@file" takes a file's contents, "key=-" stdin's,
"@file" and "-" a whole JSON object. A key given twice is a list. "\@" begins a value with an @.

    $ {cmd} auth/kubernetes/role/my-role bound_service_account_names=app policies=app ttl=1h`,
		setup: func(f *flag.FlagSet) action {
			var force bool
			f.BoolVar(&force, "force", false, "Write even with no data, which some paths take as a request to act. The short form is -f.")
			f.BoolVar(&force, "f", false, "")
			return func(ctx context.Context, c *call) error { return runWrite(ctx, c, force) }
		},
	}
}

func runWrite(ctx context.Context, c *call, force bool) error {
	path := cleanPath(c.args[0])
	if len(c.args) == 1 && !force {
		return usagef("Must supply data or use -force")
	}
	data, err := c.data(1)
	if err != nil {
		return err
	}
	client, err := c.client()
	if err != nil {
		return err
	}
	secret, err := client.Logical().WriteWithContext(ctx, path, data)
	if err != nil {
		return apiError("Error writing data to "+path, err)
	}
	return c.written(secret, path)
}

// written prints the answer to a write, which is often nothing but success.
func (c *call) written(secret *api.Secret, path string) error {
	if secret == nil {
		if c.options.field != "" {
			return usagef("Field %q not present: the server answered with no data", c.options.field)
		}
		c.success("Data written to: %s", path)
		return nil
	}
	if secret.Auth == nil && secret.WrapInfo == nil && len(secret.Data) == 0 && c.isTable() && c.options.field == "" {
		c.success("Data written to: %s", path)
		c.warnings(secret.Warnings)
		return nil
	}
	return c.printSecret(secret)
}

func patchCommand() *command {
	return &command{
		name: "patch", synopsis: "Patch data, configuration, and secrets",
		usage: "[options] PATH [DATA K=V...]", min: 1, max: -1, output: fielded,
		help: `
Changes the given keys of what a path holds and keeps the rest (JSON merge patch). Data is written as for
"{program} write".

    $ {cmd} pki/roles/example allow_localhost=false`,
		setup: func(f *flag.FlagSet) action {
			var force bool
			f.BoolVar(&force, "force", false, "Send the patch even with no data. The short form is -f.")
			f.BoolVar(&force, "f", false, "")
			return func(ctx context.Context, c *call) error {
				path := cleanPath(c.args[0])
				if len(c.args) == 1 && !force {
					return usagef("Must supply data or use -force")
				}
				data, err := c.data(1)
				if err != nil {
					return err
				}
				client, err := c.client()
				if err != nil {
					return err
				}
				secret, err := client.Logical().JSONMergePatch(ctx, path, data)
				if err != nil {
					return apiError("Error writing data to "+path, err)
				}
				return c.written(secret, path)
			}
		},
	}
}

func deleteCommand() *command {
	return &command{
		name: "delete", synopsis: "Delete secrets and configuration",
		usage: "[options] PATH [key=value...]", min: 1, max: -1, output: fielded,
		help: `
Deletes what is at a path; what that means is up to the engine there. It is no error if nothing was there.

    $ {cmd} auth/kubernetes/role/my-role`,
		setup: func(*flag.FlagSet) action {
			return func(ctx context.Context, c *call) error {
				path := cleanPath(c.args[0])
				query, err := c.query(1)
				if err != nil {
					return err
				}
				client, err := c.client()
				if err != nil {
					return err
				}
				secret, err := client.Logical().DeleteWithDataWithContext(ctx, path, query)
				if err != nil {
					return apiError("Error deleting "+path, err)
				}
				return c.deleted(secret, path)
			}
		},
	}
}

// deleted prints the answer to a delete.
func (c *call) deleted(secret *api.Secret, path string) error {
	if secret != nil && (len(secret.Data) > 0 || secret.WrapInfo != nil || !c.isTable()) {
		return c.printSecret(secret)
	}
	c.success("Data deleted (if it existed) at: %s", path)
	if secret != nil {
		c.warnings(secret.Warnings)
	}
	return nil
}

func listCommand() *command {
	return &command{
		name: "list", synopsis: "List data or secrets",
		usage: "[options] PATH", min: 1, max: 1, output: formatted,
		help: `
Lists the keys below a path. A key with a slash at its end has more below it.

    $ {cmd} auth/kubernetes/role`,
		setup: func(f *flag.FlagSet) action {
			var p page
			p.declare(f)
			return request(func(ctx context.Context, c *call, client *api.Client) error {
				path := cleanPath(c.args[0])
				secret, err := p.list(ctx, client, path)
				if err != nil {
					return apiError("Error listing "+path, err)
				}
				return c.printKeys(secret, path)
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
		setup: func(f *flag.FlagSet) action {
			var p page
			p.declare(f)
			return request(func(ctx context.Context, c *call, client *api.Client) error {
				path := cleanPath(c.args[0])
				if c.options.policy { // the client library knows of no such capability
					c.printf("path %q {\n  capabilities = [\"scan\"]\n}", path)
					return nil
				}
				secret, err := p.read(ctx, client, path, "scan")
				if err != nil {
					return apiError("Error scanning "+path, err)
				}
				return c.printKeys(secret, path)
			}).action()
		},
	}
}

// page is the part of a list to fetch; the zero page is all of it.
type page struct {
	after string
	limit int
}

func (p *page) declare(f *flag.FlagSet) {
	f.StringVar(&p.after, "after", "", "List only what comes after this key, in their order.")
	f.IntVar(&p.limit, "limit", 0, "List this many keys at most. 0 is all of them.")
}

// list fetches the page of the keys below path; nil is none.
func (p *page) list(ctx context.Context, client *api.Client, path string) (*api.Secret, error) {
	if *p == (page{}) {
		return client.Logical().ListWithContext(ctx, path)
	}
	return p.read(ctx, client, path, "list")
}

// read fetches the page by a GET that is a list, or a scan, in its query.
func (p *page) read(ctx context.Context, client *api.Client, path, verb string) (*api.Secret, error) {
	query := map[string][]string{verb: {"true"}}
	if p.after != "" {
		query["after"] = []string{p.after}
	}
	if p.limit != 0 {
		query["limit"] = []string{strconv.Itoa(p.limit)}
	}
	secret, err := client.Logical().ReadWithDataWithContext(ctx, path, query)
	if isStatus(err, http.StatusNotFound) {
		return nil, nil
	}
	return secret, err
}
