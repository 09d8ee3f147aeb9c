package compat

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"strongroom/test/cluster"
)

// write sends body to secret/path of a node, without any retry of the client's.
func write(ctx context.Context, n *cluster.Node, token, path string, body io.Reader) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, n.Addr+"/v1/"+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("X-Vault-Token", token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("%s: %s", resp.Status, text)
	}
	return err
}

// SIGTERM of the leader costs nobody a request: those at other nodes wait for the next leader, and one that the leader has begun to read is
// answered by it before it ends, with code 0.
func TestSIGTERMOfTheLeaderLosesNoRequest(t *testing.T) {
	c := cluster.NewReady(t, 3)
	leader, err := c.Leader(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := write(t.Context(), leader, c.Keys.Root, "sys/mounts/stop", strings.NewReader(`{"type":"kv"}`)); err != nil {
		t.Fatal(err)
	}

	// Half of a request has arrived when the leader is told to end.
	rest, half := io.Pipe()
	slow := make(chan error, 1)
	go func() { slow <- write(t.Context(), leader, c.Keys.Root, "stop/slow", rest) }()
	if _, err := io.WriteString(half, `{"value":`); err != nil {
		t.Fatal(err)
	}

	ctx, end := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	var written atomic.Int64
	for i, n := range c.Nodes {
		if n == leader {
			continue
		}
		for w := range 2 {
			writers.Go(func() {
				for count := 0; ctx.Err() == nil; count++ {
					begun := time.Now()
					if err := write(t.Context(), n, c.Keys.Root, fmt.Sprintf("stop/%d-%d-%d", i, w, count), strings.NewReader(`{"value":"x"}`)); err != nil {
						t.Errorf("a write at %s, after %s: %v", n.Name, time.Since(begun), err)
					}
					written.Add(1)
				}
			})
		}
	}
	more := func() {
		t.Helper()
		from := written.Load()
		eventually(t, 10*time.Second, func() error {
			if now := written.Load(); now < from+50 {
				return fmt.Errorf("only %d writes", now-from)
			}
			return nil
		})
	}
	more()
	ended := make(chan error, 1)
	begun := time.Now()
	go func() { ended <- leader.Terminate() }()
	eventually(t, 5*time.Second, func() error { // another leads while the old one still has a request to answer
		next, err := c.Leader(t.Context())
		if err == nil && next == leader {
			err = fmt.Errorf("%s still leads", leader.Name)
		}
		return err
	})
	if _, err := io.WriteString(half, `"slow"}`); err != nil {
		t.Error(err)
	}
	half.Close()
	if err := <-slow; err != nil {
		t.Errorf("the request that the leader was reading: %v", err)
	}
	if err := <-ended; err != nil {
		t.Errorf("the leader's end: %v", err)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("the end took %s", took)
	}
	more()
	end()
	writers.Wait()
}
