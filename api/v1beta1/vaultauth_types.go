package v1beta1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// MethodKubernetes is the auth method by service account tokens.
const MethodKubernetes = "kubernetes"

// VaultAuthSpec says how to log in.
type VaultAuthSpec struct {
	// VaultConnectionRef names a VaultConnection of the same namespace. Default: default.
	// +optional
	// +kubebuilder:default=default
	// +kubebuilder:validation:MaxLength=317
	VaultConnectionRef string `json:"vaultConnectionRef,omitempty"`
	// Method of the login. This version speaks kubernetes; the others are accepted and refused with a condition.
	// +optional
	// +kubebuilder:default=kubernetes
	// +kubebuilder:validation:Enum=kubernetes;jwt;appRole;aws;gcp
	Method string `json:"method,omitempty"`
	// Mount is the path of the auth method on the server. Default: the method's name.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Mount string `json:"mount,omitempty"`
	// Namespace of the server (X-Vault-Namespace), not of Kubernetes.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Namespace string `json:"namespace,omitempty"`
	// Params are sent with the login, beside role and jwt.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	Params map[string]string `json:"params,omitempty"`
	// Headers are sent with every request, in addition to the connection's.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	Headers map[string]string `json:"headers,omitempty"`
	// AllowedNamespaces lists the Kubernetes namespaces whose resources may refer to this VaultAuth as
	// NAMESPACE/NAME; "*" allows all. Its own namespace is always allowed.
	// +optional
	// +kubebuilder:validation:MaxItems=256
	AllowedNamespaces []string `json:"allowedNamespaces,omitempty"`
	// Kubernetes holds the settings of method kubernetes.
	// +optional
	Kubernetes *KubernetesAuth `json:"kubernetes,omitempty"`
}

// KubernetesAuth logs in with a short-lived token of a service account.
type KubernetesAuth struct {
	// Role on the server.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Role string `json:"role"`
	// ServiceAccount to log in as, in the namespace of the resource that uses this VaultAuth. Default: default.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	ServiceAccount string `json:"serviceAccount,omitempty"`
	// Audiences of the token. Default: the API server's own.
	// +optional
	// +kubebuilder:validation:MaxItems=16
	Audiences []string `json:"audiences,omitempty"`
	// TokenExpirationSeconds of the service account's token; it is used once, for the login. Default 600.
	// +optional
	// +kubebuilder:validation:Minimum=600
	TokenExpirationSeconds int64 `json:"tokenExpirationSeconds,omitempty"`
}

// VaultAuthStatus says whether the login works.
type VaultAuthStatus struct {
	Status `json:",inline"`
}

// VaultAuth is a login that VaultSecrets use.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=va,categories=vault
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.status`
// +kubebuilder:printcolumn:name="Method",type=string,JSONPath=`.spec.method`
// +kubebuilder:printcolumn:name="Role",type=string,JSONPath=`.spec.kubernetes.role`
// +kubebuilder:printcolumn:name="Connection",type=string,JSONPath=`.spec.vaultConnectionRef`,priority=1
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type VaultAuth struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   VaultAuthSpec   `json:"spec"`
	Status VaultAuthStatus `json:"status,omitempty"`
}

// VaultAuthList is a list of VaultAuth.
//
// +kubebuilder:object:root=true
type VaultAuthList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []VaultAuth `json:"items"`
}
