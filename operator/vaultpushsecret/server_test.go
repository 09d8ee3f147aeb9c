package vaultpushsecret

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"strongroom/api/v1beta1"
	"strongroom/operator/condition"
	"strongroom/operator/vaultclient"
	"strongroom/operator/vaulttest"
)

// pusher is a resource that pushes to secret/app.
type pusher struct {
	self
	want map[string]string
	pool *vaultclient.Pool
	at   vaultclient.Login
}

func pushers(t *testing.T, server *vaulttest.Server, n int, value func(int) string) []*pusher {
	t.Helper()
	server.SetRole("app", vaulttest.Role{Namespace: "shop", Account: "default", Paths: []string{"secret/*"}})
	pool := vaultclient.NewPool(func(_ context.Context, login vaultclient.Login) (string, error) {
		return vaulttest.Token(login.ServiceAccount.Namespace, login.ServiceAccount.Name), nil
	}, server.Dial(t))
	all := make([]*pusher, n)
	for i := range all {
		all[i] = &pusher{
			self: self{owner: fmt.Sprintf("VaultPushSecret/shop/p%d", i), uid: strconv.Itoa(i), path: "secret/app"},
			want: map[string]string{"A": value(i)}, pool: pool,
			at: vaultclient.Login{
				Server: vaultclient.Server{Address: "http://vault.vault:8200"}, Mount: "kubernetes", Role: "app",
				ServiceAccount: types.NamespacedName{Namespace: "shop", Name: "default"},
			},
		}
	}
	return all
}

// push pushes once, and notes what the status would.
func (p *pusher) push(t *testing.T) error {
	return p.pool.Do(t.Context(), p.at, func(ctx context.Context, client *vaultclient.Client) error {
		where, err := at(v1beta1.VaultPushSecretSpec{Mount: "secret", Path: "app"})
		if err != nil {
			return err
		}
		where.client, where.login = client, p.at
		do, version, _, err := where.make(ctx, p.want, p.self, false)
		if err == nil || do == write || do == restore {
			p.version = where.called(version)
		}
		return err
	})
}

// Many claim one path at the same moment: when all have looked again, exactly one has it, and the server holds its value
// and its mark.
func TestOneOfManyClaimsAPlace(t *testing.T) {
	for name, test := range map[string]struct {
		value     func(int) string
		overwrite bool
	}{
		"different":         {func(i int) string { return strconv.Itoa(i) }, false},
		"equal":             {func(int) string { return "same" }, false},
		"all may take over": {func(i int) string { return strconv.Itoa(i) }, true},
	} {
		for round := range 20 {
			server := vaulttest.New()
			all := pushers(t, server, 5, test.value)
			var group sync.WaitGroup
			for _, each := range all {
				each.overwrite, each.edited = test.overwrite, true
				group.Go(func() { _ = each.push(t) })
			}
			group.Wait()
			winner := -1
			for range len(all) + 1 { // each looks until the one that has it is the same twice
				winner = -1
				for i, each := range all {
					err := each.push(t)
					if err == nil {
						each.edited = false
						winner = i
					} else if !condition.Is(err, v1beta1.ReasonTargetConflict, v1beta1.ReasonDrift) {
						t.Fatalf("%s: %v", name, err)
					}
				}
			}
			won := 0
			for _, each := range all {
				if err := each.push(t); err == nil {
					won++
				} else if !condition.Is(err, v1beta1.ReasonTargetConflict) {
					t.Errorf("%s, round %d: a loser says %v", name, round, err)
				}
			}
			versions := server.Versions("secret/app")
			if won != 1 || server.Custom("secret/app")[ownerMark] != all[winner].owner || versions[len(versions)-1]["A"] != all[winner].want["A"] {
				t.Errorf("%s, round %d: %d have it, %s last; the mark is %v", name, round, won, all[winner].owner, server.Custom("secret/app"))
			}
			if count := len(versions); !test.overwrite && count != 1 {
				t.Errorf("%s, round %d: the winner's value was written over: %d versions", name, round, count)
			}
		}
	}
}

// meddled does something just before the server answers the first request of a kind.
func meddled(server *vaulttest.Server, method, path string, what func()) {
	var once sync.Once
	server.Meddle(func(m, p string) {
		if m == method && p == path {
			once.Do(what)
		}
	})
}

// What somebody else writes between the look and the write, or between the look and the mark, stays.
func TestNothingIsClaimedThatSomebodyWroteMeanwhile(t *testing.T) {
	server := vaulttest.New()
	p := pushers(t, server, 1, func(int) string { return "ours" })[0]
	meddled(server, "PUT", "secret/data/app", func() { server.Put("secret/app", map[string]any{"A": "theirs"}) })
	if err := p.push(t); !condition.Is(err, v1beta1.ReasonDrift) {
		t.Errorf("written over what was written meanwhile: %v", err)
	}
	if err := p.push(t); !condition.Is(err, v1beta1.ReasonTargetConflict) {
		t.Errorf("at the next look: %v", err)
	}

	server = vaulttest.New()
	p = pushers(t, server, 1, func(int) string { return "same" })[0]
	server.Put("secret/app", map[string]any{"A": "same"}) // equal: it needs a mark only
	meddled(server, "PUT", "secret/metadata/app", func() { server.Put("secret/app", map[string]any{"A": "theirs"}) })
	if err := p.push(t); !condition.Is(err, v1beta1.ReasonDrift) {
		t.Errorf("marked what was written meanwhile: %v", err)
	}
	if mark := server.Custom("secret/app")[ownerMark]; mark != "" {
		t.Errorf("it bears the mark %q", mark)
	}
	if err := p.push(t); !condition.Is(err, v1beta1.ReasonTargetConflict) {
		t.Errorf("at the next look: %v", err)
	}
	if versions := server.Versions("secret/app"); versions[len(versions)-1]["A"] != "theirs" {
		t.Errorf("the server holds %v", versions)
	}
}

// A login that may write the data and not the mark is told so, again after the Secret changed: what it wrote is its own.
func TestAMarkThatIsDenied(t *testing.T) {
	server := vaulttest.New()
	p := pushers(t, server, 1, func(int) string { return "1" })[0]
	server.Meddle(func(method, path string) {
		status := 0
		if method == "PUT" && path == "secret/metadata/app" {
			status = 403
		}
		server.Fail("secret/metadata/app", status, `{"errors":["permission denied"]}`)
	})
	for _, value := range []string{"1", "1", "2"} {
		p.want["A"] = value
		if err := p.push(t); !condition.Is(err, v1beta1.ReasonPermissionDenied) {
			t.Errorf("%s: %v", value, err)
		}
	}
	server.Meddle(nil)
	server.Fail("secret/metadata/app", 0, "")
	p.want["A"] = "3"
	if err := p.push(t); err != nil {
		t.Error(err)
	}
	if versions := server.Versions("secret/app"); len(versions) != 3 || server.Custom("secret/app")[ownerMark] != p.owner {
		t.Errorf("%v, %v", versions, server.Custom("secret/app"))
	}
}
