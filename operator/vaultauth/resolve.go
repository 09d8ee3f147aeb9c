package vaultauth

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"strongroom/api/v1beta1"
	"strongroom/operator/condition"
	"strongroom/operator/vaultclient"
	"strongroom/operator/vaultconnection"
)

const (
	defaultConnection = "default"
	defaultAccount    = "default"
)

// Resolver turns VaultAuths into Logins.
type Resolver struct {
	Connections vaultconnection.Resolver
	Namespaces  []string // that the operator serves; none: all
}

// Ref gives the VaultAuth that a resource of namespace refers to as ref: NAME, or NAMESPACE/NAME.
func Ref(namespace, ref string) types.NamespacedName {
	if other, name, qualified := strings.Cut(ref, "/"); qualified {
		return types.NamespacedName{Namespace: other, Name: name}
	}
	return types.NamespacedName{Namespace: namespace, Name: ref}
}

// Login resolves ref for a resource of namespace, which logs in as account ("": what the VaultAuth names) of its own
// namespace: a VaultAuth of another namespace lends its settings, never a service account. Errors are Problems:
// AuthNotFound, NamespaceNotAllowed, MethodNotSupported, ConnectionNotFound, InvalidSpec.
func (r Resolver) Login(ctx context.Context, namespace, ref, account string) (vaultclient.Login, error) {
	name := Ref(namespace, ref)
	auth := &v1beta1.VaultAuth{}
	if len(r.Namespaces) == 0 || slices.Contains(r.Namespaces, name.Namespace) { // the cache holds no others
		if err := r.Connections.Cache.Get(ctx, name, auth); err != nil && !apierrors.IsNotFound(err) {
			return vaultclient.Login{}, fmt.Errorf("get VaultAuth %s: %w", name, err)
		}
	}
	foreign := name.Namespace != namespace
	switch {
	case foreign && (auth.Name == "" || !allows(auth, namespace)):
		// The same words whether it exists or not: who may not use it learns nothing of it.
		return vaultclient.Login{}, condition.Problemf(v1beta1.ReasonNamespaceNotAllowed,
			"VaultAuth %s does not allow namespace %s: add it to its spec.allowedNamespaces", name, namespace)
	case auth.Name == "":
		return vaultclient.Login{}, condition.Problemf(v1beta1.ReasonAuthNotFound,
			"there is no VaultAuth %s in namespace %s: create it, or name another", name.Name, name.Namespace)
	}
	return r.login(ctx, auth, namespace, account)
}

func allows(auth *v1beta1.VaultAuth, namespace string) bool {
	return slices.Contains(auth.Spec.AllowedNamespaces, namespace) || slices.Contains(auth.Spec.AllowedNamespaces, "*")
}

// ConnectionName gives the VaultConnection that auth refers to. It is one of its own namespace.
func ConnectionName(auth *v1beta1.VaultAuth) (types.NamespacedName, error) {
	ref := auth.Spec.VaultConnectionRef
	if ref == "" {
		ref = defaultConnection
	}
	name := Ref(auth.Namespace, ref)
	if name.Namespace != auth.Namespace {
		return name, condition.Problemf(v1beta1.ReasonNamespaceNotAllowed,
			"VaultAuth %s/%s refers to VaultConnection %s of another namespace: create one in its own", auth.Namespace, auth.Name, name)
	}
	return name, nil
}

func (r Resolver) login(ctx context.Context, auth *v1beta1.VaultAuth, namespace, account string) (vaultclient.Login, error) {
	kubernetes := auth.Spec.Kubernetes
	switch method := auth.Spec.Method; {
	case method != "" && method != v1beta1.MethodKubernetes:
		return vaultclient.Login{}, condition.Problemf(v1beta1.ReasonMethodNotSupported,
			"VaultAuth %s/%s uses method %q, and this operator logs in with method kubernetes only", auth.Namespace, auth.Name, method)
	case kubernetes == nil || kubernetes.Role == "":
		return vaultclient.Login{}, condition.Problemf(v1beta1.ReasonInvalidSpec,
			"VaultAuth %s/%s has method kubernetes, and needs spec.kubernetes.role", auth.Namespace, auth.Name)
	}
	name, err := ConnectionName(auth)
	if err != nil {
		return vaultclient.Login{}, err
	}
	connection, err := r.Connections.Get(ctx, name)
	if err != nil {
		return vaultclient.Login{}, err
	}
	server, err := r.Connections.Server(ctx, connection)
	if err != nil {
		return vaultclient.Login{}, err
	}
	return vaultclient.Login{
		Server:                 server,
		Namespace:              auth.Spec.Namespace,
		Mount:                  cmp.Or(auth.Spec.Mount, v1beta1.MethodKubernetes),
		Role:                   kubernetes.Role,
		ServiceAccount:         types.NamespacedName{Namespace: namespace, Name: cmp.Or(account, kubernetes.ServiceAccount, defaultAccount)},
		Audiences:              kubernetes.Audiences,
		TokenExpirationSeconds: kubernetes.TokenExpirationSeconds,
		Params:                 auth.Spec.Params,
		ExtraHeaders:           auth.Spec.Headers,
	}, nil
}

// Inline gives the login that a VaultSecret of namespace spells out itself.
func Inline(namespace string, spec *v1beta1.VaultSecretServer, account string) vaultclient.Login {
	kubernetes := spec.Auth.Kubernetes
	return vaultclient.Login{
		Server: vaultclient.Server{
			Address: strings.TrimSuffix(spec.Address, "/"), SkipTLSVerify: spec.SkipTLSVerify, CACert: spec.CACert,
		},
		Namespace: spec.Namespace,
		Mount:     cmp.Or(kubernetes.MountPath, v1beta1.MethodKubernetes),
		Role:      kubernetes.Role,
		ServiceAccount: types.NamespacedName{
			Namespace: namespace, Name: cmp.Or(account, kubernetes.ServiceAccount, defaultAccount),
		},
		Audiences: kubernetes.Audiences,
	}
}
