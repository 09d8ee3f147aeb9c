package v1beta1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// VaultPushSecretSpec says which Secret to write to the server, where, and what may be overwritten there.
//
// +kubebuilder:validation:XValidation:rule="self.type != 'kv-v1' || (has(self.overwrite) && self.overwrite)",message="KV v1 has no place for a mark of ownership: set overwrite: true to say that the path is this resource's alone"
type VaultPushSecretSpec struct {
	// VaultAuthRef names a VaultAuth of this namespace, or NAMESPACE/NAME where that VaultAuth allows it. Default: the one
	// called default in the operator's namespace.
	// +optional
	// +kubebuilder:validation:MaxLength=317
	VaultAuthRef string `json:"vaultAuthRef,omitempty"`
	// ServiceAccount of this namespace to log in as. Default: what the login names, else default.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	ServiceAccount string `json:"serviceAccount,omitempty"`
	// Namespace of the server (X-Vault-Namespace), not of Kubernetes. Default: the login's.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Namespace string `json:"namespace,omitempty"`
	// SecretRef is the Secret to push, of this namespace.
	SecretRef PushedSecretRef `json:"secretRef"`
	// Mount of the KV engine.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Mount string `json:"mount"`
	// Type is the version of the KV engine.
	// +optional
	// +kubebuilder:default=kv-v2
	// +kubebuilder:validation:Enum=kv-v1;kv-v2
	Type string `json:"type,omitempty"`
	// Path of the secret in the engine, without data/. All of its keys are this resource's.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Path string `json:"path"`
	// Includes are regular expressions; only keys of the Secret that match one are pushed. Applied before rewrite.
	// +optional
	// +kubebuilder:validation:MaxItems=64
	Includes []string `json:"includes,omitempty"`
	// Excludes are regular expressions; keys of the Secret that match one are not pushed. Applied before rewrite.
	// +optional
	// +kubebuilder:validation:MaxItems=64
	Excludes []string `json:"excludes,omitempty"`
	// Rewrite names keys anew, one rule after the other.
	// +optional
	// +kubebuilder:validation:MaxItems=64
	Rewrite []KeyRewrite `json:"rewrite,omitempty"`
	// Encoding of values on the server: Text, or Base64 where values are no text. Default: Text.
	// +optional
	// +kubebuilder:validation:Enum=Text;Base64
	Encoding string `json:"encoding,omitempty"`
	// RefreshAfter is how often the server is looked at, give or take a tenth; at least 1s. Default: 1m, or an hour while
	// the server tells of all changes.
	// +optional
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	RefreshAfter string `json:"refreshAfter,omitempty"`
	// Overwrite takes over what is at the path already and not of this resource. Without it that is left alone.
	// +optional
	Overwrite bool `json:"overwrite,omitempty"`
	// DriftPolicy says what becomes of a value that someone else wrote to the path: Restore writes the Secret's again,
	// Report says so in the status and leaves it. Default: Restore.
	// +optional
	// +kubebuilder:validation:Enum=Restore;Report
	DriftPolicy string `json:"driftPolicy,omitempty"`
	// DeletionPolicy says what becomes of the secret on the server when this resource is deleted. In KV v2, Delete deletes
	// the latest version, which can be restored. Default: Retain.
	// +optional
	DeletionPolicy DeletionPolicy `json:"deletionPolicy,omitempty"`
}

// PushedSecretRef names a Secret of the resource's namespace.
type PushedSecretRef struct {
	// Name of the Secret.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	Name string `json:"name"`
}

// Values of VaultPushSecretSpec.
const (
	DriftReport    = "Report"
	EncodingBase64 = "Base64"
	EngineKVv1     = "kv-v1"
)

// Reasons of a VaultPushSecret, beside those of every kind.
const (
	ReasonSourceNotFound = "SourceNotFound" // there is no Secret to push, or none of its keys is chosen
	ReasonDrift          = "Drift"          // someone else wrote to the path, and that is left as it is
)

// VaultPushSecretStatus says whether the server holds what the Secret does.
type VaultPushSecretStatus struct {
	SyncStatus `json:",inline"`
	// SourceResourceVersion is that of the Secret as it was pushed.
	// +optional
	SourceResourceVersion string `json:"sourceResourceVersion,omitempty"`
	// Pushed is where this resource pushes to, noted before it does.
	// +optional
	Pushed *PushedPlace `json:"pushed,omitempty"`
	// Former are places that the spec has left, and that are still to be given back as deletionPolicy says.
	// +optional
	// +kubebuilder:validation:MaxItems=16
	Former []PushedPlace `json:"former,omitempty"`
}

// PushedPlace is a place on a server, and the login that reaches it, as the spec named them.
type PushedPlace struct {
	// Address of the server.
	Address string `json:"address"`
	// +optional
	VaultAuthRef string `json:"vaultAuthRef,omitempty"`
	// +optional
	ServiceAccount string `json:"serviceAccount,omitempty"`
	// +optional
	Namespace string `json:"namespace,omitempty"`
	Mount     string `json:"mount"`
	// +optional
	Type string `json:"type,omitempty"`
	Path string `json:"path"`
}

// VaultPushSecret writes a Kubernetes Secret to the server, and keeps it there.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=vpush,categories=vault
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.status`
// +kubebuilder:printcolumn:name="Version",type=string,JSONPath=`.status.secretVersion`
// +kubebuilder:printcolumn:name="Last sync",type=date,JSONPath=`.status.lastSyncTime`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Secret",type=string,JSONPath=`.spec.secretRef.name`,priority=1
// +kubebuilder:printcolumn:name="Path",type=string,JSONPath=`.status.sourcePath`,priority=1
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`,priority=1
type VaultPushSecret struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   VaultPushSecretSpec   `json:"spec"`
	Status VaultPushSecretStatus `json:"status,omitempty"`
}

// CommonStatus gives the part of the status that all kinds share.
func (p *VaultPushSecret) CommonStatus() *Status { return &p.Status.Status }

// VaultPushSecretList is a list of VaultPushSecret.
//
// +kubebuilder:object:root=true
type VaultPushSecretList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []VaultPushSecret `json:"items"`
}
