package syncer

import (
	"context"
	"slices"

	"strongroom/operator/target"
)

// A resource's status records where it fills targets, before anything is written there: what an operator that ends in
// between has written is found again, and goes when it should. Only what is recorded is ever deleted.

// Copier is a resource that may have copies of its target in other namespaces.
type Copier interface{ CopiedTo() *[]string }

// copiedTo are the namespaces with copies, as the status records them; none of a kind that makes none.
func copiedTo(resource Object) []string {
	if copier, ok := resource.(Copier); ok {
		return *copier.CopiedTo()
	}
	return nil
}

// intend records the target and the namespaces of copies that are about to be written. The first target of a resource
// needs no record: it is what the spec names, and goes with the resource by its owner reference.
func (c *course) intend(ctx context.Context, namespaces ...string) error {
	status := c.resource.SyncStatus()
	news := false
	note := func(list []string, names ...string) []string {
		for _, name := range names {
			if !slices.Contains(list, name) {
				list, news = append(list, name), true
			}
		}
		return list
	}
	if !c.spec.Want.DataOnly && len(status.Targets)+len(namespaces) > 0 {
		status.Targets = note(status.Targets, c.spec.Want.Ref())
	}
	if copier, ok := c.resource.(Copier); ok {
		*copier.CopiedTo() = note(*copier.CopiedTo(), namespaces...)
	}
	if !news {
		return nil
	}
	return c.store(ctx)
}

// dropFormer deletes what the resource filled under other names, here and where copies are, once the new is there. What
// is to be retained stays here; others get no more than the copy that they accepted.
func (c *course) dropFormer(ctx context.Context) error {
	status, want := c.resource.SyncStatus(), c.spec.Want
	former := slices.DeleteFunc(slices.Clone(status.Targets), func(ref string) bool { return ref == want.Ref() })
	namespaces := slices.Clone(copiedTo(c.resource))
	if !want.Retain {
		namespaces = append(namespaces, want.Namespace)
	}
	if err := c.drop(ctx, want, former, namespaces); err != nil {
		return err
	}
	status.Targets = []string{want.Ref()}
	return nil
}

// leave deletes the copies in the namespaces that are chosen no longer.
func (c *course) leave(ctx context.Context, chosen []string) error {
	left := slices.DeleteFunc(slices.Clone(copiedTo(c.resource)), func(namespace string) bool { return slices.Contains(chosen, namespace) })
	return c.drop(ctx, c.spec.Want, recorded(c.resource, c.spec.Want), left)
}

// recorded are the targets that the status records; that of the spec for the status of an operator that recorded none.
func recorded(resource Object, want target.Want) []string {
	status := resource.SyncStatus()
	if len(status.Targets) == 0 && status.TargetResourceVersion != "" {
		return []string{want.Ref()}
	}
	return status.Targets
}

func (e *Engine) drop(ctx context.Context, want target.Want, refs, namespaces []string) error {
	for _, namespace := range namespaces {
		for _, ref := range refs {
			if err := e.Targets.Drop(ctx, want.At(namespace, ref)); err != nil {
				return err
			}
		}
	}
	return nil
}
