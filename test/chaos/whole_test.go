package chaos

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"

	"strongroom/test/cluster"
)

// A power cut: all three die at once. One unsealed node is enough to serve, whichever of the three Raft makes leader first.
func TestAllKilledOneUnsealed(t *testing.T) {
	w := begin(t)
	w.awaitWrites(t, 60, serveLimit)
	for _, n := range w.Nodes {
		n.Kill()
	}
	for _, n := range w.Nodes {
		if err := n.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	one := w.Nodes[2]
	begun := time.Now()
	if err := w.Unseal(t.Context(), one); err != nil {
		t.Fatal(err)
	}
	eventually(t, serveLimit, func() error {
		active, err := w.Leader(t.Context())
		if err != nil {
			return err
		}
		if active != one {
			return fmt.Errorf("%s is active, but only %s is unsealed", active.Name, one.Name)
		}
		return nil
	})
	w.awaitWrites(t, 10, serveLimit) // through the unsealed node alone: the others are sealed
	t.Logf("one of three unsealed: serving after %d ms", time.Since(begun).Milliseconds())
	for _, n := range w.Nodes[:2] {
		if err := w.Unseal(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	w.awaitWrites(t, 30, serveLimit)
	w.end(t)
}

// SIGTERM is an orderly end: exit code 0, and another leads at once.
func TestLeaderTerminated(t *testing.T) {
	w := begin(t)
	w.awaitWrites(t, 30, serveLimit)
	leader, err := w.Leader(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := leader.Terminate(); err != nil {
		t.Fatal(err)
	}
	took := w.awaitWrites(t, 1, serveLimit)
	t.Logf("%s ended: first acknowledged write %d ms after it was gone", leader.Name, took.Milliseconds())
	w.comeBack(t, leader)
	w.awaitWrites(t, 30, serveLimit)
	w.end(t)
}

// A leader that hangs (a stopped machine, a long pause) is replaced, and when it goes on it must not answer from the past: not one read.
func TestLeaderPaused(t *testing.T) {
	w := begin(t)
	for range rounds(t) {
		w.awaitWrites(t, 30, serveLimit)
		leader, err := w.Leader(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := leader.Pause(); err != nil {
			t.Fatal(err)
		}
		took := w.awaitWrites(t, 20, serveLimit) // by another leader, of which this one knows nothing
		t.Logf("%s paused: 20 writes acknowledged within %d ms", leader.Name, took.Milliseconds())
		var late, sent sync.WaitGroup
		for i := range 24 { // these wait in its sockets for it to go on: each began after the writes above were acknowledged
			client, err := leader.Client(w.Keys.Root)
			if err != nil {
				t.Fatal(err)
			}
			key := keys[i%len(keys)]
			sent.Add(1)
			ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { sent.Done() }})
			late.Go(func() {
				w.history.do(100+i, action{key: key}, func() outcome { return readKey(ctx, client, key) })
			})
		}
		sent.Wait()
		if err := leader.Resume(); err != nil {
			t.Fatal(err)
		}
		late.Wait()
		w.awaitWrites(t, 20, serveLimit)
	}
	w.end(t)
}

// A node that was not there at the beginning joins by its retry_join when it is unsealed, and by nothing less than the right shares.
func TestLateJoiner(t *testing.T) {
	ctx := t.Context()
	c := cluster.New(t, 3)
	late := c.Nodes[2]
	if err := late.Terminate(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Init(ctx, 5, 3); err != nil {
		t.Fatal(err)
	}
	for _, n := range c.Nodes[:2] {
		if err := c.Unseal(ctx, n); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.AwaitVoters(ctx, 2); err != nil {
		t.Fatal(err)
	}
	if err := late.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	client, err := late.Client(c.Keys.Root)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, serveLimit, func() error {
		status, err := client.Sys().SealStatusWithContext(ctx)
		if err == nil && (!status.Initialized || status.T != 3) {
			err = fmt.Errorf("not invited yet: %+v", status)
		}
		return err
	})
	if _, err := client.Sys().InitWithContext(ctx, &api.InitRequest{SecretShares: 1, SecretThreshold: 1}); !isStatus(err, http.StatusBadRequest) {
		t.Errorf("init of a node that has a cluster to join: %v, want 400", err)
	}

	for i := range 3 {
		wrong := []byte(fmt.Sprintf("%032d", i))
		_, err = client.Sys().UnsealWithContext(ctx, base64.StdEncoding.EncodeToString(append(wrong, byte(i+1))))
	}
	if !isStatus(err, http.StatusBadRequest) {
		t.Errorf("three wrong shares: %v, want 400", err)
	}
	status, err := client.Sys().SealStatusWithContext(ctx)
	if err != nil || !status.Sealed || status.Progress != 0 {
		t.Errorf("after wrong shares: %+v, %v", status, err)
	}
	if err := c.AwaitVoters(ctx, 2); err != nil {
		t.Fatal(err)
	}

	if err := c.Unseal(ctx, late); err != nil {
		t.Fatal(err)
	}
	if err := c.AwaitVoters(ctx, 3); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Auth().Token().LookupSelfWithContext(ctx); err != nil {
		t.Errorf("a request through the joined node: %v", err)
	}
}
