package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/vault/api"
)

const (
	// generation is how many versions a key gets, about, before the clients turn to the next: a key's metadata grows with them.
	generation = 200
	pause      = 5 * time.Millisecond // between the operations of a client: this tests faults, not speed
	names      = 6                    // in each folder
)

// client is one of those at work: it knows a client of every node.
type client struct {
	w   *world
	ctx context.Context
	id  int
	at  []*api.Client
	rng *rand.Rand
}

// work starts the clients. Two write on every node, and one of each other kind.
func (w *world) work(seed uint64) {
	ctx, stop := context.WithCancel(w.t.Context())
	w.stop = stop
	w.t.Cleanup(func() { stop(); w.done.Wait() })
	var folder atomic.Int64
	serial := &w.serial
	id := 0
	start := func(loop func(c *client, node int), node int) {
		id++
		c := &client{w: w, ctx: ctx, id: id, rng: rand.New(rand.NewPCG(seed, uint64(100+id)))}
		for node := range nodes {
			c.at = append(c.at, w.client(node))
		}
		w.done.Go(func() {
			for ctx.Err() == nil {
				loop(c, node)
				c.rest(pause)
			}
		})
	}
	writer := func(c *client, node int) { c.readAndWrite(node, serial) }
	for node := range nodes {
		start(writer, node)
		start(writer, node)
		start(func(c *client, node int) { c.read(node, c.key(serial.Load())) }, node)
		start((*client).liveOfAToken, node)
		start(func(c *client, node int) { c.list(node, folder.Load()) }, node)
	}
	start(func(c *client, _ int) { c.fillFolder(folder.Add(1)) }, 0)
}

func (c *client) rest(d time.Duration) {
	select {
	case <-c.ctx.Done():
	case <-time.After(d):
	}
}

// key is one of few, so that clients meet.
func (c *client) key(serial int64) string {
	return secretKey(serial, c.rng.IntN(3))
}

func secretKey(serial int64, i int) string {
	return fmt.Sprintf("secret/%d/%c", serial/(3*generation), 'a'+rune(i))
}

// readAndWrite reads a key and writes it with cas: most of the time it wins.
func (c *client) readAndWrite(node int, serial *atomic.Int64) {
	n := serial.Add(1)
	key := c.key(n)
	seen := c.read(node, key)
	if seen.unknown || seen.undone {
		return
	}
	a := action{kind: write, key: key, cas: seen.version, value: fmt.Sprintf("%d-%d", c.id, n), node: node}
	c.w.history.do(c.id, a, func() outcome { return writeKey(c.at[node], a) })
}

func (c *client) read(node int, key string) outcome {
	return c.w.history.do(c.id, action{kind: read, key: key, node: node}, func() outcome { return readKey(c.at[node], key) })
}

// path is where the KV engine keeps a key.
func path(key string) string { return strings.TrimPrefix(key, "secret/") }

func readKey(client *api.Client, key string) outcome {
	return readKeyWith(context.Background(), client, key)
}

func readKeyWith(ctx context.Context, client *api.Client, key string) outcome {
	s, err := client.KVv2("secret").Get(ctx, path(key))
	if errors.Is(err, api.ErrSecretNotFound) {
		return outcome{}
	}
	if err != nil {
		return failure(err)
	}
	value, _ := s.Data["value"].(string)
	return outcome{version: s.VersionMetadata.Version, value: value}
}

func writeKey(client *api.Client, a action) outcome {
	s, err := client.KVv2("secret").Put(context.Background(), path(a.key), map[string]any{"value": a.value}, api.WithCheckAndSet(a.cas))
	switch {
	case err == nil:
		return outcome{version: s.VersionMetadata.Version}
	case isStatus(err, http.StatusBadRequest) && strings.Contains(err.Error(), "check-and-set parameter did not match"):
		return outcome{refused: true}
	}
	return failure(err)
}

// failure is what an error says about a change: 503 (sealed, without a leader, ending, busy) promises that nothing was done; nothing else does.
func failure(err error) outcome {
	if isStatus(err, http.StatusServiceUnavailable) {
		return outcome{undone: true}
	}
	return outcome{unknown: true}
}

func isStatus(err error, code int) bool {
	var re *api.ResponseError
	return errors.As(err, &re) && re.StatusCode == code
}

// versionsOf reads every version of a key, one by one.
func versionsOf(client *api.Client, key string) (map[int]string, error) {
	kv := client.KVv2("secret")
	last, err := kv.Get(context.Background(), path(key))
	if errors.Is(err, api.ErrSecretNotFound) {
		return nil, nil // all its writes failed
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	versions := map[int]string{}
	for v := 1; v <= last.VersionMetadata.Version; v++ {
		s, err := kv.GetVersion(context.Background(), path(key), v)
		if err != nil {
			return nil, fmt.Errorf("read %s version %d: %w", key, v, err)
		}
		versions[v], _ = s.Data["value"].(string)
	}
	return versions, nil
}

// liveOfAToken makes a token, uses it on other nodes, revokes it on yet another while it is used, and then uses it everywhere.
func (c *client) liveOfAToken(node int) {
	call := c.w.history.now()
	s, err := c.at[node].Auth().Token().CreateWithContext(c.ctx, &api.TokenCreateRequest{Policies: []string{"default"}, TTL: "1h"})
	if err != nil {
		return // nobody knows a token that was made all the same
	}
	token := s.Auth.ClientToken
	a := action{kind: create, key: "token/" + s.Auth.Accessor, node: node}
	c.w.history.record(c.id, a, outcome{}, call, c.w.history.now())
	for range 2 {
		c.use(c.rng.IntN(nodes), a.key, token)
	}
	used := make(chan struct{})
	at := c.rng.IntN(nodes)
	go func() { // waited for below
		defer close(used)
		c.use(at, a.key, token)
	}()
	by := c.rng.IntN(nodes)
	c.w.history.do(c.id, action{kind: end, key: a.key, node: by}, func() outcome {
		if err := c.at[by].Auth().Token().RevokeTreeWithContext(context.Background(), token); err != nil {
			return failure(err)
		}
		return outcome{}
	})
	for node := range nodes {
		c.use(node, a.key, token)
	}
	<-used
}

// use asks a node who the token is: it is accepted, or not.
func (c *client) use(node int, key, token string) {
	client, err := c.at[node].Clone()
	if err != nil {
		c.w.t.Error(err)
		return
	}
	client.SetToken(token)
	c.w.history.do(c.id, action{kind: see, key: key, node: node}, func() outcome {
		_, err := client.Auth().Token().LookupSelfWithContext(context.Background())
		if err != nil && !isStatus(err, http.StatusForbidden) {
			return failure(err)
		}
		return outcome{there: err == nil}
	})
}

// fillFolder writes all names of a folder, one after the other, and deletes every other.
func (c *client) fillFolder(folder int64) {
	made := make([]bool, names)
	for i := range names {
		node := c.rng.IntN(nodes)
		out := c.w.history.do(c.id, action{kind: create, key: nameKey(folder, i), node: node}, func() outcome {
			_, err := c.at[node].KVv2("secret").Put(context.Background(), fmt.Sprintf("list/%d/%d", folder, i), map[string]any{"v": 1}, api.WithCheckAndSet(0))
			if err != nil {
				return failure(err)
			}
			return outcome{}
		})
		made[i] = !out.unknown && !out.undone
		c.rest(8 * pause)
	}
	for i := 0; i < names; i += 2 {
		if !made[i] {
			continue // it may yet be
		}
		node := c.rng.IntN(nodes)
		c.w.history.do(c.id, action{kind: end, key: nameKey(folder, i), node: node}, func() outcome {
			if err := c.at[node].KVv2("secret").DeleteMetadata(context.Background(), fmt.Sprintf("list/%d/%d", folder, i)); err != nil {
				return failure(err)
			}
			return outcome{}
		})
		c.rest(8 * pause)
	}
	c.rest(20 * pause)
}

func nameKey(folder int64, i int) string { return fmt.Sprintf("name/%d/%d", folder, i) }

// list reads the names of a folder, which says of each name whether it is there.
func (c *client) list(node int, folder int64) {
	h := c.w.history
	call := h.now()
	s, err := c.at[node].Logical().ListWithContext(context.Background(), fmt.Sprintf("secret/metadata/list/%d", folder))
	done := h.now()
	there := map[string]bool{}
	if err == nil && s != nil {
		keys, _ := s.Data["keys"].([]any)
		for _, key := range keys {
			there[fmt.Sprint(key)] = true
		}
	}
	for i := range names {
		out := outcome{there: there[fmt.Sprint(i)]}
		if err != nil {
			out = failure(err)
		}
		h.record(c.id, action{kind: see, key: nameKey(folder, i), node: node}, out, call, done)
	}
	c.rest(6 * pause)
}
