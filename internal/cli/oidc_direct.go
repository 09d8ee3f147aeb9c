package cli

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/url"
	"slices"
	"time"

	"github.com/hashicorp/vault/api"
)

// direct logs in by a browser that may be on another machine: the provider sends it to the server, which is asked for the outcome.
func (f *oidcLogin) direct(ctx context.Context, c *call, o oidcOptions) (*api.Secret, error) {
	server, err := url.Parse(f.client.Address())
	if err != nil {
		return nil, usagef("the server's address is no URL: %w", err)
	}
	host, port := cmp.Or(o.host, server.Hostname()), cmp.Or(o.callbackPort, server.Port())
	if port != "" {
		host = net.JoinHostPort(host, port)
	}
	// The browser sends no header, so the namespace is in the path.
	callback := url.URL{Scheme: cmp.Or(o.scheme, server.Scheme), Host: host, Path: "/v1/" + namespacePath(f.client) + f.path + "callback"}
	where, interval, err := f.begin(ctx, o.role, callback.String())
	if err != nil {
		return nil, err
	}
	if interval == 0 {
		return nil, usagef("the role is not for logins in direct mode: leave callbackmode out, or set callback_mode=direct on it")
	}
	f.open(ctx, c, where, o.skipBrowser)
	return f.poll(ctx, interval)
}

func namespacePath(client *api.Client) string {
	if ns := cleanPath(client.Namespace()); ns != "" {
		return ns + "/"
	}
	return ""
}

// poll asks the server until the login has ended.
func (f *oidcLogin) poll(ctx context.Context, interval time.Duration) (*api.Secret, error) {
	ctx, cancel := context.WithTimeout(ctx, oidcPatience)
	defer cancel()
	for {
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return nil, answerf("Timed out waiting for response from provider")
			}
			return nil, ctx.Err()
		case <-time.After(interval):
		}
		secret, err := f.client.Logical().WriteWithContext(ctx, f.path+"poll", map[string]any{"state": f.state, "client_nonce": f.clientNonce})
		refused, ok := errors.AsType[*api.ResponseError](err)
		switch {
		case ok && slices.Contains(refused.Errors, "authorization_pending"):
		case ok && slices.Contains(refused.Errors, "slow_down"):
			interval += time.Second
		default:
			return secret, err
		}
	}
}
