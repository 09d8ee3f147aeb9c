package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/hashicorp/vault/api"
)

// readyLimit bounds the wait for an active node.
const readyLimit = 30 * time.Second

// Keys are what initialisation shows once.
type Keys struct {
	Shares    []string // base64, as the command line prints them
	Threshold int      // how many of them unseal
	Root      string   // the initial root token
}

// Init initialises the cluster through its first node, and keeps the keys in
// c.Keys too. All nodes stay sealed.
func (c *Cluster) Init(ctx context.Context, shares, threshold int) (*Keys, error) {
	client, err := c.Nodes[0].Client("")
	if err != nil {
		return nil, err
	}
	answer, err := client.Sys().InitWithContext(ctx, &api.InitRequest{SecretShares: shares, SecretThreshold: threshold})
	if err != nil {
		return nil, fmt.Errorf("cluster: initialise %s: %w", c.Nodes[0].Name, err)
	}
	c.Keys = &Keys{Shares: answer.KeysB64, Threshold: threshold, Root: answer.RootToken}
	return c.Keys, nil
}

// Unseal gives a node as many shares as it needs. The cluster must have been
// initialised; nodes that are not members yet join by this, so that one member
// must be active already.
func (c *Cluster) Unseal(ctx context.Context, n *Node) error {
	if c.Keys == nil {
		return errors.New("cluster: not initialised: call Init first, or set Keys")
	}
	client, err := n.Client("")
	if err != nil {
		return err
	}
	for i, share := range c.Keys.Shares[:c.Keys.Threshold] {
		status, err := client.Sys().UnsealWithContext(ctx, share)
		if err != nil {
			return fmt.Errorf("cluster: unseal %s with share %d: %w", n.Name, i+1, err)
		}
		if !status.Sealed {
			return nil
		}
	}
	return fmt.Errorf("cluster: %s is still sealed after %d shares; the end of its log:\n%s", n.Name, c.Keys.Threshold, n.Tail())
}

// Ready initialises the cluster with 5 shares and a threshold of 3, unseals all
// nodes, and waits until each has a vote.
func (c *Cluster) Ready(ctx context.Context) error {
	if _, err := c.Init(ctx, 5, 3); err != nil {
		return err
	}
	for _, n := range c.Nodes {
		if err := c.Unseal(ctx, n); err != nil {
			return err
		}
	}
	return c.AwaitVoters(ctx, len(c.Nodes))
}

// Leader waits until a node serves as the active one, and returns it.
func (c *Cluster) Leader(ctx context.Context) (*Node, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, readyLimit, fmt.Errorf("no active node within %v", readyLimit))
	defer cancel()
	var active *Node
	err := poll(ctx, func() error {
		for _, n := range c.Nodes {
			if !n.Running() {
				continue
			}
			// A node that hangs must not keep the others from being asked.
			one, cancel := context.WithTimeout(ctx, time.Second)
			status, err := n.get(one, "sys/health")
			cancel()
			if err == nil && status == http.StatusOK {
				active = n
				return nil
			}
		}
		return errors.New("every node is sealed, a standby or silent")
	})
	if err != nil {
		return nil, fmt.Errorf("cluster: %w\n%s", err, c.Tails())
	}
	return active, nil
}

// AwaitVoters waits until the cluster has so many nodes with a vote: a node
// that has joined gets its vote a moment after it is unsealed, and only then
// bears the loss of another.
func (c *Cluster) AwaitVoters(ctx context.Context, count int) error {
	leader, err := c.Leader(ctx)
	if err != nil {
		return err
	}
	client, err := leader.Client(c.Keys.Root)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, readyLimit, fmt.Errorf("not within %v", readyLimit))
	defer cancel()
	err = poll(ctx, func() error {
		got, err := voters(ctx, client)
		if err == nil && got != count {
			err = fmt.Errorf("%d nodes have a vote", got)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("cluster: waiting for %d voters: %w\n%s", count, err, c.Tails())
	}
	return nil
}

func voters(ctx context.Context, client *api.Client) (count int, err error) {
	secret, err := client.Logical().ReadWithContext(ctx, "sys/storage/raft/configuration")
	if err != nil {
		return 0, err
	}
	if secret == nil {
		return 0, errors.New("sys/storage/raft/configuration is empty")
	}
	config, _ := secret.Data["config"].(map[string]any)
	servers, _ := config["servers"].([]any)
	for _, s := range servers {
		if server, _ := s.(map[string]any); server["voter"] == true {
			count++
		}
	}
	return count, nil
}
