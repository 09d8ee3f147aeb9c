package cli

import (
	"context"
	"flag"
	"slices"
	"strings"

	"github.com/hashicorp/vault/api"
)

func tokenGroup() *command {
	return &command{
		name: "token", synopsis: "Interact with tokens",
		help: "Tokens are what every request proves itself with.",
		sub: []*command{
			tokenCapabilitiesCommand(), tokenCreateCommand(), tokenLookupCommand(), tokenRenewCommand(), tokenRevokeCommand(),
		},
	}
}

func tokenCreateCommand() *command {
	return &command{
		name: "create", synopsis: "Create a new token",
		usage: "[options]", output: fielded,
		help: `
Makes a token with some or all of the policies of the token in use. It is revoked together with that one,
unless -orphan parts them.

    $ {cmd} -policy=app -ttl=1h`,
		setup: func(f *flag.FlagSet) action {
			var t tokenCreate
			t.declare(f)
			return request(t.run).action()
		},
	}
}

type tokenCreate struct {
	id, displayName, kind, role, entityAlias string
	lifetime, explicitMax, period            ttl
	renewable, orphan, noDefaultPolicy       bool
	uses                                     int
	metadata                                 pairs
	policies                                 list
}

func (t *tokenCreate) declare(f *flag.FlagSet) {
	f.StringVar(&t.id, "id", "", "The token itself. The default is one made by the server, which is safer.")
	f.StringVar(&t.displayName, "display-name", "", "Name that the audit log shows for it.")
	f.Var(&t.lifetime, "ttl", "How long it lasts unless it is renewed.")
	f.Var(&t.explicitMax, "explicit-max-ttl", "How long it lasts at most, whatever the server's maximum becomes.")
	f.Var(&t.period, "period", "Make it last for this long after every renewal, with no end to the renewals.")
	f.BoolVar(&t.renewable, "renewable", true, "Allow its renewal.")
	f.BoolVar(&t.orphan, "orphan", false, "Give it no parent, so that it outlives the token in use.")
	f.BoolVar(&t.noDefaultPolicy, "no-default-policy", false, "Leave the policy \"default\" out.")
	f.IntVar(&t.uses, "use-limit", 0, "How many requests it is good for. 0 is no limit.")
	f.StringVar(&t.role, "role", "", "Token role to make it with.")
	f.StringVar(&t.kind, "type", "service", "Type of the token: \"service\" or \"batch\".")
	f.Var(&t.metadata, "metadata", "`key=value` that is kept with it and shown in the audit log. May be given more than once.")
	f.Var(&t.policies, "policy", "Policy for it. May be given more than once.")
	f.StringVar(&t.entityAlias, "entity-alias", "", "Alias of the entity it stands for. Only with -role.")
}

func (t *tokenCreate) run(ctx context.Context, c *call, client *api.Client) error {
	opts := &api.TokenCreateRequest{
		ID:              t.id,
		Policies:        t.policies,
		Metadata:        t.metadata,
		TTL:             t.lifetime.text(),
		NoParent:        t.orphan,
		NoDefaultPolicy: t.noDefaultPolicy,
		DisplayName:     t.displayName,
		NumUses:         t.uses,
		Renewable:       &t.renewable,
		ExplicitMaxTTL:  t.explicitMax.text(),
		Period:          t.period.text(),
		Type:            t.kind,
		EntityAlias:     t.entityAlias,
	}
	if t.kind == "batch" && !c.given("renewable") {
		opts.Renewable = nil // a batch token cannot be renewed
	}
	var secret *api.Secret
	var err error
	if t.role != "" {
		secret, err = client.Auth().Token().CreateWithRoleWithContext(ctx, opts, t.role)
	} else {
		secret, err = client.Auth().Token().CreateWithContext(ctx, opts)
	}
	if err != nil {
		return apiError("Error creating token", err)
	}
	return c.printSecret(secret)
}

func tokenLookupCommand() *command {
	return &command{
		name: "lookup", synopsis: "Display information about a token",
		usage: "[options] [TOKEN | ACCESSOR]", max: 1, output: fielded,
		help: "Prints what the server knows of a token: the one in use, or the one given.",
		setup: func(f *flag.FlagSet) action {
			var accessor bool
			f.BoolVar(&accessor, "accessor", false, "Take the argument as an accessor.")
			return request(func(ctx context.Context, c *call, client *api.Client) error {
				token, err := c.tokenArg(ctx, accessor)
				if err != nil {
					return err
				}
				tokens := client.Auth().Token()
				var secret *api.Secret
				switch {
				case accessor:
					secret, err = tokens.LookupAccessorWithContext(ctx, token)
				case token == "":
					secret, err = tokens.LookupSelfWithContext(ctx)
				default:
					secret, err = tokens.LookupWithContext(ctx, token)
				}
				if err != nil {
					return apiError("Error looking up token", err)
				}
				return c.printSecret(secret)
			}).action()
		},
	}
}

// tokenArg is the optional argument of the token commands; "-" reads it from stdin.
func (c *call) tokenArg(ctx context.Context, accessor bool) (string, error) {
	if len(c.args) == 0 {
		if accessor {
			return "", usagef("Not enough arguments with -accessor (expected 1, got 0)")
		}
		return "", nil
	}
	return c.secretArg(ctx, 0, "Token")
}

func tokenRenewCommand() *command {
	return &command{
		name: "renew", synopsis: "Renew a token lease",
		usage: "[options] [TOKEN]", max: 1, output: fielded,
		help: "Renews a token, if it is renewable: the one in use, or the one given.",
		setup: func(f *flag.FlagSet) action {
			var accessor bool
			var increment ttl
			f.BoolVar(&accessor, "accessor", false, "Take the argument as an accessor.")
			f.Var(&increment, "increment", "How much longer to ask for. The server may grant less. The short form is -i.")
			f.Var(&increment, "i", "")
			return request(func(ctx context.Context, c *call, client *api.Client) error {
				token, err := c.tokenArg(ctx, accessor)
				if err != nil {
					return err
				}
				tokens, seconds := client.Auth().Token(), int(increment.Seconds())
				var secret *api.Secret
				switch {
				case accessor:
					secret, err = tokens.RenewAccessorWithContext(ctx, token, seconds)
				case token == "":
					secret, err = tokens.RenewSelfWithContext(ctx, seconds)
				default:
					secret, err = tokens.RenewWithContext(ctx, token, seconds)
				}
				if err != nil {
					return apiError("Error renewing token", err)
				}
				return c.printSecret(secret)
			}).action()
		},
	}
}

func tokenRevokeCommand() *command {
	return &command{
		name: "revoke", synopsis: "Revoke a token and its children",
		usage: "[options] [TOKEN | ACCESSOR]", max: 1, output: plain,
		help: `
Revokes a token, the tokens made with it, and all they were lent. -mode=orphan spares the tokens made with it;
-mode=path revokes the tokens made at a path such as auth/userpass/login/ada.`,
		setup: func(f *flag.FlagSet) action {
			var accessor, self bool
			var mode string
			f.BoolVar(&accessor, "accessor", false, "Take the argument as an accessor.")
			f.BoolVar(&self, "self", false, "Revoke the token in use.")
			f.StringVar(&mode, "mode", "", "\"orphan\" or \"path\", as explained above.")
			return request(func(ctx context.Context, c *call, client *api.Client) error {
				return runTokenRevoke(ctx, c, client, accessor, self, mode)
			}).action()
		},
	}
}

func runTokenRevoke(ctx context.Context, c *call, client *api.Client, accessor, self bool, mode string) error {
	switch {
	case self && len(c.args) > 0:
		return usagef("Too many arguments with -self (expected 0, got %d)", len(c.args))
	case !self && len(c.args) == 0:
		return usagef("Not enough arguments (expected 1 or -self, got 0)")
	case self && accessor:
		return usagef("Cannot use -self with -accessor")
	case self && mode != "":
		return usagef("Cannot use -self with -mode")
	case accessor && mode != "":
		return usagef("Cannot use -accessor with -mode")
	case mode != "" && mode != "orphan" && mode != "path":
		return usagef("Invalid mode: %s (valid: orphan, path)", mode)
	}
	token, err := c.tokenArg(ctx, accessor)
	if err != nil {
		return err
	}
	tokens := client.Auth().Token()
	switch {
	case self:
		err = tokens.RevokeSelfWithContext(ctx, "")
	case accessor:
		err = tokens.RevokeAccessorWithContext(ctx, token)
	case mode == "orphan":
		err = tokens.RevokeOrphanWithContext(ctx, token)
	case mode == "path":
		err = client.Sys().RevokePrefixWithContext(ctx, token)
	default:
		err = tokens.RevokeTreeWithContext(ctx, token)
	}
	if err != nil {
		return apiError("Error revoking token", err)
	}
	c.println("Success! Revoked token (if it existed)")
	return nil
}

func tokenCapabilitiesCommand() *command {
	return &command{
		name: "capabilities", synopsis: "Print capabilities of a token on a path",
		usage: "[options] [TOKEN | ACCESSOR] PATH", min: 1, max: 2, output: formatted,
		help: `
Prints what a token may do on a path: the one in use, or the one given.

    $ {cmd} secret/data/app`,
		setup: func(f *flag.FlagSet) action {
			var accessor bool
			f.BoolVar(&accessor, "accessor", false, "Take the first argument as an accessor.")
			return request(func(ctx context.Context, c *call, client *api.Client) error {
				path := cleanPath(c.args[len(c.args)-1])
				var capabilities []string
				var err error
				switch {
				case accessor && len(c.args) < 2:
					return usagef("Not enough arguments with -accessor (expected 2, got 1)")
				case accessor:
					capabilities, err = client.Sys().CapabilitiesAccessorWithContext(ctx, c.args[0], path)
				case len(c.args) == 2:
					capabilities, err = client.Sys().CapabilitiesWithContext(ctx, c.args[0], path)
				default:
					capabilities, err = client.Sys().CapabilitiesSelfWithContext(ctx, path)
				}
				if err != nil {
					return apiError("Error listing capabilities", err)
				}
				if len(capabilities) == 0 {
					return answerf("No capabilities found")
				}
				slices.Sort(capabilities)
				return c.print(capabilities, func() string { return strings.Join(capabilities, ", ") })
			}).action()
		},
	}
}
