// Package target owns what the operator fills: Secrets, and ConfigMaps for what is not secret. It decides by pure
// functions (decide.go) what brings a target to what is wanted, and writes that so that nobody ever sees an empty or
// half-filled one (write.go). It never reads a server.
package target

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"

	"strongroom/api/v1beta1"
	"strongroom/operator/condition"
)

const (
	// ManagedByLabel marks the targets that the operator keeps; it watches only these.
	ManagedByLabel = "app.kubernetes.io/managed-by"
	// ManagedBy is the label's value, and the field manager of the operator's changes.
	ManagedBy = "strongroom-operator"

	// Secret and ConfigMap are the kinds of targets.
	Secret    = "Secret"
	ConfigMap = "ConfigMap"

	keyBytes = 16 // of the key of a MAC
)

// Owner is the resource that fills a target.
type Owner struct {
	Kind, Namespace, Name string
	UID                   types.UID
}

// String names the owner as the annotation of a target does.
func (o Owner) String() string { return o.Kind + "/" + o.Namespace + "/" + o.Name }

// OwnerOf is a resource of a kind as the owner of its target.
func OwnerOf(kind string, resource metav1.Object) Owner {
	return Owner{Kind: kind, Namespace: resource.GetNamespace(), Name: resource.GetName(), UID: resource.GetUID()}
}

// Want is a target as it should be. It must not be logged.
type Want struct {
	Kind            string // Secret or ConfigMap; "": Secret
	Namespace, Name string
	Type            corev1.SecretType
	Data            map[string][]byte
	Labels          map[string]string // without the operator's own
	Annotations     map[string]string
	Immutable       bool
	Owner           Owner

	Overwrite bool // takes over what nobody controls
	Retain    bool // outlives its owner
	DataOnly  bool // must be there already; only its data is filled

	copied bool   // into a namespace that accepts copies
	field  string // of the spec that names it, for messages
}

// GoString keeps %#v from printing the data.
func (w Want) GoString() string { return "target " + w.Namespace + "/" + w.Name }

// String keeps %v from printing the data.
func (w Want) String() string { return w.GoString() }

// Called is how messages call it.
func (w Want) Called() string { return w.kind() + " " + w.Name }

// In is the same target in another namespace: a copy, which no owner reference can bind. Whoever accepts copies there
// accepts no more than that: nothing that is there is taken over.
func (w Want) In(namespace string) Want {
	w.Namespace, w.Retain, w.Overwrite, w.copied = namespace, true, false, true
	return w
}

// Ref is how a status records a target: KIND/NAME.
func (w Want) Ref() string { return w.kind() + "/" + w.Name }

// At is the target of the same owner that a status recorded by its Ref.
func (w Want) At(namespace, ref string) Want {
	w.Namespace = namespace
	w.Kind, w.Name, _ = strings.Cut(ref, "/")
	return w
}

// Check finds what no target can be. Errors are Problems: InvalidSpec.
func (w Want) Check() error {
	if w.kind() == Secret && w.Type == corev1.SecretTypeServiceAccountToken {
		return condition.Problemf(v1beta1.ReasonInvalidSpec,
			"Secret %s is to have the type %s, which Kubernetes fills itself: the two would rewrite it forever; name another type", w.Name, w.Type)
	}
	return nil
}

// kind is Secret or ConfigMap.
func (w Want) kind() string {
	if w.Kind == ConfigMap {
		return ConfigMap
	}
	return Secret
}

// spelled gives the word that a message calls a field of the spec by.
func (w Want) spelled(name string) string {
	if w.field == "" {
		return "target." + name
	}
	return w.field + "." + name
}

// OfTarget is the target of a VaultSecret without its data.
func OfTarget(owner Owner, spec v1beta1.VaultSecretTarget) Want {
	shape := spec.Template
	if shape == nil {
		shape = &v1beta1.SecretTemplate{}
	}
	want := Want{
		Kind: spec.Kind, Namespace: owner.Namespace, Name: spec.Name, Type: corev1.SecretType(shape.Type), Owner: owner,
		Labels: map[string]string{}, Annotations: map[string]string{},
		Immutable: spec.Immutable, Overwrite: spec.Overwrite, Retain: spec.DeletionPolicy == v1beta1.DeletionRetain, field: "target",
	}
	for _, some := range []map[string]string{shape.Labels, shape.Metadata.Labels} {
		maps.Copy(want.Labels, some)
	}
	for _, some := range []map[string]string{shape.Annotations, shape.Metadata.Annotations} {
		maps.Copy(want.Annotations, some)
	}
	return want
}

// OfDestination is the Secret of the other kinds without its data.
func OfDestination(owner Owner, spec v1beta1.Destination) Want {
	want := Want{
		Kind: Secret, Namespace: owner.Namespace, Name: spec.Name, Owner: owner, DataOnly: !spec.Create, field: "destination",
	}
	if spec.Create {
		want.Type, want.Labels, want.Annotations = spec.Type, spec.Labels, spec.Annotations
		want.Immutable, want.Overwrite, want.Retain = spec.Immutable, spec.Overwrite, spec.DeletionPolicy == v1beta1.DeletionRetain
	}
	return want
}

// CheckKeys finds a key that no Secret can have. Errors are Problems: TemplateError.
func CheckKeys(data map[string][]byte, cure string) error {
	for _, key := range slices.Sorted(maps.Keys(data)) {
		if wrong := validation.IsConfigMapKey(key); len(wrong) > 0 {
			return condition.Problemf(v1beta1.ReasonTemplateError,
				"key %q cannot be a key of a Secret (letters, digits, -, _ and . only): %s", key, cure)
		}
	}
	return nil
}

// labels are all that the operator sets.
func (w Want) labels() map[string]string {
	all := maps.Clone(w.Labels)
	if all == nil {
		all = make(map[string]string, 2)
	}
	all[ManagedByLabel] = ManagedBy
	if w.Owner.UID != "" {
		all[v1beta1.OwnerLabel] = string(w.Owner.UID)
	}
	return all
}

// annotations are all that the operator sets, with the key of the MAC.
func (w Want) annotations(key Key) map[string]string {
	all := maps.Clone(w.Annotations)
	if all == nil {
		all = make(map[string]string, 2)
	}
	all[v1beta1.SourceAnnotation] = w.Owner.String()
	if len(key) > 0 {
		all[v1beta1.MACKeyAnnotation] = base64.StdEncoding.EncodeToString(key)
	}
	return all
}

// Key is the key of a target's MAC. It lies in the target itself: who can read it can read what it authenticates, and
// the status that holds the MAC tells who cannot nothing.
type Key []byte

// NewKey draws a key.
func NewKey() Key {
	key := make(Key, keyBytes)
	_, _ = rand.Read(key) // never fails
	return key
}

// KeyOf is the key that a target holds; nil if it holds none.
func KeyOf(object metav1.Object) Key {
	key, err := base64.StdEncoding.DecodeString(object.GetAnnotations()[v1beta1.MACKeyAnnotation])
	if err != nil || len(key) != keyBytes {
		return nil
	}
	return key
}

// MAC is an HMAC-SHA-256 over data, or over some keys of it, in hexadecimal. "" without a key.
func (k Key) MAC(data map[string][]byte, only ...string) string {
	if len(k) == 0 {
		return ""
	}
	mac := hmac.New(sha256.New, k)
	for _, name := range slices.Sorted(maps.Keys(data)) {
		if len(only) > 0 && !slices.Contains(only, name) {
			continue
		}
		for _, part := range [][]byte{[]byte(name), data[name]} {
			_ = binary.Write(mac, binary.BigEndian, uint64(len(part)))
			mac.Write(part)
		}
	}
	return hex.EncodeToString(mac.Sum(nil))
}
