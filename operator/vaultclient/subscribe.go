package vaultclient

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"
)

const (
	onlyKV2     = "kv-v2/*"
	maxEvent    = 1 << 20 // bytes of one message
	pingEvery   = 20 * time.Second
	pingTimeout = 10 * time.Second
)

// streams are asked for in this order: what a Strongroom tells of all that the login may read; and what needs the capability
// subscribe, at first as Vault's own operator asks, at last for policies that grant no more.
var streams = []string{"follow/kv*", "subscribe/kv*", "subscribe/" + onlyKV2}

// ErrNoEvents says that the login may not subscribe to events, or that the server has none.
var ErrNoEvents = errors.New("the login may not subscribe to the server's events, or there are none")

// Event says that something changed on a server; it never holds a value.
type Event struct {
	Path string // of the API, where the change is read: secret/data/app
	At   time.Time
}

// Subscribe follows the events of KV engines in a namespace of the server until the stream ends: it calls connected once
// they flow, and says whether Readable names the paths that are told of, or Subscribable; then told for each, one after the other. It holds the login meanwhile. The error says why the stream ended:
// ErrNoEvents, or a Problem of the login or the connection, or something that trying again will cure.
func (p *Pool) Subscribe(ctx context.Context, login Login, namespace string, connected func(follows bool), told func(Event)) error {
	if err := p.guard(ctx, login.Server); err != nil {
		return err
	}
	s, err := p.acquire(ctx, login)
	if err != nil {
		return p.suspect(ctx, login.Server, err)
	}
	dead := false
	defer func() { p.release(login.Key(), s, dead) }()
	header := s.client.Headers()
	header.Set("X-Vault-Token", s.client.Token())
	header.Del("X-Vault-Namespace")
	if namespace == "" {
		namespace = login.Namespace
	}
	if namespace != "" {
		header.Set("X-Vault-Namespace", namespace)
	}
	conn, follows, err := p.dialEvents(ctx, login.Server, header)
	if err != nil {
		return p.suspect(ctx, login.Server, err)
	}
	defer conn.CloseNow() //nolint:errcheck // nothing to be done
	connected(follows)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go keepAlive(ctx, cancel, conn)
	for {
		_, message, err := conn.Read(ctx)
		if err != nil {
			dead = websocket.CloseStatus(err) == websocket.StatusPolicyViolation // the token has ended, or its rights
			return fmt.Errorf("the event stream ended: %w", err)
		}
		if event, ok := parseEvent(message); ok {
			told(event)
		}
	}
}

// dialEvents opens the stream with the first of the types that the login may have.
func (p *Pool) dialEvents(ctx context.Context, server Server, header http.Header) (conn *websocket.Conn, follows bool, err error) {
	shared, err := p.transport(server)
	if err != nil {
		return nil, false, err
	}
	client := &http.Client{
		Transport:     shared.upgrading(),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	ctx, cancel := context.WithTimeout(ctx, server.timeout())
	defer cancel()
	denied := false
	for i, stream := range streams {
		address := strings.TrimSuffix(server.Address, "/") + "/v1/sys/events/" + stream + "?json=true"
		conn, response, err := websocket.Dial(ctx, address, &websocket.DialOptions{HTTPClient: client, HTTPHeader: header})
		if err == nil {
			conn.SetReadLimit(maxEvent)
			return conn, i == 0, nil
		}
		switch {
		case response == nil:
			return nil, false, unreachable(server.Address, cause(err))
		case response.StatusCode == http.StatusServiceUnavailable, response.StatusCode == http.StatusBadGateway, response.StatusCode == http.StatusGatewayTimeout:
			return nil, false, unreachable(server.Address, fmt.Sprintf("it answers HTTP %d", response.StatusCode))
		case response.StatusCode == http.StatusTooManyRequests:
			return nil, false, fmt.Errorf("the server has no event stream to spare (HTTP %d)", response.StatusCode)
		case response.StatusCode == http.StatusForbidden:
			denied = true
			continue
		case i == 0:
			continue // a server that is no Strongroom
		}
		return nil, false, fmt.Errorf("%w (HTTP %d)", ErrNoEvents, response.StatusCode)
	}
	if denied {
		return nil, false, fmt.Errorf("%w: its policies lack read on sys/events/subscribe/%s", ErrNoEvents, onlyKV2)
	}
	return nil, false, ErrNoEvents
}

// upgrading is a transport for WebSockets, which HTTP/2 cannot carry.
func (t *transport) upgrading() http.RoundTripper {
	t.upgrade.Do(func() {
		t.http1 = t.http.Clone()
		t.http1.ForceAttemptHTTP2 = false
		t.http1.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
		t.http1.TLSClientConfig.NextProtos = []string{"http/1.1"}
	})
	return t.http1
}

// keepAlive notices that the other side is gone: a stream on which nothing happens looks like one that is cut.
func keepAlive(ctx context.Context, dead context.CancelFunc, conn *websocket.Conn) {
	ticker := time.NewTicker(pingEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		answer, cancel := context.WithTimeout(ctx, pingTimeout)
		err := conn.Ping(answer)
		cancel()
		if err != nil {
			dead()
			return
		}
	}
}

// parseEvent reads a message in the documented JSON form, and gives where the change is read. It is false for what
// changes no secret, and for what it does not understand.
func parseEvent(message []byte) (Event, bool) {
	var body struct {
		Time time.Time `json:"time"`
		Data struct {
			Type  string `json:"event_type"`
			Event struct {
				Metadata map[string]any `json:"metadata"`
			} `json:"event"`
			Plugin struct {
				Mount string `json:"mount_path"`
			} `json:"plugin_info"`
		} `json:"data"`
	}
	if json.Unmarshal(message, &body) != nil {
		return Event{}, false
	}
	text := func(name string) string { value, _ := body.Data.Event.Metadata[name].(string); return value }
	kind, what, _ := strings.Cut(body.Data.Type, "/")
	path := text("path")
	if path == "" {
		path = text("data_path")
	}
	mount := body.Data.Plugin.Mount
	key, below := strings.CutPrefix(path, mount)
	switch {
	case path == "" || what == "config-write" || text("modified") == "false":
		return Event{}, false
	case kind == "kv-v2":
		// The path is the one that was called: secret/data/app, secret/undelete/app, secret/metadata/app, …
		if !below || mount == "" {
			return Event{}, false
		}
		_, name, ok := strings.Cut(key, "/")
		return Event{Path: mount + "data/" + name, At: body.Time}, ok && name != ""
	}
	return Event{Path: path, At: body.Time}, true
}

// Subscribable tells which paths the login is told of when they change: those on which it has the capability subscribe.
func (c *Client) Subscribable(ctx context.Context, paths []string) (map[string]bool, error) {
	return c.capable(ctx, "subscribe", paths)
}

// Readable tells which paths the login may read.
func (c *Client) Readable(ctx context.Context, paths []string) (map[string]bool, error) {
	return c.capable(ctx, "read", paths)
}

func (c *Client) capable(ctx context.Context, what string, paths []string) (map[string]bool, error) {
	secret, err := c.Write(ctx, "sys/capabilities-self", map[string]any{"paths": paths})
	if err != nil || secret == nil {
		return nil, err
	}
	may := make(map[string]bool, len(paths))
	for _, path := range paths {
		capabilities, _ := secret.Data[path].([]any)
		for _, capability := range capabilities {
			if capability == what || capability == "root" {
				may[path] = true
			}
		}
	}
	return may, nil
}
