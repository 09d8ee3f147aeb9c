package v1beta1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// The ways to merge a VaultAuth's headers or params with its VaultAuthGlobal's.
const (
	MergeNone    = "none"    // the VaultAuth's only; the default
	MergeUnion   = "union"   // both; where both have a key, the VaultAuth's
	MergeReplace = "replace" // the first that has any: the VaultAuth's, the global's for the method, the global's own
)

// VaultAuthGlobalRef names the VaultAuthGlobal that a VaultAuth inherits from.
type VaultAuthGlobalRef struct {
	// Name of the VaultAuthGlobal.
	// +optional
	// +kubebuilder:validation:Pattern=`^([a-z0-9.-]{1,253})$`
	Name string `json:"name,omitempty"`
	// Namespace of the VaultAuthGlobal, which must allow that of the VaultAuth. Default: the VaultAuth's.
	// +optional
	// +kubebuilder:validation:Pattern=`^([a-z0-9-]{1,63})$`
	Namespace string `json:"namespace,omitempty"`
	// MergeStrategy of headers and params.
	// +optional
	MergeStrategy *MergeStrategy `json:"mergeStrategy,omitempty"`
	// AllowDefault takes the VaultAuthGlobal named default where name is empty: the one of namespace if given, else
	// that of the VaultAuth's namespace, else that of the operator's. The operator must allow it
	// (--global-vault-auth-options=allow-default-globals).
	// +optional
	AllowDefault *bool `json:"allowDefault,omitempty"`
}

// MergeStrategy says how headers and params are merged. Default of both: none.
type MergeStrategy struct {
	// Headers: union, replace or none.
	// +optional
	// +kubebuilder:validation:Enum=union;replace;none
	Headers string `json:"headers,omitempty"`
	// Params: union, replace or none.
	// +optional
	// +kubebuilder:validation:Enum=union;replace;none
	Params string `json:"params,omitempty"`
}

// VaultAuthGlobalSpec is what VaultAuths inherit that refer to it. A VaultAuth's own settings win, then those for its
// method, then the defaults.
type VaultAuthGlobalSpec struct {
	// AllowedNamespaces lists the Kubernetes namespaces whose VaultAuths may refer to this VaultAuthGlobal; "*" allows
	// all. Its own namespace and the operator's are always allowed.
	// +optional
	// +kubebuilder:validation:MaxItems=256
	AllowedNamespaces []string `json:"allowedNamespaces,omitempty"`
	// VaultConnectionRef names a VaultConnection of this namespace, or NAMESPACE/NAME. It is used by VaultAuths that
	// name none themselves, and must allow their namespace too.
	// +optional
	// +kubebuilder:validation:MaxLength=317
	VaultConnectionRef string `json:"vaultConnectionRef,omitempty"`
	// DefaultVaultNamespace of the server (X-Vault-Namespace), not of Kubernetes.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	DefaultVaultNamespace string `json:"defaultVaultNamespace,omitempty"`
	// DefaultAuthMethod of VaultAuths that name none.
	// +optional
	// +kubebuilder:validation:Enum=kubernetes;jwt;appRole;aws;gcp
	DefaultAuthMethod string `json:"defaultAuthMethod,omitempty"`
	// DefaultMount is the path of the auth method on the server.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	DefaultMount string `json:"defaultMount,omitempty"`
	// Params sent with logins, where the VaultAuth's merge strategy takes them.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	Params map[string]string `json:"params,omitempty"`
	// Headers sent with requests, where the VaultAuth's merge strategy takes them.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	Headers map[string]string `json:"headers,omitempty"`
	// +optional
	Kubernetes *GlobalKubernetesAuth `json:"kubernetes,omitempty"`
	// +optional
	JWT *GlobalJWTAuth `json:"jwt,omitempty"`
	// +optional
	AppRole *GlobalAppRoleAuth `json:"appRole,omitempty"`
	// AWS is accepted; logins by it are refused.
	// +optional
	AWS *GlobalAWSAuth `json:"aws,omitempty"`
	// GCP is accepted; logins by it are refused.
	// +optional
	GCP *GlobalGCPAuth `json:"gcp,omitempty"`
}

// GlobalAuth is what every method of a VaultAuthGlobal may set for itself.
type GlobalAuth struct {
	// Namespace of the server (X-Vault-Namespace), not of Kubernetes.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Namespace string `json:"namespace,omitempty"`
	// Mount is the path of the auth method on the server.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Mount string `json:"mount,omitempty"`
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	Params map[string]string `json:"params,omitempty"`
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	Headers map[string]string `json:"headers,omitempty"`
}

// GlobalKubernetesAuth is for VaultAuths of method kubernetes.
type GlobalKubernetesAuth struct {
	KubernetesAuth `json:",inline"`
	GlobalAuth     `json:",inline"`
}

// GlobalJWTAuth is for VaultAuths of method jwt.
type GlobalJWTAuth struct {
	JWTAuth    `json:",inline"`
	GlobalAuth `json:",inline"`
}

// GlobalAppRoleAuth is for VaultAuths of method appRole.
type GlobalAppRoleAuth struct {
	AppRoleAuth `json:",inline"`
	GlobalAuth  `json:",inline"`
}

// GlobalAWSAuth is accepted, and without use.
type GlobalAWSAuth struct {
	AWSAuth    `json:",inline"`
	GlobalAuth `json:",inline"`
}

// GlobalGCPAuth is accepted, and without use.
type GlobalGCPAuth struct {
	GCPAuth    `json:",inline"`
	GlobalAuth `json:",inline"`
}

// VaultAuthGlobalStatus says whether the settings make sense by themselves.
type VaultAuthGlobalStatus struct {
	Status `json:",inline"`
}

// VaultAuthGlobal holds settings that many VaultAuths inherit.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=vag,categories=vault
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.status`
// +kubebuilder:printcolumn:name="Method",type=string,JSONPath=`.spec.defaultAuthMethod`
// +kubebuilder:printcolumn:name="Connection",type=string,JSONPath=`.spec.vaultConnectionRef`,priority=1
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type VaultAuthGlobal struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +optional
	Spec   VaultAuthGlobalSpec   `json:"spec,omitempty"`
	Status VaultAuthGlobalStatus `json:"status,omitempty"`
}

// VaultAuthGlobalList is a list of VaultAuthGlobal.
//
// +kubebuilder:object:root=true
type VaultAuthGlobalList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []VaultAuthGlobal `json:"items"`
}
