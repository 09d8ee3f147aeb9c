package v1beta1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// VaultSecretSpec says what to read, as whom, and which Secret to fill with it.
//
// +kubebuilder:validation:XValidation:rule="has(self.vault) != has(self.vaultAuthRef)",message="give exactly one of spec.vault (server and login inline) and spec.vaultAuthRef (the name of a VaultAuth)"
// +kubebuilder:validation:XValidation:rule="has(self.source) != has(self.sources)",message="give exactly one of spec.source and spec.sources"
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
	// RefreshAfter is how often the source is read again, give or take a tenth; at least 1s. Default: 30s, or an hour
	// while the server tells of all changes.
	// +optional
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	RefreshAfter string `json:"refreshAfter,omitempty"`
	// Source is what to read.
	// +optional
	Source *VaultSecretSource `json:"source,omitempty"`
	// Sources are several things to read into one Secret. Two that give the same key are refused: rewrite one.
	// +optional
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Sources []VaultSecretPart `json:"sources,omitempty"`
	// Target is the Secret to fill.
	Target VaultSecretTarget `json:"target"`
	// RolloutRestartTargets are restarted when the data changed.
	// +optional
	// +kubebuilder:validation:MaxItems=64
	RolloutRestartTargets []RolloutRestartTarget `json:"rolloutRestartTargets,omitempty"`
	// RestartPolicy says when.
	// +optional
	RestartPolicy *RestartPolicy `json:"restartPolicy,omitempty"`
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

// VaultSecretPart is one of several things to read.
//
// +kubebuilder:validation:XValidation:rule="(has(self.kv) ? 1 : 0) + (has(self.find) ? 1 : 0) + (has(self.path) ? 1 : 0) == 1",message="give exactly one of kv, find and path"
type VaultSecretPart struct {
	// Name by which templates see this part alone: {{ .Sources.NAME.KEY }}.
	// +optional
	// +kubebuilder:validation:Pattern=`^[A-Za-z_][A-Za-z0-9_]*$`
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name,omitempty"`
	// KV is a secret of a KV engine.
	// +optional
	KV *KVSource `json:"kv,omitempty"`
	// Find is all secrets of a KV engine under a prefix.
	// +optional
	Find *FindSource `json:"find,omitempty"`
	// Path is what GET of this path on the server's API answers, of any engine: pki/cert/ca, identity/oidc/.well-known/keys.
	// +optional
	// +kubebuilder:validation:MinLength=3
	// +kubebuilder:validation:MaxLength=1024
	Path string `json:"path,omitempty"`
	// Includes are regular expressions; only keys that match one stay. Applied before rewrite.
	// +optional
	// +kubebuilder:validation:MaxItems=64
	Includes []string `json:"includes,omitempty"`
	// Excludes are regular expressions; keys that match one go. Applied before rewrite.
	// +optional
	// +kubebuilder:validation:MaxItems=64
	Excludes []string `json:"excludes,omitempty"`
	// Rewrite names keys anew, one rule after the other.
	// +optional
	// +kubebuilder:validation:MaxItems=64
	Rewrite []KeyRewrite `json:"rewrite,omitempty"`
}

// FindSource is all secrets of a KV engine under a prefix. Each key is named PATH_KEY, with the path below the prefix
// and _ for what a Secret's key cannot have.
type FindSource struct {
	// Path is the engine's mount and the prefix: secret/teams/red.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Path string `json:"path"`
	// Version of the KV ENGINE. Default: what the server says.
	// +optional
	Version *intstr.IntOrString `json:"version,omitempty"`
	// Match is a regular expression for paths below the prefix. Default: all.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Match string `json:"match,omitempty"`
}

// KeyRewrite names keys anew: what Pattern matches becomes Replacement.
type KeyRewrite struct {
	// Pattern is a regular expression.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Pattern string `json:"pattern"`
	// Replacement may have $1 for a group of the pattern.
	// +kubebuilder:validation:MaxLength=512
	Replacement string `json:"replacement"`
}

// VaultSecretTarget is the Secret to fill.
//
// +kubebuilder:validation:XValidation:rule="!has(self.kind) || self.kind != 'ConfigMap' || !has(self.template) || !has(self.template.type)",message="a ConfigMap has no type"
type VaultSecretTarget struct {
	// Name of the Secret, in the namespace of the VaultSecret.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	Name string `json:"name"`
	// Overwrite takes over a Secret of that name that nobody controls, in the namespace of the VaultSecret. Without it, and
	// where a copy would go, such a Secret is left alone.
	// +optional
	Overwrite bool `json:"overwrite,omitempty"`
	// Kind of the target: Secret, or ConfigMap for what is not secret. Default: Secret.
	// +optional
	// +kubebuilder:validation:Enum=Secret;ConfigMap
	Kind string `json:"kind,omitempty"`
	// Immutable makes an immutable target; a change replaces it.
	// +optional
	Immutable bool `json:"immutable,omitempty"`
	// DeletionPolicy says what becomes of the target when the VaultSecret is deleted. Default: Delete.
	// +optional
	DeletionPolicy DeletionPolicy `json:"deletionPolicy,omitempty"`
	// NamespaceSelector makes a copy of the target in each namespace with these labels that accepts it, by the
	// annotation secrets.hashicorp.com/accept-from: NAMESPACE on itself.
	// +optional
	NamespaceSelector *metav1.LabelSelector `json:"namespaceSelector,omitempty"`
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
	SyncStatus `json:",inline"`
	// Copies are the namespaces that have a copy of the target, or are about to get one.
	// +optional
	Copies []string `json:"copies,omitempty"`
}

// VaultSecret carries a secret from the server into a Kubernetes Secret, and keeps it true.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=vsec,categories=vault
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.status`
// +kubebuilder:printcolumn:name="Version",type=string,JSONPath=`.status.secretVersion`
// +kubebuilder:printcolumn:name="Last sync",type=date,JSONPath=`.status.lastSyncTime`
// +kubebuilder:printcolumn:name="Next sync",type=string,JSONPath=`.status.nextSyncTime`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Target",type=string,JSONPath=`.spec.target.name`,priority=1
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
