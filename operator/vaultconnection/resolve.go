package vaultconnection

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validation/path"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"strongroom/api/v1beta1"
	"strongroom/operator/condition"
	"strongroom/operator/vaultclient"
)

const (
	caKey      = "ca.crt"
	minTimeout = 100 * time.Millisecond
	maxTimeout = time.Minute
)

// Resolver turns VaultConnections into Servers.
type Resolver struct {
	Cache client.Reader // of VaultConnections
	Live  client.Reader // of Secrets with CA certificates, which are not cached
}

// Server gives what connection says. Errors are Problems: InvalidSpec.
func (r Resolver) Server(ctx context.Context, connection *v1beta1.VaultConnection) (vaultclient.Server, error) {
	spec := connection.Spec
	server := vaultclient.Server{
		Address: strings.TrimSuffix(spec.Address, "/"), SkipTLSVerify: spec.SkipTLSVerify,
		TLSServerName: spec.TLSServerName, Headers: spec.Headers,
	}
	if spec.Timeout != "" {
		timeout, err := time.ParseDuration(spec.Timeout)
		if err != nil || timeout < minTimeout {
			return server, condition.Problemf(v1beta1.ReasonInvalidSpec,
				"timeout %q of VaultConnection %s is not a duration of %s or more", spec.Timeout, connection.Name, minTimeout)
		}
		server.Timeout = min(timeout, maxTimeout)
	}
	if spec.CACertPath != "" {
		return server, condition.Problemf(v1beta1.ReasonInvalidSpec,
			"caCertPath of VaultConnection %s is a file, and this operator reads none that a resource names: put the certificates into a Secret of namespace %s as key %s, and name it in caCertSecretRef",
			connection.Name, connection.Namespace, caKey)
	}
	if len(path.IsValidPathSegmentName(spec.CACertSecretRef)) > 0 {
		return server, condition.Problemf(v1beta1.ReasonInvalidSpec,
			"caCertSecretRef %q of VaultConnection %s is not the name of a Secret in namespace %s: one of another namespace cannot be used",
			spec.CACertSecretRef, connection.Name, connection.Namespace)
	}
	if spec.CACertSecretRef != "" {
		secret := &corev1.Secret{}
		name := types.NamespacedName{Namespace: connection.Namespace, Name: spec.CACertSecretRef}
		err := r.Live.Get(ctx, name, secret)
		if err != nil && !apierrors.IsNotFound(err) {
			return server, fmt.Errorf("get the CA certificate: %w", err)
		}
		server.CACert = string(secret.Data[caKey])
		if server.CACert == "" {
			return server, condition.Problemf(v1beta1.ReasonInvalidSpec,
				"VaultConnection %s trusts the CA in key %s of Secret %s, which does not exist in namespace %s",
				connection.Name, caKey, spec.CACertSecretRef, connection.Namespace)
		}
	}
	return server, nil
}
