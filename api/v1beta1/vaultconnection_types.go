package v1beta1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// VaultConnectionSpec says where a server is and how to trust it.
type VaultConnectionSpec struct {
	// Address of the server: http://HOST:PORT or https://HOST:PORT.
	// +kubebuilder:validation:Pattern=`^https?://[^\s?#@]+$`
	// +kubebuilder:validation:MaxLength=512
	Address string `json:"address"`
	// SkipTLSVerify accepts any certificate. Use it for tests only; it has no effect on http addresses.
	// +optional
	SkipTLSVerify bool `json:"skipTLSVerify,omitempty"`
	// CACertSecretRef names a Secret of the same namespace whose key ca.crt holds the PEM certificates to trust.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	CACertSecretRef string `json:"caCertSecretRef,omitempty"`
	// CACertPath is accepted and refused with a condition: this operator reads no file that a resource names. Put the
	// certificates into a Secret, and name it in caCertSecretRef.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	CACertPath string `json:"caCertPath,omitempty"`
	// TLSServerName is the name to expect in the server's certificate, where it differs from the address.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	TLSServerName string `json:"tlsServerName,omitempty"`
	// Headers are sent with every request. X-Vault-Token and X-Vault-Namespace cannot be set here.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	Headers map[string]string `json:"headers,omitempty"`
	// Timeout of one request, at least 100ms; more than 1m counts as 1m. Default 10s.
	// +optional
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	Timeout string `json:"timeout,omitempty"`
	// AllowedNamespaces lists the Kubernetes namespaces whose VaultAuths may refer to this VaultConnection as
	// NAMESPACE/NAME; "*" allows all. Its own namespace and the operator's are always allowed. The VaultConnection
	// named default in the operator's namespace serves all namespaces, unless this lists some.
	// +optional
	// +kubebuilder:validation:MaxItems=256
	AllowedNamespaces []string `json:"allowedNamespaces,omitempty"`
}

// VaultConnectionStatus says whether the server answers.
type VaultConnectionStatus struct {
	Status `json:",inline"`
	// ServerVersion as the server reports it.
	// +optional
	ServerVersion string `json:"serverVersion,omitempty"`
}

// VaultConnection is a server that VaultAuths of its namespace use.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=vc,categories=vault
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.status`
// +kubebuilder:printcolumn:name="Address",type=string,JSONPath=`.spec.address`
// +kubebuilder:printcolumn:name="Version",type=string,JSONPath=`.status.serverVersion`,priority=1
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type VaultConnection struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   VaultConnectionSpec   `json:"spec"`
	Status VaultConnectionStatus `json:"status,omitempty"`
}

// VaultConnectionList is a list of VaultConnection.
//
// +kubebuilder:object:root=true
type VaultConnectionList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []VaultConnection `json:"items"`
}
