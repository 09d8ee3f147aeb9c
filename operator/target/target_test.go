package target

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"strongroom/api/v1beta1"
	"strongroom/operator/condition"
)

var owner = Owner{Kind: "VaultSecret", Namespace: "ns", Name: "vs", UID: "uid-vs"}

func wanted() Want {
	want := OfTarget(owner, v1beta1.VaultSecretTarget{Name: "target", Template: &v1beta1.SecretTemplate{
		Labels: map[string]string{"l": "1"}, Annotations: map[string]string{"a": "1"},
	}})
	want.Data = map[string][]byte{"A": []byte("one")}
	return want
}

// live is the target as it is right after a sync.
func asWritten(want Want) *Live {
	yes := true
	return &Live{
		ObjectMeta: metav1.ObjectMeta{
			Name: want.Name, Namespace: want.Namespace, Labels: want.labels(), Annotations: want.annotations(NewKey()),
			OwnerReferences: []metav1.OwnerReference{{Kind: "VaultSecret", Name: "vs", UID: "uid-vs", Controller: &yes}},
		},
		Kind: Secret, Type: want.secretType(), Data: map[string][]byte{"A": []byte("one")},
	}
}

func TestNext(t *testing.T) {
	yes := true
	theirs := metav1.OwnerReference{APIVersion: "bitnami.com/v1alpha1", Kind: "SealedSecret", Name: "s", UID: "uid-s", Controller: &yes}
	another := metav1.OwnerReference{APIVersion: v1beta1.GroupVersion().String(), Kind: "VaultPKISecret", Name: "other", UID: "uid-o", Controller: &yes}
	nobody := func(l *Live) { l.OwnerReferences, l.Labels, l.Annotations = nil, nil, nil }
	for _, test := range []struct {
		name   string
		live   func(*Live)
		change func(*Want)
		again  bool
		want   Step
		says   string
	}{
		{"as wanted", nil, nil, false, Keep, ""},
		{"foreign label", func(l *Live) { l.Labels["x"] = "y" }, nil, false, Keep, ""},
		{"spec edited", nil, nil, true, Apply, ""},
		{"value edited", func(l *Live) { l.Data["A"] = []byte("two") }, nil, false, Apply, ""},
		{"key added", func(l *Live) { l.Data["B"] = []byte("b") }, nil, false, Apply, ""},
		{"key removed", func(l *Live) { delete(l.Data, "A") }, nil, false, Apply, ""},
		{"label edited", func(l *Live) { l.Labels["l"] = "2" }, nil, false, Apply, ""},
		{"our label removed", func(l *Live) { delete(l.Labels, ManagedByLabel) }, nil, false, Apply, ""},
		{"annotation removed", func(l *Live) { l.Annotations = nil }, nil, false, Apply, ""},
		{"owner removed", func(l *Live) { l.OwnerReferences = nil }, nil, false, Apply, ""},
		{"other type", func(l *Live) { l.Type = "x/y" }, nil, false, Replace, ""},
		{"made immutable by others", func(l *Live) { l.Immutable = true }, nil, false, Keep, ""},
		{"made immutable by others, spec edited", func(l *Live) { l.Immutable = true }, nil, true, Replace, ""},
		{"immutable as wanted", func(l *Live) { l.Immutable = true }, func(w *Want) { w.Immutable = true }, false, Keep, ""},
		{"immutable and edited", func(l *Live) { l.Immutable = true }, func(w *Want) { w.Immutable = true; w.Data["A"] = nil }, false, Replace, ""},
		{"to be immutable", nil, func(w *Want) { w.Immutable = true }, false, Apply, ""},
		{"to be retained", nil, func(w *Want) { w.Retain = true }, false, Apply, ""},
		{"retained", func(l *Live) { l.OwnerReferences = nil }, func(w *Want) { w.Retain = true }, false, Keep, ""},
		{"foreign", nobody, nil, false, "", "no VaultSecret made it"},
		{"foreign, overwrite", nobody, func(w *Want) { w.Overwrite = true }, false, Apply, ""},
		{"controlled, overwrite", func(l *Live) { l.OwnerReferences[0] = theirs }, func(w *Want) { w.Overwrite = true }, false, "", "controlled by SealedSecret s"},
		{"another VaultSecret's", func(l *Live) { l.OwnerReferences[0].UID = "other" }, nil, false, "", "controlled by VaultSecret vs"},
		{
			"another's, retained",
			func(l *Live) {
				l.OwnerReferences = nil
				l.Labels[v1beta1.OwnerLabel] = "other"
				l.Annotations[v1beta1.SourceAnnotation] = "VaultSecret/other/vs"
			},
			nil, false, "", "is filled by VaultSecret/other/vs",
		},
		{"an orphan of the same name", func(l *Live) { l.OwnerReferences = nil; l.Labels[v1beta1.OwnerLabel] = "former" }, nil, false, Apply, ""},
		{"kept by another operator for us", func(l *Live) { nobody(l); l.OwnerReferences = []metav1.OwnerReference{{UID: "uid-vs"}} }, nil, false, Apply, ""},
		{"data only, foreign", func(l *Live) { nobody(l); l.Data["A"] = nil }, func(w *Want) { w.DataOnly = true }, false, Apply, ""},
		{"data only, another resource's", func(l *Live) { l.OwnerReferences[0] = another }, func(w *Want) { w.DataOnly = true }, false, "", "is controlled by VaultPKISecret other"},
		{"data only, another kind's", func(l *Live) { nobody(l); l.OwnerReferences, l.Data["A"] = []metav1.OwnerReference{theirs}, nil }, func(w *Want) { w.DataOnly = true }, false, Apply, ""},
		{
			"data only, another's without owner",
			func(l *Live) {
				nobody(l)
				l.Labels, l.Annotations = map[string]string{ManagedByLabel: ManagedBy}, map[string]string{v1beta1.SourceAnnotation: "VaultSecret/other/vs"}
			},
			func(w *Want) { w.DataOnly, w.field = true, "destination" }, false, "", "is filled by VaultSecret/other/vs: choose another destination.name, or set destination.create: true and destination.overwrite: true",
		},
		{"data only, once ours", func(l *Live) { l.Data["A"] = nil }, func(w *Want) { w.DataOnly = true }, false, Apply, ""},
		{"copy, foreign, overwrite", nobody, func(w *Want) { w.Overwrite = true; *w = w.In("there") }, false, "", "have it taken over there by the label " + ManagedByLabel},
		{"copy, labelled there", func(l *Live) { nobody(l); l.Labels = map[string]string{ManagedByLabel: ManagedBy} }, func(w *Want) { *w = w.In("there") }, false, Apply, ""},
		{"copy, another's copy", func(l *Live) {
			nobody(l)
			l.Labels, l.Annotations = map[string]string{ManagedByLabel: ManagedBy}, map[string]string{v1beta1.SourceAnnotation: "VaultSecret/other/vs"}
		}, func(w *Want) { w.Overwrite = true; *w = w.In("there") }, false, "", "is filled by VaultSecret/other/vs: choose another target.name, or delete it there"},
		{"data only, same", nobody, func(w *Want) { w.DataOnly = true }, true, Keep, ""},
		{"data only, immutable", func(l *Live) { nobody(l); l.Immutable = true; l.Data["A"] = nil }, func(w *Want) { w.DataOnly = true }, false, "", "is immutable and not ours"},
	} {
		want := wanted()
		live := asWritten(want)
		if test.live != nil {
			test.live(live)
		}
		if test.change != nil {
			test.change(&want)
		}
		got, err := Next(live, want, test.again)
		if test.says != "" {
			if !condition.Is(err, v1beta1.ReasonTargetConflict) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%s: %q, %v, want TargetConflict with %q", test.name, got, err, test.says)
			}
		} else if err != nil || got != test.want {
			t.Errorf("%s: %q, %v; want %q", test.name, got, err, test.want)
		}
		got, err = Next(nil, want, test.again)
		if want.DataOnly {
			if !condition.Is(err, v1beta1.ReasonTargetConflict) || !strings.Contains(err.Error(), "destination.create") {
				t.Errorf("%s, without a Secret: %q, %v", test.name, got, err)
			}
		} else if got != Create || err != nil {
			t.Errorf("%s, without a Secret: %q, %v", test.name, got, err)
		}
		if text := fmt.Sprintf("%v %+v %#v %v %#v", want, want, want, live, live); strings.Contains(text, "one") || strings.Contains(text, "111 110 101") {
			t.Errorf("printing it shows its data: %s", text)
		}
	}
}

func TestOfDestination(t *testing.T) {
	spec := v1beta1.Destination{Name: "x", Labels: map[string]string{"l": "1"}, Type: "a/b", Overwrite: true, DeletionPolicy: v1beta1.DeletionRetain}
	if want := OfDestination(owner, spec); !want.DataOnly || want.Labels != nil || want.Type != "" || want.Overwrite || want.Retain {
		t.Errorf("without create: %+v", want)
	}
	spec.Create = true
	if want := OfDestination(owner, spec); want.DataOnly || want.Labels["l"] != "1" || want.Type != "a/b" || !want.Overwrite || !want.Retain {
		t.Errorf("with create: %+v", want)
	}
}

func TestMAC(t *testing.T) {
	key := NewKey()
	data := map[string][]byte{"ab": []byte("c"), "d": []byte("e")}
	mac := key.MAC(data)
	if len(mac) != 64 || key.MAC(map[string][]byte{"d": []byte("e"), "ab": []byte("c")}) != mac {
		t.Error("the MAC depends on the order")
	}
	for _, other := range []map[string][]byte{
		{"a": []byte("bc"), "d": []byte("e")}, {"ab": []byte("c")}, {"ab": []byte("c"), "d": []byte("f")}, {"ab": []byte("cd"), "": []byte("e")},
	} {
		if key.MAC(other) == mac {
			t.Errorf("%q has the same MAC", other)
		}
	}
	if NewKey().MAC(data) == mac || Key(nil).MAC(data) != "" {
		t.Error("the MAC does not depend on the key")
	}
	if key.MAC(data, "d") != key.MAC(map[string][]byte{"d": []byte("e"), "x": nil}, "d") || key.MAC(data, "d") == mac {
		t.Error("the MAC of some keys is wrong")
	}
	object := &metav1.ObjectMeta{Annotations: wanted().annotations(key)}
	if string(KeyOf(object)) != string(key) || KeyOf(&metav1.ObjectMeta{Annotations: map[string]string{v1beta1.MACKeyAnnotation: "c2hvcnQ="}}) != nil {
		t.Error("the key does not come back from the annotation")
	}
}

func TestRefusedQuotesNoValue(t *testing.T) {
	invalid := apierrors.NewInvalid(schema.GroupKind{Kind: "Secret"}, "target", field.ErrorList{
		field.Required(field.NewPath("data").Key("tls.crt"), ""), field.Invalid(field.NewPath("data"), "s3cr3t", "s3cr3t is bad"),
	})
	err := refused(wanted(), invalid)
	if !condition.Is(err, v1beta1.ReasonTargetRefused) || !strings.Contains(err.Error(), "data[tls.crt] (FieldValueRequired)") || strings.Contains(err.Error(), "s3cr3t") {
		t.Error(err)
	}
	if err := refused(wanted(), apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "target", errors.New("exceeded quota"))); !condition.Is(err, v1beta1.ReasonTargetRefused) {
		t.Error(err)
	}
	if _, known := condition.As(refused(wanted(), apierrors.NewInternalError(errors.New("x")))); known {
		t.Error("an internal error of the API server is told to the user")
	}
}

func TestSplit(t *testing.T) {
	text, binary := split(map[string][]byte{"t": []byte("text ä"), "b": {0xff, 0}, "e": {}})
	if len(text) != 2 || text["t"] != "text ä" || len(binary) != 1 || corev1.SecretTypeOpaque == "" {
		t.Errorf("%q %q", text, binary)
	}
}
