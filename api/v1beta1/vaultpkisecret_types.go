package v1beta1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// VaultPKISecretSpec says which certificate, issued by a PKI engine of the server, fills which Secret.
type VaultPKISecretSpec struct {
	// VaultAuthRef names a VaultAuth of this namespace, or NAMESPACE/NAME. Default: the operator's default.
	// +optional
	VaultAuthRef string `json:"vaultAuthRef,omitempty"`
	// Namespace of the engine on the server. Default: that of the VaultAuth.
	// +optional
	Namespace string `json:"namespace,omitempty"`
	// Mount of the engine.
	// +kubebuilder:validation:MinLength=1
	Mount string `json:"mount"`
	// Role of the engine that issues.
	// +kubebuilder:validation:MinLength=1
	Role string `json:"role"`
	// Revoke the certificate when the resource is deleted.
	// +optional
	Revoke bool `json:"revoke,omitempty"`
	// Clear empties the Secret when the resource is deleted and the Secret stays.
	// +optional
	Clear bool `json:"clear,omitempty"`
	// ExpiryOffset is how long before its end the certificate is replaced. Default: a tenth of its time, at least.
	// +optional
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(s|m|h))$`
	ExpiryOffset string `json:"expiryOffset,omitempty"`
	// IssuerRef is the issuer: its identifier, its name, or default.
	// +optional
	IssuerRef string `json:"issuerRef,omitempty"`
	// RolloutRestartTargets are restarted when the data changed.
	// +optional
	RolloutRestartTargets []RolloutRestartTarget `json:"rolloutRestartTargets,omitempty"`
	// RestartPolicy says when.
	// +optional
	RestartPolicy *RestartPolicy `json:"restartPolicy,omitempty"`
	// Destination is the Secret to fill. With type kubernetes.io/tls it has tls.key, and tls.crt with the certificate
	// and its chain.
	Destination Destination `json:"destination"`
	// CommonName of the certificate.
	// +optional
	CommonName string `json:"commonName,omitempty"`
	// AltNames are DNS names and e-mail addresses.
	// +optional
	AltNames []string `json:"altNames,omitempty"`
	// IPSans are IP addresses.
	// +optional
	IPSans []string `json:"ipSans,omitempty"`
	// URISans are URIs.
	// +optional
	URISans []string `json:"uriSans,omitempty"`
	// OtherSans are of the form OID;TYPE:VALUE.
	// +optional
	OtherSans []string `json:"otherSans,omitempty"`
	// UserIDs go into the subject (OID 0.9.2342.19200300.100.1.1).
	// +optional
	UserIDs []string `json:"userIDs,omitempty"`
	// TTL of the certificate. Default: the role's.
	// +optional
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(s|m|h|d))$`
	TTL string `json:"ttl,omitempty"`
	// Format of the certificate: pem, der or pem_bundle. Default: pem.
	// +optional
	// +kubebuilder:validation:Enum=pem;der;pem_bundle;""
	Format string `json:"format,omitempty"`
	// PrivateKeyFormat is der or pkcs8. Default: der.
	// +optional
	PrivateKeyFormat string `json:"privateKeyFormat,omitempty"`
	// NotAfter is the end of the certificate: YYYY-MM-ddTHH:MM:SSZ.
	// +optional
	NotAfter string `json:"notAfter,omitempty"`
	// ExcludeCNFromSans leaves the common name out of the alternative names.
	// +optional
	ExcludeCNFromSans bool `json:"excludeCNFromSans,omitempty"`
}

// VaultPKISecretStatus says whether the destination holds a certificate that is good for a while.
type VaultPKISecretStatus struct {
	SyncStatus `json:",inline"`
	// LastGeneration is observedGeneration, by its older name.
	// +optional
	LastGeneration int64 `json:"lastGeneration,omitempty"`
	// SerialNumber of the certificate.
	// +optional
	SerialNumber string `json:"serialNumber,omitempty"`
	// Expiration of the certificate, in seconds since 1970.
	// +optional
	Expiration int64 `json:"expiration,omitempty"`
	// LastRotation is when the certificate was issued, in seconds since 1970.
	// +optional
	LastRotation int64 `json:"lastRotation,omitempty"`
}

// VaultPKISecret carries a certificate that the server issues into a Kubernetes Secret, and replaces it in time.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=vps,categories=vault
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.status`
// +kubebuilder:printcolumn:name="Version",type=string,JSONPath=`.status.serialNumber`
// +kubebuilder:printcolumn:name="Last sync",type=date,JSONPath=`.status.lastSyncTime`
// +kubebuilder:printcolumn:name="Next sync",type=string,JSONPath=`.status.nextSyncTime`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Target",type=string,JSONPath=`.spec.destination.name`,priority=1
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`,priority=1
type VaultPKISecret struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   VaultPKISecretSpec   `json:"spec"`
	Status VaultPKISecretStatus `json:"status,omitempty"`
}

// VaultPKISecretList is a list of VaultPKISecret.
//
// +kubebuilder:object:root=true
type VaultPKISecretList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []VaultPKISecret `json:"items"`
}
