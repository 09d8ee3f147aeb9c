package cli

import (
	"context"
	"flag"
	"fmt"
	"strings"

	"github.com/hashicorp/vault/api"
)

func loginCommand() *command {
	return &command{
		name: "login", synopsis: "Authenticate locally",
		usage: "[options] [AUTH K=V...]", max: -1, output: fielded,
		help: `
Authenticates and keeps the token in ~/.vault-token for the commands that follow. By default the proof is a
token: as the argument, from stdin ("-"), or typed.

    $ {cmd}
    Token (will be hidden):

Other methods are named by -method and take key=value. userpass and ldap ask for a missing password; oidc opens
a browser, and awaits its answer at localhost:8250 (or port=NUMBER; skip_browser=true only shows the link).

    $ {cmd} -method=userpass username=ada
    $ {cmd} -method=cert -client-cert=cert.pem -client-key=key.pem name=web
    $ {cmd} -method=oidc role=dev
    $ {cmd} -method=kubernetes role=app jwt=@/var/run/secrets/kubernetes.io/serviceaccount/token`,
		setup: func(f *flag.FlagSet) action {
			var l login
			f.StringVar(&l.method, "method", "token", "Type of auth method, such as \"userpass\" or \"kubernetes\".")
			f.StringVar(&l.path, "path", "", "Path where the method is enabled, if that is not its type.")
			f.BoolVar(&l.noStore, "no-store", false, "Do not keep the token; print it only.")
			f.BoolVar(&l.noPrint, "no-print", false, "Do not print the token; keep it only.")
			f.BoolVar(&l.tokenOnly, "token-only", false, "Print the token alone, and do not keep it.")
			return func(ctx context.Context, c *call) error { return l.run(ctx, c) }
		},
	}
}

type login struct {
	method, path                string
	noStore, noPrint, tokenOnly bool
}

func (l *login) run(ctx context.Context, c *call) error {
	l.path = cleanPath(strings.TrimPrefix(cleanPath(l.path), "auth/"))
	if l.path == "" {
		l.path = l.method
	}
	if l.tokenOnly {
		l.noStore = true
		c.options.field = "token"
	}
	if l.noStore && l.noPrint {
		return usagef("Can't use -no-print together with -no-store or -token-only: the token would be lost")
	}
	client, err := c.bareClient()
	if err != nil {
		return err
	}
	secret, err := l.authenticate(ctx, c, client)
	if err != nil {
		return err
	}
	if secret, err = l.unwrap(ctx, client, secret); err != nil {
		return err
	}
	return l.finish(c, secret)
}

func (l *login) authenticate(ctx context.Context, c *call, client *api.Client) (*api.Secret, error) {
	var secret *api.Secret
	var err error
	switch l.method {
	case "token":
		secret, err = l.withToken(ctx, c, client)
	case "oidc":
		secret, err = l.withOIDC(ctx, c, client)
	default:
		secret, err = l.withMethod(ctx, c, client)
	}
	if err != nil {
		return nil, apiError("Error authenticating", err)
	}
	if secret == nil {
		return nil, answerf("Vault returned an empty secret")
	}
	return secret, nil
}

// withToken looks the token up with itself, which proves that it is valid.
func (l *login) withToken(ctx context.Context, c *call, client *api.Client) (*api.Secret, error) {
	token, err := l.givenToken(ctx, c)
	if err != nil {
		return nil, err
	}
	client.SetToken(token)
	secret, err := client.Auth().Token().LookupSelfWithContext(ctx)
	switch {
	case described(err):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("error looking up token: %w", err)
	case secret == nil:
		return nil, nil
	}
	return tokenAsAuth(secret, token)
}

func (l *login) givenToken(ctx context.Context, c *call) (string, error) {
	switch {
	case len(c.args) > 1:
		return "", usagef("Too many arguments (expected 0-1, got %d)", len(c.args))
	case len(c.args) == 1 && strings.HasPrefix(c.args[0], "token="):
		data, err := c.data(0)
		if err != nil {
			return "", err
		}
		token, _ := data["token"].(string)
		return strings.TrimSpace(token), nil
	}
	return c.secretArg(ctx, 0, "Token")
}

// tokenAsAuth puts a lookup's answer in the form in which methods return a new token.
func tokenAsAuth(secret *api.Secret, token string) (*api.Secret, error) {
	accessor, err := secret.TokenAccessor()
	if err != nil {
		return nil, err
	}
	remaining, err := secret.TokenTTL()
	if err != nil {
		return nil, err
	}
	renewable, err := secret.TokenIsRenewable()
	if err != nil {
		return nil, err
	}
	own := texts(secret.Data["policies"])
	identity := texts(secret.Data["identity_policies"])
	return &api.Secret{
		RequestID: secret.RequestID,
		Warnings:  secret.Warnings,
		Auth: &api.SecretAuth{
			ClientToken:      token,
			Accessor:         accessor,
			Policies:         append(append([]string{}, own...), identity...),
			TokenPolicies:    own,
			IdentityPolicies: identity,
			Renewable:        renewable,
			LeaseDuration:    int(remaining.Seconds()),
		},
	}, nil
}

func texts(value any) []string {
	values, _ := value.([]any)
	list := make([]string, 0, len(values))
	for _, v := range values {
		list = append(list, fmt.Sprint(v))
	}
	return list
}

// withMethod writes the arguments to the login path of the method.
func (l *login) withMethod(ctx context.Context, c *call, client *api.Client) (*api.Secret, error) {
	data, err := c.data(0)
	if err != nil {
		return nil, err
	}
	path := "auth/" + l.path + "/login"
	switch l.method {
	case "userpass", "ldap", "okta", "radius":
		username, _ := data["username"].(string)
		if username == "" && l.method == "ldap" {
			username = c.env("USER") // a directory usually knows people by their login name
		}
		if username == "" {
			return nil, usagef("'username' must be specified: add username=NAME")
		}
		delete(data, "username")
		if _, given := data["password"]; !given {
			if data["password"], err = c.secretInput(ctx, "Password"); err != nil {
				return nil, err
			}
		}
		path += "/" + username
	}
	return client.Logical().WriteWithContext(ctx, path, data)
}

// unwrap opens a wrapped token, since a wrapped one could not be kept, unless the wrapping is what was wanted.
func (l *login) unwrap(ctx context.Context, client *api.Client, secret *api.Secret) (*api.Secret, error) {
	if secret.WrapInfo == nil || l.noStore {
		return secret, nil
	}
	client.SetWrappingLookupFunc(func(_, _ string) string { return "" })
	client.SetToken("")
	secret, err := client.Logical().UnwrapWithContext(ctx, secret.WrapInfo.Token)
	if err != nil {
		return nil, apiError("Error unwrapping the token", err)
	}
	if secret == nil {
		return nil, answerf("Vault returned an empty secret")
	}
	return secret, nil
}

func (l *login) finish(c *call, secret *api.Secret) error {
	if secret.Auth == nil && secret.WrapInfo == nil {
		return answerf("Vault returned no auth info: the path auth/%s/login gave no token", l.path)
	}
	if l.tokenOnly && secret.WrapInfo != nil {
		c.options.field = "wrapping_token"
	}
	stored := false
	if !l.noStore && secret.Auth != nil && secret.Auth.ClientToken != "" {
		keeper, err := c.tokenKeeper()
		if err != nil {
			return err
		}
		if err := keeper.write(secret.Auth.ClientToken); err != nil {
			return usagef("Error storing token: %w\n\nAuthentication was successful, but the token was not persisted. "+
				"The resulting token\nis not shown; log in again with -no-store to see it.", err)
		}
		stored = true
		if c.env(api.EnvVaultToken) != "" {
			c.complain(ansiYellow, "WARNING! The VAULT_TOKEN environment variable is set! The value of this\n"+
				"variable will take precedence; if this is unwanted please unset VAULT_TOKEN or\n"+
				"update its value accordingly.\n")
		}
	}
	if l.noPrint {
		return nil
	}
	if c.isTable() && c.options.field == "" && secret.Auth != nil && secret.Auth.MFARequirement == nil {
		c.println(loginText(stored))
	}
	return c.printSecret(secret)
}

func loginText(stored bool) string {
	if stored {
		return "Success! You are now authenticated. The token information displayed below\n" +
			"is already stored in the token helper. You do NOT need to run \"vault login\"\n" +
			"again. Future Vault requests will automatically use this token.\n"
	}
	return "Success! You are now authenticated. The token was not stored in token helper.\n" +
		"Set the VAULT_TOKEN environment variable or pass the token below with each\n" +
		"request to Vault.\n"
}
