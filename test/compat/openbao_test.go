package compat

import (
	"errors"
	"testing"
	"time"

	bao "github.com/openbao/openbao/api/v2"
)

// OpenBao's client, which has gone its own way since, from an uninitialized server on.
func TestOpenBaoClient(t *testing.T) {
	s := startFile(t, "")
	config := bao.DefaultConfig()
	config.Address, config.MaxRetries = s.addr, 0
	c, err := bao.NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	sys, ctx := c.Sys(), t.Context()
	made := must[*bao.InitResponse](t)(sys.Init(&bao.InitRequest{SecretShares: 1, SecretThreshold: 1}))
	if st := must[*bao.SealStatusResponse](t)(sys.Unseal(made.KeysB64[0])); st.Sealed {
		t.Fatalf("after the key: %+v", st)
	}
	c.SetToken(made.RootToken)
	if h := must[*bao.HealthResponse](t)(sys.Health()); !h.Initialized || h.Sealed || h.Standby {
		t.Errorf("health: %+v", h)
	}
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ok(sys.Mount("secret", &bao.MountInput{Type: "kv-v2"}))
	if m := must[map[string]*bao.MountOutput](t)(sys.ListMounts()); m["secret/"] == nil || m["secret/"].Options["version"] != "2" || m["cubbyhole/"] == nil {
		t.Errorf("mounts: %v", m)
	}
	kv := c.KVv2("secret")
	must[*bao.KVSecret](t)(kv.Put(ctx, "app/db", map[string]any{"k": "1"}))
	must[*bao.KVSecret](t)(kv.Patch(ctx, "app/db", map[string]any{"l": "2"}))
	if got := must[*bao.KVSecret](t)(kv.Get(ctx, "app/db")); got.Data["k"] != "1" || got.Data["l"] != "2" || got.VersionMetadata.Version != 2 {
		t.Errorf("patched: %+v", got)
	}
	if _, err := kv.Put(ctx, "app/db", map[string]any{}, bao.WithCheckAndSet(7)); err == nil {
		t.Error("a version that is not is taken for the current one")
	}
	if _, err := kv.Get(ctx, "none"); !errors.Is(err, bao.ErrSecretNotFound) {
		t.Errorf("nothing there: %v", err)
	}
	ok(kv.Delete(ctx, "app/db"))
	ok(kv.Undelete(ctx, "app/db", []int{2}))
	if got := must[*bao.Secret](t)(c.Logical().List("secret/metadata/app")); len(got.Data["keys"].([]any)) != 1 {
		t.Errorf("list: %v", got.Data)
	}
	if got := must[*bao.Secret](t)(c.Logical().Scan("secret/metadata")); got.Data["keys"].([]any)[0] != "app/db" {
		t.Errorf("scan: %v", got.Data)
	}
	if got := must[*bao.Secret](t)(c.Logical().ListPage("secret/metadata/app", "a", 1)); got.Data["keys"].([]any)[0] != "db" {
		t.Errorf("a page: %v", got.Data)
	}

	ok(sys.PutPolicy("reader", `path "secret/data/app/*" { capabilities = ["read"] }`))
	ok(sys.EnableAuthWithOptions("userpass", &bao.EnableAuthOptions{Type: "userpass"}))
	must[*bao.Secret](t)(c.Logical().Write("auth/userpass/users/ada", map[string]any{"password": "right", "token_policies": "reader"}))
	login := must[*bao.Secret](t)(c.Logical().Write("auth/userpass/login/ada", map[string]any{"password": "right"}))
	reader := must[*bao.Client](t)(c.Clone())
	reader.SetToken(login.Auth.ClientToken)
	must[*bao.KVSecret](t)(reader.KVv2("secret").Get(ctx, "app/db"))
	if _, err := reader.Sys().ListMounts(); err == nil {
		t.Error("a reader lists mounts")
	}
	if caps := must[[]string](t)(reader.Sys().CapabilitiesSelf("secret/data/app/db")); len(caps) != 1 || caps[0] != "read" {
		t.Errorf("capabilities %v", caps)
	}
	renewed := must[*bao.Secret](t)(reader.Auth().Token().RenewSelf(60))
	if renewed.Auth.LeaseDuration == 0 {
		t.Errorf("renewed: %+v", renewed.Auth)
	}

	wrapping := must[*bao.Client](t)(c.Clone())
	wrapping.SetToken(made.RootToken)
	wrapping.SetWrappingLookupFunc(func(string, string) string { return "1m" })
	wrapped := must[*bao.Secret](t)(wrapping.Logical().Read("secret/data/app/db"))
	if wrapped.WrapInfo == nil || wrapped.WrapInfo.TTL != int(time.Minute/time.Second) {
		t.Fatalf("wrapped: %+v", wrapped)
	}
	if got := must[*bao.Secret](t)(c.Logical().Unwrap(wrapped.WrapInfo.Token)); got.Data["data"].(map[string]any)["l"] != "2" {
		t.Errorf("unwrapped: %v", got.Data)
	}
	ok(reader.Auth().Token().RevokeSelf(""))
	if _, err := reader.Auth().Token().LookupSelf(); err == nil {
		t.Error("a revoked token looks itself up")
	}
	ok(sys.Seal())
}
