package cli

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/hashicorp/hcl/hcl/printer"

	"github.com/hashicorp/vault/api"
)

func policyGroup() *command {
	return &command{
		name: "policy", synopsis: "Interact with policies",
		help: "Policies say which paths a token may use, and how.",
		sub: []*command{
			policyDeleteCommand(), policyFmtCommand(), policyListCommand(), policyReadCommand(), policyWriteCommand(),
		},
	}
}

func policyName(arg string) string { return strings.TrimSpace(strings.ToLower(arg)) }

func policyWriteCommand() *command {
	return &command{
		name: "write", synopsis: "Upload a named policy from a file",
		usage: "[options] NAME PATH", min: 2, max: 2, output: plain,
		help: `
Stores a policy under a name, in place of any that was there. PATH is a file, or "-" for stdin:

    $ {cmd} my-policy - <<EOF
    path "secret/data/app" {
      capabilities = ["read"]
    }
    EOF`,
		setup: noFlags(func(ctx context.Context, c *call, client *api.Client) error {
			name := policyName(c.args[0])
			rules, err := c.fileOrStdin(c.args[1])
			if err != nil {
				return usagef("Error reading policy: %w", err)
			}
			if err := client.Sys().PutPolicyWithContext(ctx, name, rules); err != nil {
				return apiError("Error uploading policy", err)
			}
			c.printf("Success! Uploaded policy: %s", name)
			return nil
		}),
	}
}

func (c *call) fileOrStdin(path string) (string, error) {
	if path == "-" {
		content, err := io.ReadAll(c.Stdin)
		return string(content), err
	}
	content, err := os.ReadFile(path)
	return string(content), err
}

func policyReadCommand() *command {
	return &command{
		name: "read", synopsis: "Print the contents of a policy",
		usage: "[options] NAME", min: 1, max: 1, output: formatted,
		help: "Prints the rules of a policy.",
		setup: noFlags(func(ctx context.Context, c *call, client *api.Client) error {
			name := policyName(c.args[0])
			rules, err := client.Sys().GetPolicyWithContext(ctx, name)
			if err != nil {
				return apiError(fmt.Sprintf("Error reading policy named %s", name), err)
			}
			if rules == "" {
				return answerf("No policy named: %s", name)
			}
			return c.print(map[string]string{"policy": rules}, func() string { return strings.TrimSpace(rules) })
		}),
	}
}

func policyListCommand() *command {
	return &command{
		name: "list", synopsis: "List the names of the policies",
		usage: "[options]", output: formatted,
		help: "Lists the names of the policies on the server.",
		setup: noFlags(func(ctx context.Context, c *call, client *api.Client) error {
			names, err := client.Sys().ListPoliciesWithContext(ctx)
			if err != nil {
				return apiError("Error listing policies", err)
			}
			return c.print(names, func() string { return strings.Join(names, "\n") })
		}),
	}
}

func policyDeleteCommand() *command {
	return &command{
		name: "delete", synopsis: "Delete a policy by name",
		usage: "[options] NAME", min: 1, max: 1, output: plain,
		help: "Deletes a policy. Tokens that had it lose what it allowed at once. It is no error if it was not there.",
		setup: noFlags(func(ctx context.Context, c *call, client *api.Client) error {
			name := policyName(c.args[0])
			if err := client.Sys().DeletePolicyWithContext(ctx, name); err != nil {
				return apiError(fmt.Sprintf("Error deleting %s", name), err)
			}
			c.printf("Success! Deleted policy: %s", name)
			return nil
		}),
	}
}

func policyFmtCommand() *command {
	return &command{
		name: "fmt", synopsis: "Format a policy file",
		usage: "PATH", min: 1, max: 1, output: local,
		help: "Rewrites a policy file in the usual layout. Nothing is sent to a server.",
		setup: func(*flag.FlagSet) action {
			return func(_ context.Context, c *call) error {
				path := c.args[0]
				content, err := os.ReadFile(path)
				if err != nil {
					return usagef("Error reading policy file: %w", err)
				}
				formatted, err := printer.Format(content)
				if err != nil {
					return usagef("Error formatting policy file %s: %w", path, err)
				}
				if err := os.WriteFile(path, formatted, 0o644); err != nil {
					return usagef("Error writing policy file: %w", err)
				}
				c.printf("Success! Formatted policy: %s", path)
				return nil
			}
		},
	}
}
