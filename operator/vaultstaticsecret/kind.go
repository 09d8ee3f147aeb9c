// Package vaultstaticsecret owns the kind VaultStaticSecret: what its spec asks for, and reading it. The course of a
// sync is package syncer's.
package vaultstaticsecret

import (
	"context"
	"time"

	"strongroom/api/v1beta1"
	"strongroom/operator/condition"
	"strongroom/operator/source"
	"strongroom/operator/syncer"
	"strongroom/operator/transform"
	"strongroom/operator/vaultauth"
)

// Name is the kind's.
const Name = "VaultStaticSecret"

const defaultInterval = time.Minute

// Kind is VaultStaticSecret for the course of a sync (syncer.For).
type Kind struct {
	Auths  vaultauth.Resolver
	Source *source.Reader
	Shapes transform.Library
}

// +kubebuilder:rbac:groups=secrets.hashicorp.com,resources=vaultstaticsecrets,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=secrets.hashicorp.com,resources=vaultstaticsecrets/status,verbs=get;patch;update
// +kubebuilder:rbac:groups=secrets.hashicorp.com,resources=vaultstaticsecrets/finalizers,verbs=update

// Spec says what the resource asks for. Errors are Problems: InvalidSpec.
func (k *Kind) Spec(vss *v1beta1.VaultStaticSecret) (syncer.Spec, error) {
	every, err := syncer.Duration("refreshAfter", vss.Spec.RefreshAfter, 0)
	return syncer.Spec{
		AuthRef: vss.Spec.VaultAuthRef, Restarts: vss.Spec.RolloutRestartTargets, Restart: vss.Spec.RestartPolicy,
		// The metadata in _raw does not change without the version; it is the data that counts.
		Transient: []string{transform.RawKey},
		NoMAC:     vss.Spec.HMACSecretData != nil && !*vss.Spec.HMACSecretData,
		Every:     every, Fallback: defaultInterval,
	}.Into(Name, vss, vss.Spec.Destination), err
}

// Read reads the secret, and makes the destination's data of it.
func (k *Kind) Read(ctx context.Context, vss *v1beta1.VaultStaticSecret, _ syncer.Held) (*syncer.Content, error) {
	vss.Status.LastGeneration = vss.Generation
	login, err := k.Auths.Login(ctx, vss.Namespace, vss.Spec.VaultAuthRef, "")
	if err != nil {
		return nil, err
	}
	engine := 2
	if vss.Spec.Type == "kv-v1" {
		engine = 1
		if vss.Spec.Version > 0 {
			return nil, condition.Problemf(v1beta1.ReasonInvalidSpec, "spec.version is for type kv-v2 only: remove it")
		}
	}
	rules, err := k.Shapes.Resolve(ctx, vss.Namespace, vss.Spec.Destination.Transformation)
	if err != nil {
		return nil, err
	}
	secret, err := k.Source.ReadStatic(ctx, login, source.Static{
		Namespace: vss.Spec.Namespace, Mount: vss.Spec.Mount, Path: vss.Spec.Path, Engine: engine, Version: vss.Spec.Version,
	})
	if err != nil {
		return syncer.Failed(login, vss.Spec.Namespace, source.At(err)), err
	}
	data, err := rules.Apply(vss, transform.Input{Secrets: secret.Data, Raw: secret.Raw, Metadata: secret.Metadata})
	if err != nil {
		return nil, err
	}
	return &syncer.Content{
		Data: data, Version: secret.Version, Path: secret.Path, Says: secret.String(),
		Login: login, Namespace: vss.Spec.Namespace, Paths: []string{secret.Path},
	}, nil
}
