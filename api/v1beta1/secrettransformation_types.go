package v1beta1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// SecretTransformationSpec holds templates and filters that several resources share.
type SecretTransformationSpec struct {
	// Templates maps keys of the Secret to templates.
	// +optional
	// +kubebuilder:validation:MaxProperties=512
	Templates map[string]Template `json:"templates,omitempty"`
	// SourceTemplates define what templates may call; they make no keys.
	// +optional
	// +kubebuilder:validation:MaxItems=64
	SourceTemplates []SourceTemplate `json:"sourceTemplates,omitempty"`
	// Includes are regular expressions; only keys of the source that match one stay.
	// +optional
	// +kubebuilder:validation:MaxItems=128
	Includes []string `json:"includes,omitempty"`
	// Excludes are regular expressions; keys of the source that match one go.
	// +optional
	// +kubebuilder:validation:MaxItems=128
	Excludes []string `json:"excludes,omitempty"`
	// AllowedNamespaces may refer to this one; * is all. Default: its own only.
	// +optional
	AllowedNamespaces []string `json:"allowedNamespaces,omitempty"`
}

// SourceTemplate is a text with {{ define }}s.
type SourceTemplate struct {
	// Name by which {{ template "NAME" . }} calls the whole text.
	// +optional
	Name string `json:"name,omitempty"`
	// Text of the template.
	Text string `json:"text"`
}

// SecretTransformationStatus says whether all templates and filters can be read.
type SecretTransformationStatus struct {
	Status `json:",inline"`
}

// SecretTransformation holds templates and filters that several resources share.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:categories=vault
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type SecretTransformation struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   SecretTransformationSpec   `json:"spec"`
	Status SecretTransformationStatus `json:"status,omitempty"`
}

// SecretTransformationList is a list of SecretTransformation.
//
// +kubebuilder:object:root=true
type SecretTransformationList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []SecretTransformation `json:"items"`
}
