package v1beta1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Destination is the Secret that a VaultStaticSecret, VaultDynamicSecret or VaultPKISecret fills.
//
// +kubebuilder:validation:XValidation:rule="!has(self.immutable) || !self.immutable || (has(self.create) && self.create)",message="immutable needs create: true"
type Destination struct {
	// Name of the Secret, in the namespace of the resource.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	Name string `json:"name"`
	// Create makes the Secret, and keeps it: it goes with the resource. Without it the Secret must be there, and only
	// its data is filled.
	// +optional
	// +kubebuilder:default=false
	Create bool `json:"create,omitempty"`
	// Overwrite takes over a Secret of that name which nobody controls. Needs create.
	// +optional
	// +kubebuilder:default=false
	Overwrite bool `json:"overwrite,omitempty"`
	// Labels of the Secret. Needs create.
	// +optional
	Labels map[string]string `json:"labels,omitempty"`
	// Annotations of the Secret. Needs create.
	// +optional
	Annotations map[string]string `json:"annotations,omitempty"`
	// Type of the Secret. Needs create. Default: Opaque.
	// +optional
	Type corev1.SecretType `json:"type,omitempty"`
	// Transformation shapes the data.
	// +optional
	Transformation Transformation `json:"transformation,omitempty"`
	// Immutable makes an immutable Secret; a change replaces it. Needs create.
	// +optional
	Immutable bool `json:"immutable,omitempty"`
	// DeletionPolicy says what becomes of the Secret when the resource is deleted. Default: Delete.
	// +optional
	DeletionPolicy DeletionPolicy `json:"deletionPolicy,omitempty"`
}

// DeletionPolicy says what becomes of a target when its resource is deleted: Delete or Retain.
//
// +kubebuilder:validation:Enum=Delete;Retain
type DeletionPolicy string

// The deletion policies.
const (
	DeletionDelete DeletionPolicy = "Delete"
	DeletionRetain DeletionPolicy = "Retain"
)

// Transformation shapes the data of a Secret: templates add keys, filters choose among the source's.
type Transformation struct {
	// Templates maps keys of the Secret to templates. They are always rendered, and win over those of a
	// SecretTransformation.
	// +optional
	// +kubebuilder:validation:MaxProperties=512
	Templates map[string]Template `json:"templates,omitempty"`
	// TransformationRefs names SecretTransformations whose templates and filters count here too.
	// +optional
	// +kubebuilder:validation:MaxItems=64
	TransformationRefs []TransformationRef `json:"transformationRefs,omitempty"`
	// Includes are regular expressions; only keys of the source that match one stay. Applied after excludes, and not
	// to what templates make.
	// +optional
	// +kubebuilder:validation:MaxItems=128
	Includes []string `json:"includes,omitempty"`
	// Excludes are regular expressions; keys of the source that match one go. ".*" leaves the templates only.
	// +optional
	// +kubebuilder:validation:MaxItems=128
	Excludes []string `json:"excludes,omitempty"`
	// ExcludeRaw leaves out the key _raw, which holds the server's whole answer.
	// +optional
	ExcludeRaw bool `json:"excludeRaw,omitempty"`
}

// Template is a Go template. Its input has .Secrets, .Metadata, .Labels and .Annotations.
type Template struct {
	// Name of the template, for transformationRefs.
	// +optional
	Name string `json:"name,omitempty"`
	// Text of the template.
	Text string `json:"text"`
}

// TransformationRef names a SecretTransformation.
type TransformationRef struct {
	// Namespace of the SecretTransformation. Default: the resource's. Another's must allow it
	// (spec.allowedNamespaces there).
	// +optional
	Namespace string `json:"namespace,omitempty"`
	// Name of the SecretTransformation.
	// +kubebuilder:validation:MinLength=1
	Name string `json:"name"`
	// TemplateRefs chooses templates. Default: all.
	// +optional
	TemplateRefs []TemplateRef `json:"templateRefs,omitempty"`
	// IgnoreIncludes leaves the SecretTransformation's includes aside.
	// +optional
	IgnoreIncludes bool `json:"ignoreIncludes,omitempty"`
	// IgnoreExcludes leaves the SecretTransformation's excludes aside.
	// +optional
	IgnoreExcludes bool `json:"ignoreExcludes,omitempty"`
}

// TemplateRef chooses a template of a SecretTransformation.
type TemplateRef struct {
	// Name of the template: its key in spec.templates, or its name.
	// +kubebuilder:validation:MinLength=1
	Name string `json:"name"`
	// KeyOverride is the key of the Secret. Default: the template's key.
	// +optional
	KeyOverride string `json:"keyOverride,omitempty"`
}

// RolloutRestartTarget is a workload to restart, as `kubectl rollout restart` does, when the Secret's data changed.
//
// +kubebuilder:validation:XValidation:rule="has(self.name) != has(self.selector)",message="give exactly one of name and selector"
type RolloutRestartTarget struct {
	// Kind of the workload.
	// +kubebuilder:validation:Enum=Deployment;DaemonSet;StatefulSet;argo.Rollout
	Kind string `json:"kind"`
	// Name of the workload, in the namespace of the resource.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	Name string `json:"name,omitempty"`
	// Selector chooses workloads of the kind by their labels.
	// +optional
	Selector *metav1.LabelSelector `json:"selector,omitempty"`
}

// RestartPolicy says when rolloutRestartTargets are restarted.
type RestartPolicy struct {
	// Keys of the Secret whose change restarts. Default: all.
	// +optional
	// +kubebuilder:validation:MaxItems=512
	Keys []string `json:"keys,omitempty"`
	// MinInterval is the least time between two restarts; changes within it are answered by one restart at its end.
	// +optional
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(s|m|h))+$`
	MinInterval string `json:"minInterval,omitempty"`
}

// SyncConfig says how changes on the server are noticed.
type SyncConfig struct {
	// InstantUpdates follows the server's events, beside polling.
	// +optional
	InstantUpdates bool `json:"instantUpdates,omitempty"`
}

// SyncStatus is what every kind that fills a Secret reports. It never holds a value.
type SyncStatus struct {
	Status `json:",inline"`
	// LastSyncTime is when the target was last known to equal the source. To spare the API server it moves at once
	// when something changed, and otherwise every five minutes.
	// +optional
	LastSyncTime *metav1.Time `json:"lastSyncTime,omitempty"`
	// NextSyncTime is when the source is looked at again, if that is more than a minute off.
	// +optional
	NextSyncTime *metav1.Time `json:"nextSyncTime,omitempty"`
	// Updates says how changes are learned of: Events (at once) or Polling (the login may not subscribe to the
	// server's events, or the server has none).
	// +optional
	Updates string `json:"updates,omitempty"`
	// SecretVersion is the version that the target holds; empty where the engine has none.
	// +optional
	SecretVersion string `json:"secretVersion,omitempty"`
	// SourcePath is the path on the server's API that was read, such as secret/data/longhorn-r2.
	// +optional
	SourcePath string `json:"sourcePath,omitempty"`
	// SyncedGeneration is the generation of the spec that the target was last filled by.
	// +optional
	SyncedGeneration int64 `json:"syncedGeneration,omitempty"`
	// Targets are what the resource fills or filled, and has yet to delete: KIND/NAME, such as Secret/app, in its namespace
	// and in those of copies. What is not among them is not deleted, whatever labels it bears.
	// +optional
	Targets []string `json:"targets,omitempty"`
	// TargetResourceVersion is the resourceVersion of the target after the last sync.
	// +optional
	TargetResourceVersion string `json:"targetResourceVersion,omitempty"`
	// SecretMAC is an HMAC-SHA-256 of the target's data, by which it is known to be as it was left without reading the
	// server. Its key is in the target.
	// +optional
	SecretMAC string `json:"secretMAC,omitempty"`
	// LastSyncRequest is the annotation secrets.hashicorp.com/sync-now as it was when the resource was last looked at.
	// +optional
	LastSyncRequest string `json:"lastSyncRequest,omitempty"`
	// RestartedMAC is an HMAC-SHA-256 of the watched keys at the last restart of rolloutRestartTargets.
	// +optional
	RestartedMAC string `json:"restartedMAC,omitempty"`
	// RestartedVersion is secretVersion at that restart.
	// +optional
	RestartedVersion string `json:"restartedVersion,omitempty"`
	// LastRestartTime is when rolloutRestartTargets were last restarted.
	// +optional
	LastRestartTime *metav1.Time `json:"lastRestartTime,omitempty"`
}

// Reasons of the kinds that fill a Secret, beside those of every kind.
const (
	ReasonDryRun        = "DryRun"        // the annotation asks for a plan only
	ReasonNotLeased     = "NotLeased"     // the engine gave no lease, and nothing says when to read again
	ReasonRestartFailed = "RestartFailed" // the Secret is true, but a workload could not be restarted
)

// Names of annotations and labels.
const (
	// DryRunAnnotation on a resource, with value "true", makes the operator say what it would do, and do nothing.
	DryRunAnnotation = Group + "/dry-run"
	// SyncNowAnnotation on a resource makes the operator look at it at once whenever its value changes; the value is then
	// in status.lastSyncRequest.
	SyncNowAnnotation = Group + "/sync-now"
	// AcceptAnnotation on a Namespace lists the namespaces, by commas, whose resources may fill Secrets there.
	AcceptAnnotation = Group + "/accept-from"
	// SourceAnnotation on a target names its resource: KIND/NAMESPACE/NAME.
	SourceAnnotation = Group + "/source"
	// MACKeyAnnotation on a target holds the key of status.secretMAC.
	MACKeyAnnotation = Group + "/mac-key"
	// OwnerLabel on a target holds the UID of its resource.
	OwnerLabel = Group + "/vso-ownerRefUID"
	// RestartedAtAnnotation on a workload's pod template holds the time of its last restart.
	RestartedAtAnnotation = "vso." + Group + "/restartedAt"
)
