package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/coder/websocket"
	"github.com/hashicorp/vault/api"
)

func eventsGroup() *command {
	return &command{
		name: "events", synopsis: "Follow what changes",
		help: "The server tells of changes as they happen.",
		sub:  []*command{eventsSubscribeCommand()},
	}
}

func eventsSubscribeCommand() *command {
	return &command{
		name: "subscribe", synopsis: "Print events as they happen",
		usage: "[options] TYPE", min: 1, max: 1, output: plain,
		help: `
Prints every event of a type, one line of JSON each, until it is interrupted. In TYPE, "*" stands for any text.

  $ {cmd} 'kv-v2/data-*'
  $ {cmd} -filter='data_path == secret/data/app' 'kv*'

It takes a policy that lets the token read sys/events/subscribe/TYPE, and subscribe to the paths that the events
are about. It ends with an error if events were missed, as when another node becomes active: then look at what the
events are about, and subscribe again.`,
		setup: func(f *flag.FlagSet) action {
			var timeout ttl
			var namespaces list
			var filter string
			f.Var(&timeout, "timeout", "Stop after this long. 0 is never.")
			f.Var(&namespaces, "namespaces", "A `pattern` of namespaces below the current one, whose events are printed too. May be repeated.")
			f.StringVar(&filter, "filter", "", "An expression that events must meet, of event_type, operation, source_plugin_mount, data_path and namespace.")
			return request(func(ctx context.Context, c *call, client *api.Client) error {
				query := url.Values{"json": {"true"}, "namespaces": namespaces}
				if filter != "" {
					query.Set("filter", filter)
				}
				if timeout.Duration > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, timeout.Duration)
					defer cancel()
				}
				err := c.subscribe(ctx, client, strings.TrimPrefix(c.args[0], "/"), query)
				if ctx.Err() != nil {
					return nil // it was to stop
				}
				return apiError("Error subscribing to events", err)
			}).action()
		},
	}
}

// subscribe prints events until there are no more.
func (c *call) subscribe(ctx context.Context, client *api.Client, kind string, query url.Values) error {
	path := "sys/events/subscribe/" + kind
	if c.options.curl || c.options.policy {
		_, err := client.Logical().ReadWithDataWithContext(ctx, path, query)
		return err
	}
	req := client.NewRequest("GET", "/v1/"+path)
	req.Params = query
	where := *req.URL
	where.RawQuery = query.Encode()
	header := req.Headers.Clone()
	header.Set("X-Vault-Token", req.ClientToken)
	header.Set("X-Vault-Request", strconv.FormatBool(true))
	plain := *client.CloneConfig().HttpClient
	plain.Timeout = 0 // of one request; this one goes on
	conn, resp, err := websocket.Dial(ctx, where.String(), &websocket.DialOptions{HTTPClient: &plain, HTTPHeader: header})
	if err != nil {
		if resp != nil && resp.StatusCode >= 400 {
			return (&api.Response{Response: resp}).Error()
		}
		return err
	}
	defer func() { _ = conn.CloseNow() }() // after an error there is nobody to say goodbye to
	conn.SetReadLimit(1 << 20)
	for {
		_, event, err := conn.Read(ctx)
		if closed, ok := errors.AsType[websocket.CloseError](err); ok {
			return fmt.Errorf("the server ended the subscription (%d): %s", closed.Code, closed.Reason)
		}
		if err != nil {
			return fmt.Errorf("the connection to the server was lost: %w", err)
		}
		if _, err := fmt.Fprintf(c.Stdout, "%s\n", event); err != nil {
			return err
		}
	}
}
