// Package vaultstaticsecret owns the kind VaultStaticSecret: what its spec asks for, and reading it. The course of a
// sync is package syncer's.
package vaultstaticsecret

import (
	"context"
	"fmt"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"strongroom/api/v1beta1"
	"strongroom/operator/condition"
	"strongroom/operator/source"
	"strongroom/operator/syncer"
	"strongroom/operator/target"
	"strongroom/operator/transform"
	"strongroom/operator/vaultauth"
)

// Name is the kind's.
const Name = "VaultStaticSecret"

const defaultInterval = time.Minute

// Kind is VaultStaticSecret for the course of a sync.
type Kind struct {
	Auths  vaultauth.Resolver
	Source *source.Reader
	Client client.Client
}

// +kubebuilder:rbac:groups=secrets.hashicorp.com,resources=vaultstaticsecrets,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=secrets.hashicorp.com,resources=vaultstaticsecrets/status,verbs=get;patch;update
// +kubebuilder:rbac:groups=secrets.hashicorp.com,resources=vaultstaticsecrets/finalizers,verbs=update

// New is an empty VaultStaticSecret.
func (k *Kind) New() syncer.Object { return &v1beta1.VaultStaticSecret{} }

// NewList is an empty list.
func (k *Kind) NewList() client.ObjectList { return &v1beta1.VaultStaticSecretList{} }

// Items are those of a list.
func (k *Kind) Items(list client.ObjectList) []syncer.Object {
	var items []syncer.Object
	if list, ok := list.(*v1beta1.VaultStaticSecretList); ok {
		for i := range list.Items {
			items = append(items, &list.Items[i])
		}
	}
	return items
}

// Spec says what the resource asks for. Errors are Problems: InvalidSpec.
func (k *Kind) Spec(resource syncer.Object) (syncer.Spec, error) {
	vss, ok := resource.(*v1beta1.VaultStaticSecret)
	if !ok {
		return syncer.Spec{}, fmt.Errorf("%T is no VaultStaticSecret", resource)
	}
	owner := target.Owner{Kind: Name, Namespace: vss.Namespace, Name: vss.Name, UID: vss.UID}
	spec := syncer.Spec{
		Want: target.OfDestination(owner, vss.Spec.Destination), AuthRef: vss.Spec.VaultAuthRef,
		Refs:     transform.Refs(vss.Namespace, vss.Spec.Destination.Transformation),
		Restarts: vss.Spec.RolloutRestartTargets, Restart: vss.Spec.RestartPolicy,
		// The metadata in _raw does not change without the version; it is the data that counts.
		Transient: []string{transform.RawKey},
		NoMAC:     vss.Spec.HMACSecretData != nil && !*vss.Spec.HMACSecretData,
	}
	var err error
	spec.Every, err = syncer.Duration("refreshAfter", vss.Spec.RefreshAfter, 0)
	spec.Fallback = defaultInterval
	return spec, err
}

// Read reads the secret, and makes the destination's data of it.
func (k *Kind) Read(ctx context.Context, resource syncer.Object, _ syncer.Held) (*syncer.Content, error) {
	vss, ok := resource.(*v1beta1.VaultStaticSecret)
	if !ok {
		return nil, fmt.Errorf("%T is no VaultStaticSecret", resource)
	}
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
	rules, err := transform.Resolve(ctx, k.Client, k.Auths.Permits, vss.Namespace, vss.Spec.Destination.Transformation)
	if err != nil {
		return nil, err
	}
	secret, err := k.Source.ReadStatic(ctx, login, source.Static{
		Namespace: vss.Spec.Namespace, Mount: vss.Spec.Mount, Path: vss.Spec.Path, Engine: engine, Version: vss.Spec.Version,
	})
	if err != nil {
		return nil, err
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
