package v1beta1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// VaultDynamicSecretSpec says which credentials, made on request by an engine of the server, fill which Secret.
type VaultDynamicSecretSpec struct {
	// VaultAuthRef names a VaultAuth of this namespace, or NAMESPACE/NAME. Default: the operator's default.
	// +optional
	VaultAuthRef string `json:"vaultAuthRef,omitempty"`
	// Namespace of the engine on the server. Default: that of the VaultAuth.
	// +optional
	Namespace string `json:"namespace,omitempty"`
	// Mount of the engine.
	// +kubebuilder:validation:MinLength=1
	Mount string `json:"mount"`
	// RequestHTTPMethod of the request for credentials. Default: GET, or PUT with params.
	// +optional
	// +kubebuilder:validation:Enum=GET;POST;PUT
	RequestHTTPMethod string `json:"requestHTTPMethod,omitempty"`
	// Path of the credentials within the engine, such as creds/app.
	// +kubebuilder:validation:MinLength=1
	Path string `json:"path"`
	// Params are sent with the request; they make it a PUT.
	// +optional
	Params map[string]string `json:"params,omitempty"`
	// RenewalPercent is the part of the lease's time after which it is renewed, plus a little at random.
	// +optional
	// +kubebuilder:default=67
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=90
	RenewalPercent *int `json:"renewalPercent,omitempty"`
	// Revoke the lease when the resource is deleted.
	// +optional
	Revoke bool `json:"revoke,omitempty"`
	// AllowStaticCreds is for credentials that the server rotates by itself (static-creds): they are read again when
	// the server says that they rotate.
	// +optional
	AllowStaticCreds bool `json:"allowStaticCreds,omitempty"`
	// RolloutRestartTargets are restarted when the data changed.
	// +optional
	RolloutRestartTargets []RolloutRestartTarget `json:"rolloutRestartTargets,omitempty"`
	// RestartPolicy says when.
	// +optional
	RestartPolicy *RestartPolicy `json:"restartPolicy,omitempty"`
	// Destination is the Secret to fill.
	Destination Destination `json:"destination"`
	// RefreshAfter is how often credentials without a lease are read again. A lease's time wins over it.
	// +optional
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(s|m|h))$`
	RefreshAfter string `json:"refreshAfter,omitempty"`
}

// VaultSecretLease is a lease of the server. No field is required: a patch of the status says only what is new.
type VaultSecretLease struct {
	// ID of the lease.
	// +optional
	ID string `json:"id"`
	// LeaseDuration in seconds, as last granted.
	// +optional
	LeaseDuration int `json:"duration"`
	// Renewable tells whether the server extends it.
	// +optional
	Renewable bool `json:"renewable"`
	// RequestID of the request that made it.
	// +optional
	RequestID string `json:"requestID"`
}

// VaultClientMeta names a login, without its token.
type VaultClientMeta struct {
	// CacheKey is unused, and kept for older manifests.
	// +optional
	CacheKey string `json:"cacheKey,omitempty"`
	// ID changes when the login is made anew: what was leased before has ended or is about to.
	// +optional
	ID string `json:"id,omitempty"`
}

// VaultStaticCredsMetaData is what the server says of credentials that it rotates.
type VaultStaticCredsMetaData struct {
	// LastVaultRotation in seconds since 1970.
	// +optional
	LastVaultRotation int64 `json:"lastVaultRotation"`
	// RotationPeriod in seconds.
	// +optional
	RotationPeriod int64 `json:"rotationPeriod,omitempty"`
	// RotationSchedule is a cron expression.
	// +optional
	RotationSchedule string `json:"rotationSchedule,omitempty"`
	// TTL is the seconds until the next rotation, when it was read.
	// +optional
	TTL int64 `json:"ttl"`
}

// VaultDynamicSecretStatus says whether the destination holds credentials that live.
type VaultDynamicSecretStatus struct {
	SyncStatus `json:",inline"`
	// LastGeneration is observedGeneration, by its older name.
	// +optional
	LastGeneration int64 `json:"lastGeneration,omitempty"`
	// LastRenewalTime in seconds since 1970: when the lease was made or last renewed.
	// +optional
	LastRenewalTime int64 `json:"lastRenewalTime,omitempty"`
	// SecretLease is the lease of the credentials in the destination.
	// +optional
	SecretLease VaultSecretLease `json:"secretLease,omitempty"`
	// VaultClientMeta is the login that the lease is of.
	// +optional
	VaultClientMeta VaultClientMeta `json:"vaultClientMeta,omitempty"`
	// MadeLease was made and is not yet in the destination: if it never gets there, it is revoked.
	// +optional
	MadeLease string `json:"madeLease,omitempty"`
	// FormerLeases were replaced and run out by themselves; revoke ends them with the resource.
	// +optional
	// +kubebuilder:validation:MaxItems=64
	FormerLeases []string `json:"formerLeases,omitempty"`
	// StaticCredsMetaData is there with allowStaticCreds.
	// +optional
	StaticCredsMetaData VaultStaticCredsMetaData `json:"staticCredsMetaData,omitempty"`
}

// VaultDynamicSecret carries credentials that the server makes on request into a Kubernetes Secret, renews their lease,
// and replaces them in time.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=vds,categories=vault
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.status`
// +kubebuilder:printcolumn:name="Version",type=string,JSONPath=`.status.secretLease.id`
// +kubebuilder:printcolumn:name="Last sync",type=date,JSONPath=`.status.lastSyncTime`
// +kubebuilder:printcolumn:name="Next sync",type=string,JSONPath=`.status.nextSyncTime`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Target",type=string,JSONPath=`.spec.destination.name`,priority=1
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`,priority=1
type VaultDynamicSecret struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   VaultDynamicSecretSpec   `json:"spec"`
	Status VaultDynamicSecretStatus `json:"status,omitempty"`
}

// VaultDynamicSecretList is a list of VaultDynamicSecret.
//
// +kubebuilder:object:root=true
type VaultDynamicSecretList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []VaultDynamicSecret `json:"items"`
}
