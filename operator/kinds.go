package operator

import (
	"context"
	"fmt"
	"maps"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"strongroom/operator/condition"
	"strongroom/operator/consumers"
	"strongroom/operator/instant"
	"strongroom/operator/restart"
	"strongroom/operator/secrettransformation"
	"strongroom/operator/source"
	"strongroom/operator/syncer"
	"strongroom/operator/target"
	"strongroom/operator/transform"
	"strongroom/operator/vaultauth"
	"strongroom/operator/vaultclient"
	"strongroom/operator/vaultdynamicsecret"
	"strongroom/operator/vaultpkisecret"
	"strongroom/operator/vaultpushsecret"
	"strongroom/operator/vaultsecret"
	"strongroom/operator/vaultstaticsecret"
)

// core is what all kinds that fill a target stand on.
type core struct {
	kube     client.Client
	live     client.Reader
	pool     *vaultclient.Pool
	hub      *instant.Hub
	auths    vaultauth.Resolver
	shapes   transform.Library
	reporter condition.Reporter
	told     *consumers.Reporter // nil: servers are told nothing
}

// registerKinds adds a controller for each kind that fills a target, and for what shapes it.
func registerKinds(ctx context.Context, mgr manager.Manager, c core, namespaces []string, concurrency int) error {
	reader := source.NewReader(c.pool)
	restarts := restart.NewCounter()
	if err := measure(restarts); err != nil {
		return err
	}
	kinds := map[string]syncer.Kind{
		vaultsecret.Name:        syncer.For(&vaultsecret.Kind{Auths: c.auths, Source: reader}),
		vaultstaticsecret.Name:  syncer.For(&vaultstaticsecret.Kind{Auths: c.auths, Source: reader, Shapes: c.shapes}),
		vaultdynamicsecret.Name: syncer.For(&vaultdynamicsecret.Kind{Auths: c.auths, Pool: c.pool, Shapes: c.shapes, Events: c.reporter.Events}),
		vaultpkisecret.Name:     syncer.For(&vaultpkisecret.Kind{Auths: c.auths, Pool: c.pool, Shapes: c.shapes}),
	}
	for name, kind := range kinds {
		engine := &syncer.Engine{
			Kind: kind, Name: name, Kinds: slices.Collect(maps.Keys(kinds)), Targets: target.Store{Client: c.kube, Live: c.live},
			Workloads: restart.Workloads{Client: c.kube, Live: c.live, Count: restarts},
			Auths:     c.auths, Reporter: c.reporter, Watcher: c.hub.Watcher(name), Namespaces: namespaces, Consumers: c.told,
		}
		if err := engine.Register(ctx, mgr, concurrency); err != nil {
			return fmt.Errorf("register %s: %w", name, err)
		}
	}
	if err := registerPush(ctx, mgr, c, namespaces, concurrency); err != nil {
		return fmt.Errorf("register %s: %w", vaultpushsecret.Name, err)
	}
	shared := &secrettransformation.Reconciler{Client: c.kube, Reporter: c.reporter}
	if err := shared.Register(mgr, concurrency); err != nil {
		return fmt.Errorf("register SecretTransformation: %w", err)
	}
	return nil
}

// registerPush adds the controller of VaultPushSecrets, with a cache of its own: of Secrets' metadata, without what
// annotations may hold, such as a whole Secret that was applied by kubectl. It is empty until somebody pushes.
func registerPush(ctx context.Context, mgr manager.Manager, c core, namespaces []string, concurrency int) error {
	chosen := make(map[string]cache.Config, len(namespaces))
	for _, namespace := range namespaces {
		chosen[namespace] = cache.Config{}
	}
	secrets, err := cache.New(mgr.GetConfig(), cache.Options{
		HTTPClient: mgr.GetHTTPClient(), Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper(), DefaultNamespaces: chosen,
		DefaultTransform: func(object any) (any, error) {
			if meta, ok := object.(metav1.Object); ok {
				meta.SetAnnotations(nil)
				meta.SetLabels(nil)
				meta.SetManagedFields(nil)
			}
			return object, nil
		},
	})
	if err != nil {
		return err
	}
	if err := mgr.Add(secrets); err != nil {
		return err
	}
	push := &vaultpushsecret.Reconciler{
		Client: c.kube, Live: c.live, Auths: c.auths, Pool: c.pool, Reporter: c.reporter,
		Watcher: c.hub.Watcher(vaultpushsecret.Name), Secrets: secrets, Consumers: c.told,
	}
	return push.Register(ctx, mgr, concurrency)
}
