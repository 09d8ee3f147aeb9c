package chaos

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"testing"

	"github.com/hashicorp/vault/api"

	"strongroom/test/cluster"
)

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
	(&world{t: t}).eventually(serveLimit, func() error {
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
