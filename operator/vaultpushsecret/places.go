package vaultpushsecret

import (
	"context"
	"fmt"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"strongroom/api/v1beta1"
	"strongroom/operator/condition"
	"strongroom/operator/syncer"
	"strongroom/operator/vaultclient"
)

// maxFormer bounds the places that are remembered to be given back.
const maxFormer = 16

// called is how the status names a version.
func (p place) called(version int) string {
	if p.meta == "" {
		return ""
	}
	return strconv.Itoa(version)
}

// move notes in the stored status where the resource is about to push, and the place that it leaves, before anything is
// written: an operator that ends in between must know of both.
func (r *Reconciler) move(ctx context.Context, push, stored *v1beta1.VaultPushSecret, address string) error {
	status := &push.Status
	here, left := spelled(push, address), status.Pushed
	if left != nil && *left == here || dry(push) {
		return nil
	}
	status.Pushed = &here
	if left != nil && !same(*left, here) {
		// In KV v1, which has no marks, only the status tells whether anything was pushed there.
		if left.Type != v1beta1.EngineKVv1 || status.SourcePath != "" {
			status.Former = append(status.Former, *left)
			status.Former = status.Former[max(0, len(status.Former)-maxFormer):]
		}
		status.SourcePath, status.SourceResourceVersion, status.SecretVersion = "", "", ""
	}
	status.Former = without(status.Former, here) // it comes back
	if err := r.Client.Status().Patch(ctx, push, client.MergeFrom(stored)); err != nil {
		return fmt.Errorf("store status: %w", err)
	}
	push.DeepCopyInto(stored)
	return nil
}

// spelled is the place that the spec names.
func spelled(push *v1beta1.VaultPushSecret, address string) v1beta1.PushedPlace {
	spec := &push.Spec
	return v1beta1.PushedPlace{
		Address: address, VaultAuthRef: spec.VaultAuthRef, ServiceAccount: spec.ServiceAccount,
		Namespace: spec.Namespace, Mount: spec.Mount, Type: spec.Type, Path: spec.Path,
	}
}

// same tells whether two are one place, whoever logs in.
func same(a, b v1beta1.PushedPlace) bool {
	a.VaultAuthRef, a.ServiceAccount = b.VaultAuthRef, b.ServiceAccount
	return a == b
}

func without(places []v1beta1.PushedPlace, here v1beta1.PushedPlace) []v1beta1.PushedPlace {
	var others []v1beta1.PushedPlace
	for _, each := range places {
		if !same(each, here) {
			others = append(others, each)
		}
	}
	return others
}

// clear gives back the places that the resource has left, once it holds the new one. What a server that is away keeps is
// tried again at the next look; of what cannot be given back an event tells.
func (r *Reconciler) clear(ctx context.Context, push *v1beta1.VaultPushSecret) error {
	var left []v1beta1.PushedPlace
	for _, former := range push.Status.Former {
		err := r.release(ctx, push, former)
		_, known := condition.As(err)
		switch {
		case err != nil && !known:
			return err
		case condition.Is(err, v1beta1.ReasonServerSealed, v1beta1.ReasonServerUnreachable):
			left = append(left, former)
		case err != nil:
			r.tellLeft(push, former, err)
		}
	}
	push.Status.Former = left
	return nil
}

func (r *Reconciler) tellLeft(push *v1beta1.VaultPushSecret, where v1beta1.PushedPlace, err error) {
	r.Reporter.Events.Eventf(push, nil, corev1.EventTypeWarning, "ReleaseFailed", "Release", "%s/%s is left on the server as it is: %v", where.Mount, where.Path, err)
}

// finalize takes back what a resource pushed, or its mark, and lets the resource go.
func (r *Reconciler) finalize(ctx context.Context, request reconcile.Request, push *v1beta1.VaultPushSecret) (reconcile.Result, error) {
	if !controllerutil.ContainsFinalizer(push, syncer.Finalizer) {
		return reconcile.Result{}, nil
	}
	before := push.DeepCopy()
	places, pushed := push.Status.Former, push.Status.Pushed
	if pushed == nil && push.Status.SourcePath != "" { // by an operator that did not note it
		here := spelled(push, "")
		pushed = &here
	}
	if pushed != nil && (pushed.Type != v1beta1.EngineKVv1 || push.Status.SourcePath != "") {
		places = append(places, *pushed)
	}
	for _, where := range places {
		err := r.release(ctx, push, where)
		problem, known := condition.As(err)
		switch {
		case err != nil && !known:
			return reconcile.Result{}, err
		case known && push.Spec.DeletionPolicy == v1beta1.DeletionDelete && time.Since(push.DeletionTimestamp.Time) < releaseFor &&
			condition.Is(err, v1beta1.ReasonServerSealed, v1beta1.ReasonServerUnreachable):
			problem = &condition.Problem{Reason: problem.Reason, Message: "waits until what it pushed is deleted: " + problem.Message, Cause: problem.Cause}
			if err := r.Reporter.Report(ctx, before, push, "Release", problem, ""); err != nil {
				return reconcile.Result{}, err
			}
			return reconcile.Result{RequeueAfter: r.Watcher.Next(request, problem, time.Minute)}, nil
		case known: // whoever took the login away as well must not be stuck with the resource
			r.tellLeft(push, where, err)
		}
	}
	controllerutil.RemoveFinalizer(push, syncer.Finalizer)
	return reconcile.Result{}, client.IgnoreNotFound(r.Client.Patch(ctx, push, client.MergeFrom(before)))
}

// release deletes at a place what is the resource's own, or takes its mark off.
func (r *Reconciler) release(ctx context.Context, push *v1beta1.VaultPushSecret, from v1beta1.PushedPlace) error {
	where, err := at(v1beta1.VaultPushSecretSpec{Mount: from.Mount, Type: from.Type, Path: from.Path})
	if err != nil {
		return err
	}
	login, err := r.Auths.Login(ctx, push.Namespace, from.VaultAuthRef, from.ServiceAccount)
	if err != nil {
		return err
	}
	if from.Address != "" && login.Address != from.Address {
		return condition.Problemf(v1beta1.ReasonInvalidSpec, "it is on %s, and the login is for %s", from.Address, login.Address)
	}
	who := r.self(push, where)
	where.login = login
	return r.Pool.Do(ctx, login, func(ctx context.Context, client *vaultclient.Client) error {
		where.client = client.In(from.Namespace)
		now, err := where.look(ctx)
		if err != nil {
			return err
		}
		if where.meta != "" && !now.of(who) {
			return nil // somebody took it over
		}
		if push.Spec.DeletionPolicy == v1beta1.DeletionDelete {
			if err := where.remove(ctx); err != nil {
				return err
			}
		}
		return where.mark(ctx, now, self{})
	})
}
