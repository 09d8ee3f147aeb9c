package vaultclient

import (
	"context"
	"net/url"
	"time"

	vault "github.com/hashicorp/vault/api"
)

// sharedFor is how long an answer is there for others, who were woken by the same event or the end of the same outage.
const sharedFor = time.Second

type sinceKey struct{}

// Since says from when on what is read with ctx must be true: whoever was told of a change at a time need not see what is
// later, of which it will be told again.
func Since(ctx context.Context, at time.Time) context.Context {
	return context.WithValue(ctx, sinceKey{}, at)
}

// readKey is what must be the same for an answer to be shared: what a token may read is its own affair.
type readKey struct {
	login                  string // LoginID
	namespace, path, query string
}

// sharedRead is a request under way, or its answer.
type sharedRead struct {
	began time.Time
	over  chan struct{}
	body  []byte // each reader parses its own; nil: it failed
}

// ReadShared is ReadWith for what answers all alike, as a secret of a KV engine does, and no engine that makes a credential
// at each read. One request answers all who ask the same with the same login within a second, but only if it began after
// the time that Since gives each of them; who has none asks for itself, as does everyone when the request fails.
func (c *Client) ReadShared(ctx context.Context, path string, query url.Values) (*vault.Secret, error) {
	since, told := ctx.Value(sinceKey{}).(time.Time)
	if !told {
		return c.ReadWith(ctx, path, query)
	}
	key := readKey{c.id, c.vault.Namespace(), path, query.Encode()}
	read, theirs := c.pool.join(key, since)
	if !theirs {
		body, err := c.raw(ctx, path, query)
		if err == nil {
			read.body = body
		}
		close(read.over)
		return c.parse(body, err)
	}
	select {
	case <-read.over:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if read.body == nil {
		return c.ReadWith(ctx, path, query)
	}
	return c.parse(read.body, nil)
}

// join gives the read of somebody else that began late enough, or one that the caller is to carry out for all.
func (p *Pool) join(key readKey, since time.Time) (read *sharedRead, theirs bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if read = p.reads[key]; read != nil && !read.began.Before(since) {
		return read, true
	}
	read = &sharedRead{began: time.Now(), over: make(chan struct{})}
	p.reads[key] = read
	time.AfterFunc(sharedFor, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.reads[key] == read {
			delete(p.reads, key)
		}
	})
	return read, false
}
