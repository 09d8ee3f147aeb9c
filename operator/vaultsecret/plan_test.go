package vaultsecret

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"strongroom/api/v1beta1"
	"strongroom/operator/condition"
	"strongroom/operator/source"
)

func vaultSecret(template *v1beta1.SecretTemplate) *v1beta1.VaultSecret {
	return &v1beta1.VaultSecret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "vs", UID: "uid-vs"},
		Spec:       v1beta1.VaultSecretSpec{Target: v1beta1.VaultSecretTarget{Name: "target", Template: template}},
	}
}

func secret() *source.Secret {
	return &source.Secret{
		Data:    map[string]any{"A": "one", "N": json.Number("2"), "M": map[string]any{"x": true}, "Z": nil},
		Version: "3", Name: "secret/app",
	}
}

func TestPlanFor(t *testing.T) {
	for _, test := range []struct {
		name     string
		template *v1beta1.SecretTemplate
		want     string // type, data, labels, annotations
	}{
		{"none", nil, "Opaque map[A:one M:{\"x\":true} N:2 Z:null] map[app.kubernetes.io/managed-by:strongroom-operator] map[]"},
		{"type only", &v1beta1.SecretTemplate{Type: "example.com/x"}, "example.com/x map[A:one M:{\"x\":true} N:2 Z:null] map[app.kubernetes.io/managed-by:strongroom-operator] map[]"},
		{
			"all", &v1beta1.SecretTemplate{
				StringData: map[string]string{"url": "x://{{ .A }}", "both": "s"}, Data: map[string][]byte{"raw": []byte("{{ .A }}"), "both": []byte("d")},
				Labels: map[string]string{"l": "1", "m": "1"}, Annotations: map[string]string{"a": "1"},
				Metadata: v1beta1.SecretTemplateMetadata{
					Labels:      map[string]string{"m": "2", "app.kubernetes.io/managed-by": "someone"},
					Annotations: map[string]string{"b": "2"},
				},
			},
			"Opaque map[both:s raw:{{ .A }} url:x://one] map[app.kubernetes.io/managed-by:strongroom-operator l:1 m:2] map[a:1 b:2]",
		},
	} {
		want, err := planFor(vaultSecret(test.template), secret())
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		data := make(map[string]string)
		for key, value := range want.data {
			data[key] = string(value)
		}
		if got := fmt.Sprint(want.kind, " ", data, " ", want.labels, " ", want.annotations); got != test.want {
			t.Errorf("%s:\n%s, want\n%s", test.name, got, test.want)
		}
		if text := fmt.Sprintf("%v %+v %#v", want, want, want); strings.Contains(text, "one") {
			t.Errorf("printing a plan shows its data: %s", text)
		}
	}
	lacking, err := planFor(vaultSecret(&v1beta1.SecretTemplate{StringData: map[string]string{"K": "a\n{{ .NO }}", "A": "{{ .A }}"}}), secret())
	if err != nil || len(lacking.data) != 1 || len(lacking.lacks) != 1 || lacking.lacks[0] != "K" {
		t.Errorf("a template that lacks a key gives %v, lacking %q (%v)", slices.Sorted(maps.Keys(lacking.data)), lacking.lacks, err)
	}
	err = lacking.lacking
	if !condition.Is(err, v1beta1.ReasonTemplateError) || !strings.Contains(err.Error(), `template of key "K", line 2: the source has no key "NO"; it has A, M, N, Z`) {
		t.Error(err)
	}
	odd := secret()
	odd.Data["a b"] = "x"
	if _, err := planFor(vaultSecret(nil), odd); !condition.Is(err, v1beta1.ReasonTemplateError) || !strings.Contains(err.Error(), `key "a b"`) {
		t.Error(err)
	}
}

func TestNext(t *testing.T) {
	yes := true
	ours := metav1.OwnerReference{Kind: "VaultSecret", Name: "vs", UID: "uid-vs", Controller: &yes}
	theirs := metav1.OwnerReference{Kind: "SealedSecret", Name: "s", UID: "uid-s", Controller: &yes}
	for _, test := range []struct {
		name      string
		change    func(live *corev1.Secret)
		overwrite bool
		again     bool
		want      step
		says      string
	}{
		{"as wanted", func(*corev1.Secret) {}, false, false, keep, ""},
		{"foreign label", func(s *corev1.Secret) { s.Labels["x"] = "y" }, false, false, keep, ""},
		{"spec edited", func(*corev1.Secret) {}, false, true, apply, ""},
		{"value edited", func(s *corev1.Secret) { s.Data["A"] = []byte("two") }, false, false, apply, ""},
		{"key added", func(s *corev1.Secret) { s.Data["B"] = []byte("b") }, false, false, apply, ""},
		{"key removed", func(s *corev1.Secret) { delete(s.Data, "A") }, false, false, apply, ""},
		{"label edited", func(s *corev1.Secret) { s.Labels["l"] = "2" }, false, false, apply, ""},
		{"our label removed", func(s *corev1.Secret) { delete(s.Labels, ManagedByLabel) }, false, false, apply, ""},
		{"annotation removed", func(s *corev1.Secret) { s.Annotations = nil }, false, false, apply, ""},
		{"owner removed", func(s *corev1.Secret) { s.OwnerReferences = nil }, false, false, apply, ""},
		{"other type", func(s *corev1.Secret) { s.Type = "x/y" }, false, false, replace, ""},
		{"immutable", func(s *corev1.Secret) { s.Immutable = &yes }, false, false, keep, ""},
		{"immutable and edited", func(s *corev1.Secret) { s.Immutable = &yes; s.Data["A"] = nil }, false, false, replace, ""},
		{"foreign", func(s *corev1.Secret) { s.OwnerReferences, s.Labels = nil, nil }, false, false, "", "no VaultSecret made it"},
		{"foreign, overwrite", func(s *corev1.Secret) { s.OwnerReferences, s.Labels = nil, nil }, true, false, apply, ""},
		{"controlled, overwrite", func(s *corev1.Secret) { s.OwnerReferences[0] = theirs }, true, false, "", "controlled by SealedSecret s"},
		{"another VaultSecret's", func(s *corev1.Secret) { s.OwnerReferences[0].UID = "other" }, false, false, "", "controlled by VaultSecret vs"},
	} {
		vs := vaultSecret(&v1beta1.SecretTemplate{Labels: map[string]string{"l": "1"}, Annotations: map[string]string{"a": "1"}})
		vs.Spec.Target.Overwrite = test.overwrite
		want, err := planFor(vs, &source.Secret{Data: map[string]any{"A": "one"}})
		if err != nil {
			t.Fatal(err)
		}
		live := &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{
				Name: "target", OwnerReferences: []metav1.OwnerReference{ours},
				Labels: map[string]string{"l": "1", ManagedByLabel: ManagedBy}, Annotations: map[string]string{"a": "1"},
			},
			Type: corev1.SecretTypeOpaque, Data: map[string][]byte{"A": []byte("one")},
		}
		test.change(live)
		got, err := next(vs, live, want, test.again)
		if test.says != "" {
			if !condition.Is(err, v1beta1.ReasonTargetConflict) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%s: %v, want TargetConflict with %q", test.name, err, test.says)
			}
		} else if err != nil || got != test.want {
			t.Errorf("%s: %q, %v; want %q", test.name, got, err, test.want)
		}
		if got, err := next(vs, nil, want, test.again); got != create || err != nil {
			t.Errorf("%s, without a Secret: %q, %v", test.name, got, err)
		}
	}
}

func TestInterval(t *testing.T) {
	for text, want := range map[string]time.Duration{"": 30 * time.Second, "1m30s": 90 * time.Second, "1s": time.Second} {
		vs := vaultSecret(nil)
		vs.Spec.RefreshAfter = text
		if got, err := interval(vs); got != want || err != nil {
			t.Errorf("%q: %s, %v; want %s", text, got, err, want)
		}
	}
	vs := vaultSecret(nil)
	vs.Spec.RefreshAfter = "10ms"
	if _, err := interval(vs); !condition.Is(err, v1beta1.ReasonInvalidSpec) {
		t.Error(err)
	}
}

func TestKept(t *testing.T) {
	yes := true
	vs := vaultSecret(nil)
	live := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
		Name: "target", ResourceVersion: "7", OwnerReferences: []metav1.OwnerReference{{UID: "uid-vs", Controller: &yes}},
	}}
	check := func(live *corev1.Secret, want string) {
		t.Helper()
		if got := kept(vs, live); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	check(live, "")
	vs.Status.TargetResourceVersion = "7"
	check(live, "; Secret target keeps what it holds")
	vs.Status.SecretVersion = "3"
	check(live, "; Secret target keeps version 3")
	live.ResourceVersion = "8"
	check(live, "; Secret target was edited meanwhile and is restored when this is cured")
	check(nil, "; Secret target is gone and comes back when this is cured")
}

func TestRefusedQuotesNoValue(t *testing.T) {
	invalid := apierrors.NewInvalid(schema.GroupKind{Kind: "Secret"}, "target", field.ErrorList{
		field.Required(field.NewPath("data").Key("tls.crt"), ""), field.Invalid(field.NewPath("data"), "s3cr3t", "s3cr3t is bad"),
	})
	err := refused("target", invalid)
	if !condition.Is(err, v1beta1.ReasonTargetRefused) || !strings.Contains(err.Error(), "data[tls.crt] (FieldValueRequired)") || strings.Contains(err.Error(), "s3cr3t") {
		t.Error(err)
	}
	if err := refused("target", apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "target", errors.New("exceeded quota"))); !condition.Is(err, v1beta1.ReasonTargetRefused) {
		t.Error(err)
	}
	if _, known := condition.As(refused("target", apierrors.NewInternalError(errors.New("x")))); known {
		t.Error("an internal error of the API server is told to the user")
	}
}

// A source that lost a key leaves that key's last value in the Secret; nothing else does.
func TestComplete(t *testing.T) {
	vs := vaultSecret(nil)
	ours := func(kind corev1.SecretType, keys ...string) *corev1.Secret {
		live := &corev1.Secret{Type: kind, Data: map[string][]byte{}}
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
		live *corev1.Secret
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
		want, err := planFor(vaultSecret(&v1beta1.SecretTemplate{StringData: map[string]string{"K": "{{ .NO }}", "A": "{{ .A }}"}}), secret())
		if err != nil {
			t.Fatal(err)
		}
		if got := want.complete(vs, test.live); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
		if test.want && (string(want.data["K"]) != "old K" || string(want.data["A"]) == "old A") {
			t.Errorf("%s: completed to %q", name, want.data)
		}
	}
}
