package compat

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
)

// The KV helpers of the Go client, from the first version of a secret to its end.
func TestGoClientKVv2(t *testing.T) {
	ctx := t.Context()
	kv := startDev(t).client(t, "root").KVv2("secret")
	if _, err := kv.Get(ctx, "app"); !errors.Is(err, api.ErrSecretNotFound) {
		t.Fatalf("Get of nothing: %v, want ErrSecretNotFound", err)
	}
	made := must[*api.KVSecret](t)(kv.Put(ctx, "app", map[string]any{"user": "ada", "n": 1, "gone": true}))
	if made.VersionMetadata.Version != 1 || time.Since(made.VersionMetadata.CreatedTime) > time.Minute {
		t.Errorf("first version: %+v", made.VersionMetadata)
	}
	got := must[*api.KVSecret](t)(kv.Get(ctx, "app"))
	want := map[string]any{"user": "ada", "n": json.Number("1"), "gone": true}
	if !reflect.DeepEqual(got.Data, want) || got.VersionMetadata.Version != 1 || got.CustomMetadata != nil {
		t.Errorf("Get: %v, version %d, custom metadata %v", got.Data, got.VersionMetadata.Version, got.CustomMetadata)
	}

	_, err := kv.Put(ctx, "app", map[string]any{}, api.WithCheckAndSet(0))
	refused(t, err, 400, "check-and-set parameter did not match the current version")
	_, err = kv.Put(ctx, "app", map[string]any{}, api.WithCheckAndSet(5))
	refused(t, err, 400, "check-and-set parameter did not match the current version")
	must[*api.KVSecret](t)(kv.Put(ctx, "app", map[string]any{"user": "bob"}, api.WithCheckAndSet(1)))

	for i, method := range []string{"", api.KVMergeMethodPatch, api.KVMergeMethodReadWrite} {
		var options []api.KVOption
		if method != "" {
			options = append(options, api.WithMergeMethod(method))
		}
		v := must[*api.KVSecret](t)(kv.Patch(ctx, "app", map[string]any{fmt.Sprint("k", i): i}, options...))
		if v.VersionMetadata.Version != i+3 {
			t.Errorf("Patch by %q made version %d, want %d", method, v.VersionMetadata.Version, i+3)
		}
	}
	got = must[*api.KVSecret](t)(kv.Get(ctx, "app"))
	if keys := slices.Sorted(maps.Keys(got.Data)); !slices.Equal(keys, []string{"k0", "k1", "k2", "user"}) {
		t.Errorf("keys after patches: %v", keys)
	}
	if _, err := kv.Patch(ctx, "none", map[string]any{"a": 1}); err == nil || !errors.Is(err, api.ErrSecretNotFound) {
		t.Errorf("Patch of nothing: %v, want ErrSecretNotFound", err)
	}
	back := must[*api.KVSecret](t)(kv.Rollback(ctx, "app", 1))
	if got = must[*api.KVSecret](t)(kv.GetVersion(ctx, "app", back.VersionMetadata.Version)); !reflect.DeepEqual(got.Data, want) {
		t.Errorf("after Rollback: %v", got.Data)
	}
	all := must[[]api.KVVersionMetadata](t)(kv.GetVersionsAsList(ctx, "app"))
	if len(all) != 6 || all[0].Version != 1 || all[5].Version != 6 {
		t.Errorf("versions: %+v", all)
	}
}

// Versions that are deleted, restored, destroyed, and the metadata beside them.
func TestGoClientKVv2Versions(t *testing.T) {
	ctx := t.Context()
	c := startDev(t).client(t, "root")
	kv := c.KVv2("secret")
	for i := range 4 {
		must[*api.KVSecret](t)(kv.Put(ctx, "app", map[string]any{"v": i + 1}))
	}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(kv.Delete(ctx, "app"))
	got := must[*api.KVSecret](t)(kv.Get(ctx, "app")) // a deleted version is a 404 with data: null and its metadata
	if got.Data != nil || got.VersionMetadata.Version != 4 || got.VersionMetadata.DeletionTime.IsZero() || got.VersionMetadata.Destroyed {
		t.Errorf("deleted: %v, %+v", got.Data, got.VersionMetadata)
	}
	check(kv.DeleteVersions(ctx, "app", []int{1, 2}))
	check(kv.Undelete(ctx, "app", []int{2, 4}))
	check(kv.Destroy(ctx, "app", []int{3}))
	meta := must[*api.KVMetadata](t)(kv.GetMetadata(ctx, "app"))
	for v, state := range map[string]string{"1": "deleted", "2": "live", "3": "destroyed", "4": "live"} {
		m := meta.Versions[v]
		is := map[bool]string{true: "destroyed", false: map[bool]string{true: "live", false: "deleted"}[m.DeletionTime.IsZero()]}[m.Destroyed]
		if is != state {
			t.Errorf("version %s is %s, want %s", v, is, state)
		}
	}
	if meta.CurrentVersion != 4 || meta.OldestVersion != 0 || meta.MaxVersions != 0 || meta.CASRequired {
		t.Errorf("metadata: %+v", meta)
	}

	check(kv.PutMetadata(ctx, "app", api.KVMetadataPutInput{MaxVersions: 2, CASRequired: true, CustomMetadata: map[string]any{"owner": "a"}, DeleteVersionAfter: time.Hour}))
	meta = must[*api.KVMetadata](t)(kv.GetMetadata(ctx, "app"))
	if meta.MaxVersions != 2 || !meta.CASRequired || meta.DeleteVersionAfter != time.Hour || meta.CustomMetadata["owner"] != "a" {
		t.Errorf("metadata put: %+v", meta)
	}
	_, err := kv.Put(ctx, "app", map[string]any{"v": 5})
	refused(t, err, 400, "check-and-set parameter required for this call")
	must[*api.KVSecret](t)(kv.Put(ctx, "app", map[string]any{"v": 5}, api.WithCheckAndSet(4)))
	cas := false
	check(kv.PatchMetadata(ctx, "app", api.KVMetadataPatchInput{CASRequired: &cas, CustomMetadata: map[string]any{"team": "b"}}))
	meta = must[*api.KVMetadata](t)(kv.GetMetadata(ctx, "app"))
	if meta.CASRequired || meta.CustomMetadata["owner"] != "a" || meta.CustomMetadata["team"] != "b" || meta.OldestVersion != 4 || len(meta.Versions) != 2 {
		t.Errorf("metadata patched: %+v", meta)
	}

	must[*api.KVSecret](t)(kv.Put(ctx, "folder/b", map[string]any{}))
	list := must[*api.Secret](t)(c.Logical().List("secret/metadata"))
	if keys := fmt.Sprint(list.Data["keys"]); keys != "[app folder/]" {
		t.Errorf("list: %s", keys)
	}
	check(kv.DeleteMetadata(ctx, "app"))
	if _, err := kv.GetMetadata(ctx, "app"); !errors.Is(err, api.ErrSecretNotFound) {
		t.Errorf("metadata after its deletion: %v", err)
	}
}

func TestGoClientKVv1(t *testing.T) {
	ctx := t.Context()
	c := startDev(t).client(t, "root")
	if err := c.Sys().Mount("old", &api.MountInput{Type: "kv", Options: map[string]string{"version": "1"}}); err != nil {
		t.Fatal(err)
	}
	kv := c.KVv1("old")
	if err := kv.Put(ctx, "a/b", map[string]any{"k": "v", "ttl": "30m"}); err != nil {
		t.Fatal(err)
	}
	got := must[*api.KVSecret](t)(kv.Get(ctx, "a/b"))
	if got.Data["k"] != "v" || got.Raw.LeaseDuration != 1800 {
		t.Errorf("read: %v, lease %d s", got.Data, got.Raw.LeaseDuration)
	}
	if err := kv.Delete(ctx, "a/b"); err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Get(ctx, "a/b"); !errors.Is(err, api.ErrSecretNotFound) {
		t.Errorf("read after delete: %v", err)
	}
	if list := must[*api.Secret](t)(c.Logical().List("old")); list != nil {
		t.Errorf("list of nothing: %v", list.Data)
	}
}
