// Package vaultpkisecret owns the kind VaultPKISecret: certificates that the server issues, replaced before they end and
// revoked when asked for. The course of a sync is package syncer's.
package vaultpkisecret

import (
	"context"
	"errors"
	"net/http"
	"time"

	vault "github.com/hashicorp/vault/api"

	"strongroom/api/v1beta1"
	"strongroom/operator/condition"
	"strongroom/operator/consumers"
	"strongroom/operator/source"
	"strongroom/operator/syncer"
	"strongroom/operator/transform"
	"strongroom/operator/vaultauth"
	"strongroom/operator/vaultclient"
)

// Name is the kind's.
const Name = "VaultPKISecret"

// Kind is VaultPKISecret for the course of a sync (syncer.For).
type Kind struct {
	Auths  vaultauth.Resolver
	Pool   *vaultclient.Pool
	Shapes transform.Library
}

// +kubebuilder:rbac:groups=secrets.hashicorp.com,resources=vaultpkisecrets,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=secrets.hashicorp.com,resources=vaultpkisecrets/status,verbs=get;patch;update
// +kubebuilder:rbac:groups=secrets.hashicorp.com,resources=vaultpkisecrets/finalizers,verbs=update

// Spec says what the resource asks for. Errors are Problems: InvalidSpec.
func (k *Kind) Spec(pki *v1beta1.VaultPKISecret) (syncer.Spec, error) {
	_, err := syncer.Duration("expiryOffset", pki.Spec.ExpiryOffset, 0)
	return syncer.Spec{
		AuthRef: pki.Spec.VaultAuthRef, Restarts: pki.Spec.RolloutRestartTargets, Restart: pki.Spec.RestartPolicy,
		Costly: true, Finalize: pki.Spec.Revoke || pki.Spec.Clear, Clear: pki.Spec.Clear,
		Fallback: longest,
	}.Into(Name, pki, pki.Spec.Destination), errors.Join(err, checkPaths(&pki.Spec))
}

// Read keeps the certificate while it is good, or gets a new one.
func (k *Kind) Read(ctx context.Context, pki *v1beta1.VaultPKISecret, held syncer.Held) (*syncer.Content, error) {
	offset, err := syncer.Duration("expiryOffset", pki.Spec.ExpiryOffset, 0)
	if err != nil {
		return nil, err
	}
	pki.Status.LastGeneration = pki.Generation
	path := issuePath(&pki.Spec)
	login, err := k.Auths.Login(ctx, pki.Namespace, pki.Spec.VaultAuthRef, "")
	use := &consumers.Use{Login: login, Namespace: pki.Spec.Namespace, Paths: []string{path}}
	if err != nil {
		use = nil // a certificate that is good needs no login
	}
	if wait := goodFor(pki, held.Intact, offset, time.Now()); wait > 0 {
		return &syncer.Content{Version: pki.Status.SecretVersion, Path: path, Says: says(pki.Status.SerialNumber, path), Next: wait, Use: use}, nil
	}
	if err != nil {
		return nil, err
	}
	rules, err := k.Shapes.Resolve(ctx, pki.Namespace, pki.Spec.Destination.Transformation)
	if err != nil {
		return nil, err
	}
	var answer *vault.Secret
	err = k.Pool.Do(ctx, login, func(ctx context.Context, client *vaultclient.Client) (err error) {
		answer, err = client.In(pki.Spec.Namespace).Write(ctx, path, request(&pki.Spec))
		return err
	})
	if err != nil {
		return nil, source.Refusal(login, "update", path, err)
	}
	if answer == nil {
		return nil, condition.Problemf(v1beta1.ReasonNotFound, "%s answers no certificate", path)
	}
	issued, err := parse(answer.Data)
	if err != nil {
		return nil, err
	}
	data, err := rules.Apply(pki, transform.Input{Secrets: answer.Data, Raw: answer.Data})
	if err != nil {
		return nil, err
	}
	issued.addTLS(pki.Spec.Destination.Type, data)
	after := pki.DeepCopy()
	note := func(status *v1beta1.VaultPKISecretStatus) {
		status.SerialNumber, status.Expiration, status.LastRotation = issued.serial, issued.expiration, time.Now().Unix()
	}
	note(&after.Status)
	return &syncer.Content{
		Data: data, Path: path, Says: says(issued.serial, path), Next: max(goodFor(after, true, offset, time.Now()), leastWait), Use: use,
		Commit: func() { note(&pki.Status) },
	}, nil
}

// Release revokes the certificate.
func (k *Kind) Release(ctx context.Context, pki *v1beta1.VaultPKISecret) error {
	if !pki.Spec.Revoke || pki.Status.SerialNumber == "" || time.Now().Unix() > pki.Status.Expiration {
		return nil
	}
	login, err := k.Auths.Login(ctx, pki.Namespace, pki.Spec.VaultAuthRef, "")
	if err != nil {
		return err
	}
	path := issuedAt(pki) + "/revoke"
	err = k.Pool.Do(ctx, login, func(ctx context.Context, client *vaultclient.Client) error {
		_, err := client.In(pki.Spec.Namespace).Write(ctx, path, map[string]any{"serial_number": pki.Status.SerialNumber})
		return err
	})
	var refused *vaultclient.Refused
	if errors.As(err, &refused) && refused.Status != http.StatusForbidden {
		return nil // it knows no such certificate, or it is revoked
	}
	return source.Refusal(login, "update", path, err)
}

func says(serial, path string) string { return "certificate " + serial + " of " + path }
