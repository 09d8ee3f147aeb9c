// Package vaultdynamicsecret owns the kind VaultDynamicSecret: credentials that the server makes on request, their
// leases, and giving these back. When a lease is renewed or replaced is decided by pure functions (lease.go). The course
// of a sync is package syncer's.
package vaultdynamicsecret

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	vault "github.com/hashicorp/vault/api"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/events"

	"strongroom/api/v1beta1"
	"strongroom/operator/condition"
	"strongroom/operator/source"
	"strongroom/operator/syncer"
	"strongroom/operator/transform"
	"strongroom/operator/vaultauth"
	"strongroom/operator/vaultclient"
)

// Name is the kind's.
const Name = "VaultDynamicSecret"

// maxFormer bounds the replaced leases that are remembered until the resource goes.
const maxFormer = 16

// Kind is VaultDynamicSecret for the course of a sync (syncer.For).
type Kind struct {
	Auths  vaultauth.Resolver
	Pool   *vaultclient.Pool
	Shapes transform.Library
	Events events.EventRecorder
}

// +kubebuilder:rbac:groups=secrets.hashicorp.com,resources=vaultdynamicsecrets,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=secrets.hashicorp.com,resources=vaultdynamicsecrets/status,verbs=get;patch;update
// +kubebuilder:rbac:groups=secrets.hashicorp.com,resources=vaultdynamicsecrets/finalizers,verbs=update

// Spec says what the resource asks for. Errors are Problems: InvalidSpec.
func (k *Kind) Spec(vds *v1beta1.VaultDynamicSecret) (syncer.Spec, error) {
	every, err := syncer.Duration("refreshAfter", vds.Spec.RefreshAfter, defaultInterval)
	spec := syncer.Spec{
		AuthRef: vds.Spec.VaultAuthRef, Restarts: vds.Spec.RolloutRestartTargets, Restart: vds.Spec.RestartPolicy,
		Costly: !vds.Spec.AllowStaticCreds, Bound: !vds.Spec.AllowStaticCreds, Finalize: vds.Spec.Revoke, Fallback: every,
	}
	if vds.Spec.AllowStaticCreds {
		spec.Transient = []string{"ttl", transform.RawKey}
	}
	return spec.Into(Name, vds, vds.Spec.Destination),
		errors.Join(err, source.CheckPath("spec.mount", vds.Spec.Mount), source.CheckPath("spec.path", vds.Spec.Path))
}

// Read keeps the credentials, renews their lease, or gets new ones.
func (k *Kind) Read(ctx context.Context, vds *v1beta1.VaultDynamicSecret, held syncer.Held) (*syncer.Content, error) {
	every, err := syncer.Duration("refreshAfter", vds.Spec.RefreshAfter, defaultInterval)
	if err != nil {
		return nil, err
	}
	vds.Status.LastGeneration = vds.Generation
	path := join(vds.Spec.Mount, vds.Spec.Path)
	login, err := k.login(ctx, vds)
	if err != nil {
		return nil, err
	}
	intact := held.Intact
	if intact && vds.Status.SecretLease.ID != "" {
		if intact, err = k.sameLogin(ctx, login, vds.Status.VaultClientMeta.ID); err != nil {
			return nil, err
		}
	}
	if err := k.settle(ctx, login, vds, held); err != nil {
		return nil, err
	}
	what, wait := decide(vds, intact, every, time.Now())
	if what == keep {
		return &syncer.Content{Version: vds.Status.SecretVersion, Path: path, Says: says(vds, path), Next: wait, Login: login, Namespace: vds.Spec.Namespace}, nil
	}
	// Before anything is made on the server: what would fail in the end must fail now.
	rules, err := k.Shapes.Resolve(ctx, vds.Namespace, vds.Spec.Destination.Transformation)
	if err != nil {
		return nil, err
	}
	if what == renew {
		renewed, err := k.renew(ctx, login, vds)
		if err != nil {
			return nil, err
		}
		if renewed {
			_, wait := decide(vds, true, every, time.Now())
			return &syncer.Content{Version: vds.Status.SecretVersion, Path: path, Says: says(vds, path), Next: wait, Login: login, Namespace: vds.Spec.Namespace}, nil
		}
	}
	return k.issue(ctx, login, vds, rules, path, held)
}

// login is one that is kept as long as its leases.
func (k *Kind) login(ctx context.Context, vds *v1beta1.VaultDynamicSecret) (vaultclient.Login, error) {
	login, err := k.Auths.Login(ctx, vds.Namespace, vds.Spec.VaultAuthRef, "")
	login.Leases = err == nil && !vds.Spec.AllowStaticCreds
	return login, err
}

// sameLogin tells whether the login is still the one that holds the lease: a lease ends with its login.
func (k *Kind) sameLogin(ctx context.Context, login vaultclient.Login, id string) (same bool, err error) {
	err = k.Pool.Do(ctx, login, func(_ context.Context, client *vaultclient.Client) error {
		same = client.LoginID() == id
		return nil
	})
	return same, err
}

// renew extends the lease, and tells whether the server did.
func (k *Kind) renew(ctx context.Context, login vaultclient.Login, vds *v1beta1.VaultDynamicSecret) (bool, error) {
	lease := vds.Status.SecretLease
	var answer *vault.Secret
	err := k.Pool.Do(ctx, login, func(ctx context.Context, client *vaultclient.Client) (err error) {
		answer, err = client.In(vds.Spec.Namespace).Write(ctx, "sys/leases/renew", map[string]any{
			"lease_id": lease.ID, "increment": lease.LeaseDuration,
		})
		return err
	})
	var refused *vaultclient.Refused
	if errors.As(err, &refused) && refused.Status != http.StatusForbidden {
		return false, nil // it is gone or cannot be extended
	}
	if err != nil {
		return false, source.Refusal(login, "update", "sys/leases/renew", err)
	}
	if answer == nil || answer.LeaseDuration <= 0 {
		return false, nil
	}
	extend(&vds.Status, answer.LeaseDuration, answer.Renewable, time.Now())
	return true, nil
}

// issue gets new credentials. Their lease is noted in the stored status before the target is written, so that an
// operator that ends between the two leaves nothing that nobody revokes.
func (k *Kind) issue(ctx context.Context, login vaultclient.Login, vds *v1beta1.VaultDynamicSecret, rules *transform.Rules, path string, held syncer.Held) (*syncer.Content, error) {
	every, err := syncer.Duration("refreshAfter", vds.Spec.RefreshAfter, defaultInterval)
	if err != nil {
		return nil, err
	}
	answer, id, err := k.request(ctx, login, vds, path)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	lease := v1beta1.VaultSecretLease{ID: answer.LeaseID, LeaseDuration: answer.LeaseDuration, Renewable: answer.Renewable, RequestID: answer.RequestID}
	vds.Status.MadeLease = lease.ID
	data, err := rules.Apply(vds, transform.Input{Secrets: answer.Data, Raw: answer.Data})
	if err == nil && lease.ID != "" {
		err = held.Store(ctx)
	}
	if err != nil {
		// What is noted nowhere nobody would revoke, and the next attempt makes another.
		return nil, errors.Join(err, k.giveBack(context.WithoutCancel(ctx), login, vds))
	}
	after := vds.DeepCopy()
	replace(&after.Status, lease, now, maxFormer)
	after.Status.StaticCredsMetaData = rotation(vds.Spec.AllowStaticCreds, answer.Data)
	_, wait := decide(after, true, every, now)
	return &syncer.Content{
		Data: data, Path: path, Says: says(after, path), Next: wait, Login: login, Namespace: vds.Spec.Namespace,
		Commit: func() {
			vds.Status.VaultClientMeta.ID = id
			vds.Status.SecretLease, vds.Status.MadeLease, vds.Status.FormerLeases = after.Status.SecretLease, after.Status.MadeLease, after.Status.FormerLeases
			vds.Status.LastRenewalTime, vds.Status.StaticCredsMetaData = after.Status.LastRenewalTime, after.Status.StaticCredsMetaData
		},
	}, nil
}

// settle ends what an earlier attempt made and did not finish. Where the target changed since the last sync that was
// finished, it may hold these very credentials, and pods may use them: then they are as good as replaced.
func (k *Kind) settle(ctx context.Context, login vaultclient.Login, vds *v1beta1.VaultDynamicSecret, held syncer.Held) error {
	id := vds.Status.MadeLease
	if id == "" || id == vds.Status.SecretLease.ID {
		return nil
	}
	live, err := held.Live(ctx)
	if err != nil {
		return err
	}
	if live != nil && live.ResourceVersion != vds.Status.TargetResourceVersion {
		retire(&vds.Status, id, maxFormer)
		vds.Status.MadeLease = ""
		return nil
	}
	return k.giveBack(ctx, login, vds)
}

// giveBack revokes credentials that were made and that nobody got. A login that may not do so must not keep the resource
// from new ones: these are remembered among the former leases, and an event says what to allow.
func (k *Kind) giveBack(ctx context.Context, login vaultclient.Login, vds *v1beta1.VaultDynamicSecret) error {
	id := vds.Status.MadeLease
	if id == "" {
		return nil
	}
	err := k.revoke(ctx, login, vds.Spec.Namespace, id)
	switch {
	case condition.Is(err, v1beta1.ReasonPermissionDenied):
		retire(&vds.Status, id, maxFormer)
		k.Events.Eventf(vds, nil, corev1.EventTypeWarning, "RevokeFailed", "Issue",
			"lease %s, which nobody got, is not revoked, and left to its own end: %v", id, err)
	case err != nil:
		return err
	}
	vds.Status.MadeLease = ""
	return nil
}

// request asks for credentials.
func (k *Kind) request(ctx context.Context, login vaultclient.Login, vds *v1beta1.VaultDynamicSecret, path string) (answer *vault.Secret, loginID string, err error) {
	capability := "read"
	err = k.Pool.Do(ctx, login, func(ctx context.Context, client *vaultclient.Client) (err error) {
		loginID = client.LoginID()
		client = client.In(vds.Spec.Namespace)
		method := vds.Spec.RequestHTTPMethod
		if len(vds.Spec.Params) > 0 || method == http.MethodPut || method == http.MethodPost {
			capability = "update"
			body := make(map[string]any, len(vds.Spec.Params))
			for name, value := range vds.Spec.Params {
				body[name] = value
			}
			answer, err = client.Write(ctx, path, body)
			return err
		}
		answer, err = client.Read(ctx, path)
		return err
	})
	if err != nil {
		return nil, "", source.Refusal(login, capability, path, err)
	}
	if answer == nil || len(answer.Data) == 0 {
		return nil, "", condition.Problemf(v1beta1.ReasonNotFound, "%s answers no data: see whether it makes credentials by another method (requestHTTPMethod)", path)
	}
	return answer, loginID, nil
}

// Release revokes all leases that may live.
func (k *Kind) Release(ctx context.Context, vds *v1beta1.VaultDynamicSecret) error {
	if !vds.Spec.Revoke {
		return nil
	}
	leases := append([]string{vds.Status.SecretLease.ID, vds.Status.MadeLease}, vds.Status.FormerLeases...)
	if strings.Join(leases, "") == "" {
		return nil
	}
	login, err := k.login(ctx, vds)
	if err != nil {
		return err
	}
	for _, id := range leases {
		if id == "" {
			continue
		}
		if err := k.revoke(ctx, login, vds.Spec.Namespace, id); err != nil {
			return err
		}
	}
	return nil
}

// revoke revokes a lease; one that is gone is revoked.
func (k *Kind) revoke(ctx context.Context, login vaultclient.Login, namespace, id string) error {
	err := k.Pool.Do(ctx, login, func(ctx context.Context, client *vaultclient.Client) error {
		_, err := client.In(namespace).Write(ctx, "sys/leases/revoke", map[string]any{"lease_id": id})
		return err
	})
	var refused *vaultclient.Refused
	if errors.As(err, &refused) && refused.Status != http.StatusForbidden {
		return nil
	}
	return source.Refusal(login, "update", "sys/leases/revoke", err)
}

func join(mount, path string) string { return strings.Trim(mount, "/") + "/" + strings.Trim(path, "/") }

func says(vds *v1beta1.VaultDynamicSecret, path string) string {
	if vds.Spec.AllowStaticCreds {
		return "the credentials of " + path
	}
	if vds.Status.SecretLease.ID == "" {
		return "what " + path + " gave"
	}
	return "credentials of " + path
}
