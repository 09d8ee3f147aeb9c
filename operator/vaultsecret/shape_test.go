package vaultsecret

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"strongroom/api/v1beta1"
	"strongroom/operator/condition"
	"strongroom/operator/source"
	"strongroom/operator/target"
)

func vaultSecret(template *v1beta1.SecretTemplate) *v1beta1.VaultSecret {
	vs := &v1beta1.VaultSecret{}
	vs.Name, vs.Namespace, vs.UID, vs.Generation = "vs", "ns", "uid-vs", 1
	vs.Annotations = map[string]string{"a/host": "h"}
	vs.Spec.Target = v1beta1.VaultSecretTarget{Name: "target", Template: template}
	return vs
}

func read() *gathered {
	return &gathered{
		name: "secret/app", says: "version 3 of secret/app",
		data: map[string]any{"A": "one", "N": json.Number("2"), "M": map[string]any{"x": true}, "Z": nil},
	}
}

func TestShape(t *testing.T) {
	for _, test := range []struct {
		name     string
		template *v1beta1.SecretTemplate
		want     string
	}{
		{"none", nil, `map[A:one M:{"x":true} N:2 Z:null]`},
		{"type only", &v1beta1.SecretTemplate{Type: "example.com/x"}, `map[A:one M:{"x":true} N:2 Z:null]`},
		{
			"all", &v1beta1.SecretTemplate{
				StringData: map[string]string{"url": "x://{{ .A }}@{{ get .Annotations \"a/host\" }}", "both": "s"},
				Data:       map[string][]byte{"raw": []byte("{{ .A }}"), "both": []byte("d")},
			},
			"map[both:s raw:{{ .A }} url:x://one@h]",
		},
	} {
		made, err := shape(vaultSecret(test.template), read())
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		data := make(map[string]string)
		for key, value := range made.data {
			data[key] = string(value)
		}
		if got := fmt.Sprint(data); got != test.want {
			t.Errorf("%s:\n%s, want\n%s", test.name, got, test.want)
		}
		if text := fmt.Sprintf("%v %+v %#v %v %#v", made, made, made, read(), read()); strings.Contains(text, "one") {
			t.Errorf("printing it shows its data: %s", text)
		}
	}
	lacking, err := shape(vaultSecret(&v1beta1.SecretTemplate{StringData: map[string]string{"K": "a\n{{ .NO }}", "A": "{{ .A }}"}}), read())
	if err != nil || len(lacking.data) != 1 || len(lacking.lacks) != 1 || lacking.lacks[0] != "K" {
		t.Errorf("a template that lacks a key gives %v, lacking %q (%v)", slices.Sorted(maps.Keys(lacking.data)), lacking.lacks, err)
	}
	err = lacking.lacking
	if !condition.Is(err, v1beta1.ReasonTemplateError) || !strings.Contains(err.Error(), `template of key "K", line 2: the source has no key "NO"; it has A, M, N, Z`) {
		t.Error(err)
	}
	odd := read()
	odd.data["a b"] = "x"
	if _, err := shape(vaultSecret(nil), odd); !condition.Is(err, v1beta1.ReasonTemplateError) || !strings.Contains(err.Error(), `key "a b"`) {
		t.Error(err)
	}
}

func TestSpec(t *testing.T) {
	for text, want := range map[string]time.Duration{"": 0, "1m30s": 90 * time.Second, "1s": time.Second} {
		vs := vaultSecret(nil)
		vs.Spec.RefreshAfter = text
		if got, err := (&Kind{}).Spec(vs); got.Every != want || got.Fallback != 30*time.Second || err != nil {
			t.Errorf("%q: %s, %v; want %s", text, got.Every, err, want)
		}
	}
	vs := vaultSecret(nil)
	vs.Spec.RefreshAfter = "10ms"
	if _, err := (&Kind{}).Spec(vs); !condition.Is(err, v1beta1.ReasonInvalidSpec) {
		t.Error(err)
	}
}

// A source that lost a key leaves that key's last value in the Secret; nothing else does.
func TestComplete(t *testing.T) {
	vs := vaultSecret(nil)
	ours := func(kind corev1.SecretType, keys ...string) *target.Live {
		live := &target.Live{Type: kind, Kind: target.Secret, Data: map[string][]byte{}}
		yes := true
		live.OwnerReferences = []metav1.OwnerReference{{UID: vs.UID, Controller: &yes}}
		for _, key := range keys {
			live.Data[key] = []byte("old " + key)
		}
		return live
	}
	foreign := ours(corev1.SecretTypeOpaque, "A", "K")
	foreign.OwnerReferences[0].UID = "another"
	for name, test := range map[string]struct {
		live *target.Live
		want bool
	}{
		"the same keys":      {ours(corev1.SecretTypeOpaque, "A", "K"), true},
		"no Secret yet":      {nil, false},
		"somebody else's":    {foreign, false},
		"never had the key":  {ours(corev1.SecretTypeOpaque, "A"), false},
		"another template's": {ours(corev1.SecretTypeOpaque, "A", "K", "X"), false},
		"other keys":         {ours(corev1.SecretTypeOpaque, "K", "X"), false},
		"another type":       {ours(corev1.SecretTypeTLS, "A", "K"), false},
	} {
		made, err := shape(vaultSecret(&v1beta1.SecretTemplate{StringData: map[string]string{"K": "{{ .NO }}", "A": "{{ .A }}"}}), read())
		if err != nil {
			t.Fatal(err)
		}
		if got := made.complete(vs, test.live); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
		if test.want && (string(made.data["K"]) != "old K" || string(made.data["A"]) == "old A") {
			t.Errorf("%s: completed to %q", name, made.data)
		}
	}
}

func TestRename(t *testing.T) {
	secret := &source.Secret{Name: "secret/app", Data: map[string]any{"DB_USER": "u", "DB_PASS": "p", "OTHER": "o"}}
	for _, test := range []struct {
		part       v1beta1.VaultSecretPart
		want, says string
	}{
		{v1beta1.VaultSecretPart{}, "map[DB_PASS:p DB_USER:u OTHER:o]", ""},
		{v1beta1.VaultSecretPart{Includes: []string{"^DB_"}, Rewrite: []v1beta1.KeyRewrite{{Pattern: "^DB_(.*)$", Replacement: "pg.$1"}}}, "map[pg.PASS:p pg.USER:u]", ""},
		{v1beta1.VaultSecretPart{Excludes: []string{"DB"}}, "map[OTHER:o]", ""},
		{v1beta1.VaultSecretPart{Rewrite: []v1beta1.KeyRewrite{{Pattern: ".*", Replacement: "x"}}}, "", `keys "DB_PASS" and "DB_USER" of secret/app both become "x"`},
		{v1beta1.VaultSecretPart{Includes: []string{"("}}, "", "is no regular expression"},
		{v1beta1.VaultSecretPart{Rewrite: []v1beta1.KeyRewrite{{Pattern: "(", Replacement: "x"}}}, "", "is no regular expression"},
	} {
		got, err := rename(test.part, secret)
		if test.says != "" {
			if !condition.Is(err, v1beta1.ReasonInvalidSpec) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%v: %v, want %s", test.part, err, test.says)
			}
		} else if err != nil || fmt.Sprint(got) != test.want {
			t.Errorf("%v: %v, %v; want %s", test.part, got, err, test.want)
		}
	}
	if got := asKey("eu/db main_PASS"); got != "eu_db_main_PASS" {
		t.Error(got)
	}
	for path, want := range map[string]string{"secret/data/team/a/b": "secret/data/team/", "old/team/a": "team/"} {
		prefix := "secret/team"
		if strings.HasPrefix(path, "old") {
			prefix = "team"
		}
		if got := folder(path, prefix); got != want {
			t.Errorf("folder of %s: %s, want %s", path, got, want)
		}
	}
}
