// Package v1beta1 holds the Kubernetes types of Strongroom's operator, group secrets.hashicorp.com, version v1beta1.
// Manifests written for that group keep working. The package owns names, defaults and validation; it never talks to
// a server.
//
// +kubebuilder:object:generate=true
// +groupName=secrets.hashicorp.com
package v1beta1

//go:generate go tool -modfile=../../tools/go.mod controller-gen object paths=.
//go:generate go tool -modfile=../../tools/go.mod controller-gen crd paths=. output:crd:dir=../../config/crd
//go:generate sh -c "cp ../../config/crd/*.yaml ../../charts/vault-secrets-operator/crds/"

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Group is the API group of every kind in this package.
const Group = "secrets.hashicorp.com"

// GroupVersion names this package's group and version.
func GroupVersion() schema.GroupVersion { return schema.GroupVersion{Group: Group, Version: "v1beta1"} }

// AddToScheme registers the kinds of this package.
func AddToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion(),
		&VaultConnection{}, &VaultConnectionList{},
		&VaultAuth{}, &VaultAuthList{},
		&VaultAuthGlobal{}, &VaultAuthGlobalList{},
		&VaultSecret{}, &VaultSecretList{},
		&VaultStaticSecret{}, &VaultStaticSecretList{},
		&VaultDynamicSecret{}, &VaultDynamicSecretList{},
		&VaultPKISecret{}, &VaultPKISecretList{},
		&VaultPushSecret{}, &VaultPushSecretList{},
		&SecretTransformation{}, &SecretTransformationList{},
	)
	metav1.AddToGroupVersion(scheme, GroupVersion())
	return nil
}
