package v1beta1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// VaultStaticSecretSpec says which secret of a KV engine fills which Secret.
type VaultStaticSecretSpec struct {
	// VaultAuthRef names a VaultAuth of this namespace, or NAMESPACE/NAME. Default: the operator's default.
	// +optional
	VaultAuthRef string `json:"vaultAuthRef,omitempty"`
	// Namespace of the engine on the server. Default: that of the VaultAuth.
	// +optional
	Namespace string `json:"namespace,omitempty"`
	// Mount of the engine.
	// +kubebuilder:validation:MinLength=1
	Mount string `json:"mount"`
	// Path of the secret within the engine.
	// +kubebuilder:validation:MinLength=1
	Path string `json:"path"`
	// Version of the secret to read, of kv-v2 only. Default: the latest.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Version int `json:"version,omitempty"`
	// Type of the engine.
	// +kubebuilder:validation:Enum=kv-v1;kv-v2
	Type string `json:"type"`
	// RefreshAfter is how often the source is read again: 30s, 1m, 24h. Default: 1m, or an hour
	// while the server tells of all changes.
	// +optional
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(s|m|h))$`
	RefreshAfter string `json:"refreshAfter,omitempty"`
	// HMACSecretData stores a keyed hash of the data in the status, to tell drift and changes. Without it there are no
	// restarts.
	// +optional
	// +kubebuilder:default=true
	HMACSecretData *bool `json:"hmacSecretData,omitempty"`
	// RolloutRestartTargets are restarted when the data changed.
	// +optional
	RolloutRestartTargets []RolloutRestartTarget `json:"rolloutRestartTargets,omitempty"`
	// RestartPolicy says when.
	// +optional
	RestartPolicy *RestartPolicy `json:"restartPolicy,omitempty"`
	// Destination is the Secret to fill.
	Destination Destination `json:"destination"`
	// SyncConfig says how changes are noticed.
	// +optional
	SyncConfig *SyncConfig `json:"syncConfig,omitempty"`
}

// VaultStaticSecretStatus says whether the destination equals the source.
type VaultStaticSecretStatus struct {
	SyncStatus `json:",inline"`
	// LastGeneration is observedGeneration, by its older name.
	// +optional
	LastGeneration int64 `json:"lastGeneration,omitempty"`
}

// VaultStaticSecret carries a secret of a KV engine into a Kubernetes Secret, and keeps it true.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=vss,categories=vault
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.status`
// +kubebuilder:printcolumn:name="Version",type=string,JSONPath=`.status.secretVersion`
// +kubebuilder:printcolumn:name="Last sync",type=date,JSONPath=`.status.lastSyncTime`
// +kubebuilder:printcolumn:name="Next sync",type=string,JSONPath=`.status.nextSyncTime`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Target",type=string,JSONPath=`.spec.destination.name`,priority=1
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`,priority=1
type VaultStaticSecret struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   VaultStaticSecretSpec   `json:"spec"`
	Status VaultStaticSecretStatus `json:"status,omitempty"`
}

// VaultStaticSecretList is a list of VaultStaticSecret.
//
// +kubebuilder:object:root=true
type VaultStaticSecretList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []VaultStaticSecret `json:"items"`
}
