package cli

import (
	"context"
	"flag"

	"github.com/hashicorp/vault/api"
)

func unwrapCommand() *command {
	return &command{
		name: "unwrap", synopsis: "Unwrap a wrapped secret",
		usage: "[options] [TOKEN]", min: 0, max: 1, output: fielded,
		help: `
Prints what a wrapping token stands for, which is then gone. Without an argument the token in use is the wrapping
token. With one, no other token is needed:

    $ {program} kv get -wrap-ttl=5m -field=wrapping_token secret/app
    $ {cmd} hvs.CAES...`,
		setup: func(*flag.FlagSet) action { return runUnwrap },
	}
}

func runUnwrap(ctx context.Context, c *call) error {
	var client *api.Client
	var err error
	wrapping := ""
	if len(c.args) == 1 {
		// The wrapping token stands for itself: the token in use may have expired, or may not unwrap.
		wrapping = c.args[0]
		client, err = c.bareClient()
	} else {
		client, err = c.client()
	}
	if err != nil {
		return err
	}
	client.SetWrappingLookupFunc(func(_, _ string) string { return "" }) // or VAULT_WRAP_TTL would wrap it again
	secret, err := client.Logical().UnwrapWithContext(ctx, wrapping)
	if err != nil {
		return apiError("Error unwrapping", err)
	}
	if secret == nil {
		return answerf("Could not find wrapped response")
	}
	return c.printSecret(secret)
}
