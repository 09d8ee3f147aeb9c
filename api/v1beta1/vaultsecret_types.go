package v1beta1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// VaultSecretSpec says what to read, as whom, and which Secret to fill with it.
//
// +kubebuilder:validation:XValidation:rule="has(self.vault) != has(self.vaultAuthRef)",message="give exactly one of spec.vault (server and login inline) and spec.vaultAuthRef (the name of a VaultAuth)"
type VaultSecretSpec struct {
	// Vault is the server and the login, inline.
	// +optional
	Vault *VaultSecretServer `json:"vault,omitempty"`
	// VaultAuthRef names a VaultAuth of this namespace, or NAMESPACE/NAME where that VaultAuth allows it.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=317
	VaultAuthRef string `json:"vaultAuthRef,omitempty"`
	// ServiceAccount of this namespace to log in as. Default: what the login names, else default.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	ServiceAccount string `json:"serviceAccount,omitempty"`
	// RefreshAfter is how often the source is read again, give or take a tenth; at least 1s. Default 30s.
	// +optional
	// +kubebuilder:default="30s"
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	RefreshAfter string `json:"refreshAfter,omitempty"`
	// Source is what to read.
	Source VaultSecretSource `json:"source"`
	// Target is the Secret to fill.
	Target VaultSecretTarget `json:"target"`
}

// VaultSecretServer is a server and a login, inline.
type VaultSecretServer struct {
	// Address of the server: http://HOST:PORT or https://HOST:PORT.
	// +kubebuilder:validation:Pattern=`^https?://[^\s?#@]+$`
	// +kubebuilder:validation:MaxLength=512
	Address string `json:"address"`
	// SkipTLSVerify accepts any certificate. Use it for tests only; it has no effect on http addresses.
	// +optional
	SkipTLSVerify bool `json:"skipTLSVerify,omitempty"`
	// CACert holds the PEM certificates to trust.
	// +optional
	CACert string `json:"caCert,omitempty"`
	// Namespace of the server (X-Vault-Namespace), not of Kubernetes.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Namespace string `json:"namespace,omitempty"`
	// Auth is the login.
	Auth VaultSecretAuth `json:"auth"`
}

// VaultSecretAuth is the login of a VaultSecret.
type VaultSecretAuth struct {
	// Kubernetes logs in with a short-lived token of a service account.
	Kubernetes VaultSecretKubernetesAuth `json:"kubernetes"`
}

// VaultSecretKubernetesAuth logs in with a short-lived token of a service account of the VaultSecret's namespace.
type VaultSecretKubernetesAuth struct {
	// Role on the server.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Role string `json:"role"`
	// MountPath is the path of the auth method on the server. Default: kubernetes.
	// +optional
	// +kubebuilder:default=kubernetes
	// +kubebuilder:validation:MaxLength=512
	MountPath string `json:"mountPath,omitempty"`
	// ServiceAccount to log in as. Default: default.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	ServiceAccount string `json:"serviceAccount,omitempty"`
	// Audiences of the token. Default: the API server's own.
	// +optional
	// +kubebuilder:validation:MaxItems=16
	Audiences []string `json:"audiences,omitempty"`
}

// VaultSecretSource is what to read.
type VaultSecretSource struct {
	// KV is a secret of a KV engine.
	KV KVSource `json:"kv"`
}

// KVSource is a secret of a KV engine.
type KVSource struct {
	// Path is the engine's mount and the key, as in `vault kv get`: secret/longhorn-r2. The server says where the
	// mount ends.
	// +kubebuilder:validation:MinLength=3
	// +kubebuilder:validation:MaxLength=1024
	Path string `json:"path"`
	// Version of the KV ENGINE, not of the secret: 1 or 2 (also v1, v2, kv-v1, kv-v2). Default: what the server says.
	// +optional
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? (self == 1 || self == 2) : self in ['1', '2', 'v1', 'v2', 'kv-v1', 'kv-v2']",message="is the version of the KV engine, not of the secret: 1 or 2 (also v1, v2, kv-v1, kv-v2)"
	Version *intstr.IntOrString `json:"version,omitempty"`
}

// VaultSecretTarget is the Secret to fill.
type VaultSecretTarget struct {
	// Name of the Secret, in the namespace of the VaultSecret.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	Name string `json:"name"`
	// Overwrite takes over a Secret of that name that nobody controls. Without it such a Secret is left alone.
	// +optional
	Overwrite bool `json:"overwrite,omitempty"`
	// Template shapes the Secret. Without it every key of the source becomes a key of the Secret: text as it is,
	// anything else as JSON.
	// +optional
	Template *SecretTemplate `json:"template,omitempty"`
}

// SecretTemplate shapes the target Secret.
type SecretTemplate struct {
	// Type of the Secret. Default: Opaque. A change replaces the Secret, as its type cannot be edited.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Type string `json:"type,omitempty"`
	// StringData maps keys of the Secret to Go templates over the source: {{ .KEY }} or {{ .Secrets.KEY }}.
	// +optional
	// +kubebuilder:validation:MaxProperties=512
	StringData map[string]string `json:"stringData,omitempty"`
	// Data maps keys of the Secret to fixed values in base64; these are no templates.
	// +optional
	// +kubebuilder:validation:MaxProperties=512
	Data map[string][]byte `json:"data,omitempty"`
	// Metadata holds labels and annotations of the Secret.
	// +optional
	Metadata SecretTemplateMetadata `json:"metadata,omitempty"`
	// Labels is the same as metadata.labels; where both name a key, metadata wins.
	// +optional
	Labels map[string]string `json:"labels,omitempty"`
	// Annotations is the same as metadata.annotations; where both name a key, metadata wins.
	// +optional
	Annotations map[string]string `json:"annotations,omitempty"`
}

// SecretTemplateMetadata holds labels and annotations of the target Secret.
type SecretTemplateMetadata struct {
	// +optional
	Labels map[string]string `json:"labels,omitempty"`
	// +optional
	Annotations map[string]string `json:"annotations,omitempty"`
}

// VaultSecretStatus says whether the target equals the source.
type VaultSecretStatus struct {
	Status `json:",inline"`
	// LastSyncTime is when the target was last known to equal the source. To spare the API server it moves at once
	// when something changed, and otherwise every five minutes.
	// +optional
	LastSyncTime *metav1.Time `json:"lastSyncTime,omitempty"`
	// SecretVersion is the KV v2 version that the target holds; empty for KV v1.
	// +optional
	SecretVersion string `json:"secretVersion,omitempty"`
	// SourcePath is the path on the server's API that was read, such as secret/data/longhorn-r2.
	// +optional
	SourcePath string `json:"sourcePath,omitempty"`
	// TargetResourceVersion is the resourceVersion of the target after the last sync.
	// +optional
	TargetResourceVersion string `json:"targetResourceVersion,omitempty"`
}

// VaultSecret carries a secret from the server into a Kubernetes Secret, and keeps it true.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=vsec,categories=vault
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.status`
// +kubebuilder:printcolumn:name="Synced",type=date,JSONPath=`.status.lastSyncTime`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Target",type=string,JSONPath=`.spec.target.name`,priority=1
// +kubebuilder:printcolumn:name="Version",type=string,JSONPath=`.status.secretVersion`,priority=1
// +kubebuilder:printcolumn:name="Path",type=string,JSONPath=`.spec.source.kv.path`,priority=1
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`,priority=1
type VaultSecret struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   VaultSecretSpec   `json:"spec"`
	Status VaultSecretStatus `json:"status,omitempty"`
}

// VaultSecretList is a list of VaultSecret.
//
// +kubebuilder:object:root=true
type VaultSecretList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []VaultSecret `json:"items"`
}
