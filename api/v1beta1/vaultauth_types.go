package v1beta1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// The methods of a login. MethodAWS and MethodGCP are accepted by the schema and refused with MethodNotSupported.
const (
	MethodKubernetes = "kubernetes" // a short-lived token of a service account
	MethodJWT        = "jwt"        // the same, or a token kept in a Secret
	MethodAppRole    = "appRole"    // a role id, and a secret id kept in a Secret
	MethodAWS        = "aws"
	MethodGCP        = "gcp"
)

// VaultAuthSpec says how to log in. What it leaves out is inherited where vaultAuthGlobalRef names a VaultAuthGlobal.
type VaultAuthSpec struct {
	// VaultConnectionRef names a VaultConnection of the same namespace, or NAMESPACE/NAME where that one allows it.
	// Default: what the VaultAuthGlobal names, else the one named default in the operator's namespace.
	// +optional
	// +kubebuilder:validation:MaxLength=317
	VaultConnectionRef string `json:"vaultConnectionRef,omitempty"`
	// VaultAuthGlobalRef names a VaultAuthGlobal to inherit from.
	// +optional
	VaultAuthGlobalRef *VaultAuthGlobalRef `json:"vaultAuthGlobalRef,omitempty"`
	// Method of the login. Default: the VaultAuthGlobal's defaultAuthMethod, else kubernetes. aws and gcp are accepted,
	// and refused with a condition.
	// +optional
	// +kubebuilder:validation:Enum=kubernetes;jwt;appRole;aws;gcp
	Method string `json:"method,omitempty"`
	// Mount is the path of the auth method on the server. Default: the VaultAuthGlobal's, else the method's name.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Mount string `json:"mount,omitempty"`
	// Namespace of the server (X-Vault-Namespace), not of Kubernetes.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Namespace string `json:"namespace,omitempty"`
	// Params are sent with the login, beside the method's own.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	Params map[string]string `json:"params,omitempty"`
	// Headers are sent with every request, in addition to the connection's.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	Headers map[string]string `json:"headers,omitempty"`
	// AllowedNamespaces lists the Kubernetes namespaces whose resources may refer to this VaultAuth as
	// NAMESPACE/NAME; "*" allows all. Its own namespace and the operator's are always allowed.
	// +optional
	// +kubebuilder:validation:MaxItems=256
	AllowedNamespaces []string `json:"allowedNamespaces,omitempty"`
	// Kubernetes holds the settings of method kubernetes.
	// +optional
	Kubernetes *KubernetesAuth `json:"kubernetes,omitempty"`
	// JWT holds the settings of method jwt.
	// +optional
	JWT *JWTAuth `json:"jwt,omitempty"`
	// AppRole holds the settings of method appRole.
	// +optional
	AppRole *AppRoleAuth `json:"appRole,omitempty"`
	// AWS holds the settings of method aws, which this operator refuses.
	// +optional
	AWS *AWSAuth `json:"aws,omitempty"`
	// GCP holds the settings of method gcp, which this operator refuses.
	// +optional
	GCP *GCPAuth `json:"gcp,omitempty"`
	// StorageEncryption is accepted and without effect: this operator never stores a login.
	// +optional
	StorageEncryption *StorageEncryption `json:"storageEncryption,omitempty"`
}

// KubernetesAuth logs in with a short-lived token of a service account.
type KubernetesAuth struct {
	// Role on the server.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Role string `json:"role,omitempty"`
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

// JWTAuth logs in with a token of a service account, or with one kept in a Secret.
type JWTAuth struct {
	// Role on the server.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Role string `json:"role,omitempty"`
	// SecretRef names a Secret, in the namespace of the resource that uses this VaultAuth, whose key jwt holds the token.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	SecretRef string `json:"secretRef,omitempty"`
	// ServiceAccount whose token is presented where secretRef is empty, in the namespace of the resource that uses
	// this VaultAuth. Default: default.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	ServiceAccount string `json:"serviceAccount,omitempty"`
	// Audiences of the service account's token. Default: the API server's own.
	// +optional
	// +kubebuilder:validation:MaxItems=16
	Audiences []string `json:"audiences,omitempty"`
	// TokenExpirationSeconds of the service account's token. Default 600.
	// +optional
	// +kubebuilder:validation:Minimum=600
	TokenExpirationSeconds int64 `json:"tokenExpirationSeconds,omitempty"`
}

// AppRoleAuth logs in with a role id and a secret id.
type AppRoleAuth struct {
	// RoleID of the role.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	RoleID string `json:"roleId,omitempty"`
	// SecretIDPath is accepted and refused with a condition: this operator reads no file that a resource names. Put the
	// secret id into a Secret, and name it in secretRef.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	SecretIDPath string `json:"secretIDPath,omitempty"`
	// SecretRef names a Secret, in the namespace of the resource that uses this VaultAuth, whose key id holds the
	// secret id. Without it none is sent.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	SecretRef string `json:"secretRef,omitempty"`
}

// AWSAuth is accepted so that manifests apply; the login is refused with MethodNotSupported.
type AWSAuth struct {
	// +optional
	Role string `json:"role,omitempty"`
	// +optional
	Region string `json:"region,omitempty"`
	// +optional
	HeaderValue string `json:"headerValue,omitempty"`
	// +optional
	SessionName string `json:"sessionName,omitempty"`
	// +optional
	STSEndpoint string `json:"stsEndpoint,omitempty"`
	// +optional
	IAMEndpoint string `json:"iamEndpoint,omitempty"`
	// +optional
	SecretRef string `json:"secretRef,omitempty"`
	// +optional
	IRSAServiceAccount string `json:"irsaServiceAccount,omitempty"`
}

// GCPAuth is accepted so that manifests apply; the login is refused with MethodNotSupported.
type GCPAuth struct {
	// +optional
	Role string `json:"role,omitempty"`
	// +optional
	WorkloadIdentityServiceAccount string `json:"workloadIdentityServiceAccount,omitempty"`
	// +optional
	Region string `json:"region,omitempty"`
	// +optional
	ClusterName string `json:"clusterName,omitempty"`
	// +optional
	ProjectID string `json:"projectID,omitempty"`
}

// StorageEncryption is accepted and without effect: logins are kept in memory only.
type StorageEncryption struct {
	// +optional
	Mount string `json:"mount,omitempty"`
	// +optional
	KeyName string `json:"keyName,omitempty"`
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

	// +optional
	Spec   VaultAuthSpec   `json:"spec,omitempty"`
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
