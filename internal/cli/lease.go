package cli

import (
	"context"
	"flag"
	"fmt"
	"strings"

	"github.com/hashicorp/vault/api"
)

func leaseGroup() *command {
	return &command{
		name: "lease", synopsis: "Interact with leases",
		help: "Leases are the time that secrets and tokens were lent for.",
		sub:  []*command{leaseLookupCommand(), leaseRenewCommand(), leaseRevokeCommand()},
	}
}

func leaseLookupCommand() *command {
	return &command{
		name: "lookup", synopsis: "Look up a lease",
		usage: "[options] ID", min: 1, max: 1, output: formatted,
		help: "Prints when a lease was issued, when it ends and whether it can be renewed.",
		setup: noFlags(func(ctx context.Context, c *call, client *api.Client) error {
			secret, err := client.Sys().LookupWithContext(ctx, strings.TrimSpace(c.args[0]))
			if err != nil {
				return apiError(fmt.Sprintf("Error looking up lease id %s", c.args[0]), err)
			}
			return c.printSecret(secret)
		}),
	}
}

func leaseRenewCommand() *command {
	return &command{
		name: "renew", synopsis: "Renew the lease of a secret",
		usage: "[options] ID", min: 1, max: 1, output: formatted,
		help: "Renews a lease, so that the secret stays good for longer.",
		setup: func(f *flag.FlagSet) action {
			var increment ttl
			f.Var(&increment, "increment", "How much longer to ask for. The server may grant less. The short form is -i.")
			f.Var(&increment, "i", "")
			return request(func(ctx context.Context, c *call, client *api.Client) error {
				id := strings.TrimSpace(c.args[0])
				secret, err := client.Sys().RenewWithContext(ctx, id, int(increment.Seconds()))
				if err != nil {
					return apiError("Error renewing "+id, err)
				}
				return c.printSecret(secret)
			}).action()
		},
	}
}

func leaseRevokeCommand() *command {
	return &command{
		name: "revoke", synopsis: "Revoke leases and secrets",
		usage: "[options] ID", min: 1, max: 1, output: plain,
		help: `
Revokes a lease: the secret ceases to be good. -prefix takes the argument as the beginning of many leases.`,
		setup: func(f *flag.FlagSet) action {
			var opts api.RevokeOptions
			f.BoolVar(&opts.Prefix, "prefix", false, "Revoke all leases that begin with ID.")
			f.BoolVar(&opts.Force, "force", false, "With -prefix: forget the leases even if the secrets cannot be revoked. The short form is -f.")
			f.BoolVar(&opts.Force, "f", false, "")
			f.BoolVar(&opts.Sync, "sync", false, "Wait until they are revoked.")
			return request(func(ctx context.Context, c *call, client *api.Client) error {
				opts.LeaseID = strings.TrimSpace(c.args[0])
				if opts.Force && !opts.Prefix {
					return usagef("Specifying -force requires also specifying -prefix")
				}
				if opts.Force {
					c.complain(ansiYellow, "Warning! Force-removing leases can cause Vault to become out of sync with "+
						"secret engines!")
				}
				if err := client.Sys().RevokeWithOptionsWithContext(ctx, &opts); err != nil {
					return apiError(fmt.Sprintf("Error revoking lease %s", opts.LeaseID), err)
				}
				switch {
				case opts.Force:
					c.printf("Success! Force revoked any leases with prefix: %s", opts.LeaseID)
				case !opts.Sync:
					c.println("All revocation operations queued successfully!")
				case opts.Prefix:
					c.printf("Success! Revoked any leases with prefix: %s", opts.LeaseID)
				default:
					c.printf("Success! Revoked lease: %s", opts.LeaseID)
				}
				return nil
			}).action()
		},
	}
}
