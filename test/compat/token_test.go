package compat

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
)

// withPolicy is a client whose token has policy "test" with these rules.
func withPolicy(t *testing.T, s *server, rules string) *api.Client {
	t.Helper()
	root := s.client(t, "root")
	if err := root.Sys().PutPolicy("test", rules); err != nil {
		t.Fatal(err)
	}
	made := must[*api.Secret](t)(root.Auth().Token().Create(&api.TokenCreateRequest{Policies: []string{"test"}, TTL: "1h"}))
	return s.client(t, made.Auth.ClientToken)
}

func TestGoClientTokens(t *testing.T) {
	s := startDev(t)
	root := s.client(t, "root")
	made := must[*api.Secret](t)(root.Auth().Token().Create(&api.TokenCreateRequest{
		Policies: []string{"a"}, TTL: "10m", ExplicitMaxTTL: "1h", Metadata: map[string]string{"team": "x"}, DisplayName: "ci job", NumUses: 0}))
	a := made.Auth
	if !a.Renewable || a.LeaseDuration != 600 || !slices.Equal(a.Policies, []string{"a", "default"}) || a.Accessor == "" || a.Orphan {
		t.Errorf("created: %+v", a)
	}
	if len(made.Warnings) != 1 || made.Warnings[0] != `Policy "a" does not exist` {
		t.Errorf("warnings: %q", made.Warnings)
	}
	self := s.client(t, a.ClientToken)
	data := must[*api.Secret](t)(self.Auth().Token().LookupSelf()).Data
	for name, want := range map[string]any{"display_name": "token-ci-job", "accessor": a.Accessor, "id": a.ClientToken, "orphan": false, "type": "service",
		"creation_ttl": json.Number("600"), "explicit_max_ttl": json.Number("3600"), "num_uses": json.Number("0"), "path": "auth/token/create"} {
		if data[name] != want {
			t.Errorf("lookup-self: %s is %v, want %v", name, data[name], want)
		}
	}
	for name, lookup := range map[string]func() (*api.Secret, error){
		"lookup":          func() (*api.Secret, error) { return root.Auth().Token().Lookup(a.ClientToken) },
		"lookup-accessor": func() (*api.Secret, error) { return root.Auth().Token().LookupAccessor(a.Accessor) },
	} {
		if got := must[*api.Secret](t)(lookup()).Data; got["accessor"] != a.Accessor {
			t.Errorf("%s: %v", name, got)
		}
	}
	if renewed := must[*api.Secret](t)(self.Auth().Token().RenewSelf(1800)).Auth; renewed.LeaseDuration < 1795 || renewed.LeaseDuration > 1800 || renewed.ClientToken != a.ClientToken {
		t.Errorf("renew-self: %+v", renewed)
	}
	if renewed := must[*api.Secret](t)(root.Auth().Token().Renew(a.ClientToken, 7200)); renewed.Auth.LeaseDuration > 3600 || len(renewed.Warnings) == 0 {
		t.Errorf("renewal past explicit_max_ttl: %d s, warnings %q", renewed.Auth.LeaseDuration, renewed.Warnings)
	}
}

// What ends with a token, and what does not.
func TestGoClientTokenRevocation(t *testing.T) {
	s := startDev(t)
	parent := withPolicy(t, s, `path "auth/token/create*" { capabilities = ["update", "sudo"] }`)
	child := must[*api.Secret](t)(parent.Auth().Token().Create(&api.TokenCreateRequest{TTL: "1h"})).Auth.ClientToken
	orphan := must[*api.Secret](t)(parent.Auth().Token().CreateOrphan(&api.TokenCreateRequest{TTL: "1h"})).Auth.ClientToken
	once := must[*api.Secret](t)(parent.Auth().Token().Create(&api.TokenCreateRequest{NumUses: 1, NoParent: true})).Auth.ClientToken
	if err := parent.Auth().Token().RevokeSelf(""); err != nil {
		t.Fatal(err)
	}
	_, err := parent.Auth().Token().LookupSelf()
	refused(t, err, 403, "permission denied")
	_, err = s.client(t, child).Auth().Token().LookupSelf()
	refused(t, err, 403, "permission denied")
	must[*api.Secret](t)(s.client(t, orphan).Auth().Token().LookupSelf())

	must[*api.Secret](t)(s.client(t, once).Auth().Token().LookupSelf())
	_, err = s.client(t, once).Auth().Token().LookupSelf()
	refused(t, err, 403, "permission denied")

	root := s.client(t, "root")
	accessor := must[*api.Secret](t)(root.Auth().Token().Lookup(orphan)).Data["accessor"].(string)
	if err := root.Auth().Token().RevokeAccessor(accessor); err != nil {
		t.Fatal(err)
	}
	_, err = root.Auth().Token().Lookup(orphan)
	refused(t, err, 403, "bad token")
}

// A watcher keeps a token of 2 s alive, and says when nothing can any more.
func TestGoClientLifetimeWatcher(t *testing.T) {
	s := startDev(t)
	root := s.client(t, "root")
	made := must[*api.Secret](t)(root.Auth().Token().Create(&api.TokenCreateRequest{TTL: "2s", ExplicitMaxTTL: "6s"}))
	self := s.client(t, made.Auth.ClientToken)
	w := must[*api.LifetimeWatcher](t)(self.NewLifetimeWatcher(&api.LifetimeWatcherInput{Secret: made}))
	go w.Start()
	defer w.Stop()
	begin, renewals := time.Now(), 0
	for {
		select {
		case r := <-w.RenewCh():
			renewals++
			if !r.Secret.Auth.Renewable || r.Secret.Auth.LeaseDuration > 2 {
				t.Errorf("renewal: %+v", r.Secret.Auth)
			}
			continue
		case err := <-w.DoneCh():
			if err != nil {
				t.Errorf("the watcher failed: %v", err)
			}
		case <-time.After(15 * time.Second):
			t.Fatal("the watcher did not end")
		}
		break
	}
	if lived := time.Since(begin); renewals < 2 || lived < 2*time.Second {
		t.Errorf("%d renewals in %s: the token was not kept alive", renewals, lived)
	}
	eventually(t, 10*time.Second, func() error {
		if _, err := self.Auth().Token().LookupSelf(); err == nil {
			return errors.New("the token outlives its explicit_max_ttl")
		}
		return nil
	})
}
