package vaultclient_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"strongroom/operator/vaultclient"
)

// shared reads secret/data/app as one who was told of a change at since.
func shared(ctx context.Context, pool *vaultclient.Pool, as vaultclient.Login, since time.Time) (value any, err error) {
	err = pool.Do(vaultclient.Since(ctx, since), as, func(ctx context.Context, client *vaultclient.Client) error {
		secret, err := client.ReadShared(ctx, "secret/data/app", nil)
		if err != nil {
			return err
		}
		data, _ := secret.Data["data"].(map[string]any)
		value = data["A"]
		data["A"] = "mine" // what one does with its answer is nobody else's affair
		return nil
	})
	return value, err
}

// All whom one event wakes are answered by one request; whoever is woken by a later one, or by none, by another.
func TestOneEventOneRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		vault := server(time.Hour)
		pool := started(t, vault)
		read := func(n int, since time.Time, want string) {
			t.Helper()
			var all sync.WaitGroup
			for range n {
				all.Go(func() {
					if value, err := shared(t.Context(), pool, login("default"), since); err != nil || value != want {
						t.Errorf("%v, %v, want %s", value, err, want)
					}
				})
			}
			all.Wait()
		}
		count := func(want int, what string) {
			t.Helper()
			if n := vault.Count("secret/data/app"); n != want {
				t.Errorf("%s: %d requests so far, want %d", what, n, want)
			}
		}
		event := time.Now()
		time.Sleep(time.Millisecond)
		read(50, event, "1")
		count(1, "fifty that one event woke")
		time.Sleep(500 * time.Millisecond)
		read(50, event, "1")
		count(1, "fifty more half a second later")

		vault.Put("secret/app", map[string]any{"A": "2"})
		event = time.Now()
		time.Sleep(time.Millisecond)
		read(50, event, "2")
		count(2, "after a change")
		time.Sleep(2 * time.Second)
		read(1, event, "2")
		count(3, "long after")
		if err := pool.Do(t.Context(), login("default"), func(ctx context.Context, client *vaultclient.Client) error {
			_, err := client.ReadShared(ctx, "secret/data/app", nil)
			return err
		}); err != nil {
			t.Error(err)
		}
		count(4, "one that nothing woke")
	})
}

// Neither a failure nor the answer to another login is anybody else's, and who gives up takes nobody along.
func TestWhatIsNotShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		vault := server(time.Hour)
		pool := started(t, vault)
		since := time.Now()
		time.Sleep(time.Millisecond)
		other := login("default")
		other.Headers = map[string]string{"X-Team": "a"}
		for _, as := range []vaultclient.Login{login("default"), other} {
			if _, err := shared(t.Context(), pool, as, since); err != nil {
				t.Error(err)
			}
		}
		if n := vault.Count("secret/data/app"); n != 2 {
			t.Errorf("%d requests of two logins", n)
		}
		time.Sleep(2 * time.Second)
		since = time.Now()
		vault.Fail("secret/data/app", http.StatusForbidden, `{"errors":["permission denied"]}`)
		var refused *vaultclient.Refused
		if _, err := shared(t.Context(), pool, login("default"), since); !errors.As(err, &refused) {
			t.Error(err)
		}
		vault.Fail("secret/data/app", 0, "")
		if _, err := shared(t.Context(), pool, login("default"), since); err != nil {
			t.Errorf("the failure of another: %v", err)
		}
		time.Sleep(2 * time.Second)
		since = time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := shared(ctx, pool, login("default"), since); err == nil {
			t.Error("it read though it had given up")
		}
		if _, err := shared(t.Context(), pool, login("default"), since); err != nil {
			t.Errorf("another gave up: %v", err)
		}
	})
}
