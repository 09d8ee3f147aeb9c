package syncer

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"strongroom/api/v1beta1"
	"strongroom/operator/condition"
	"strongroom/operator/consumers"
	"strongroom/operator/target"
)

// course is one sync of one resource.
type course struct {
	*Engine
	request  reconcile.Request
	resource Object
	before   Object // as it is stored
	started  time.Time
	spec     Spec
	held     *metav1.PartialObjectMetadata // the target, as the cache knows it
	live     *target.Live                  // as the API server does, once asked
	asked    bool
	key      target.Key // of the target's MAC
	drawn    bool       // and it is a new one
	edited   bool       // the spec changed since the last good sync
	woken    bool       // by an event, or because a server or a login is back
	use      *consumers.Use
	written  bool  // the target holds what it should, though there is a problem
	lacking  error // why not all copies hold it too
	says     string
	next     time.Duration
	exact    bool // next is to be kept to the second
	err      error
}

// rest looks whether nothing is to do.
func (c *course) rest(ctx context.Context) (time.Duration, bool) {
	c.edited = edited(c.resource)
	c.next = c.spec.interval(false)
	if c.held, c.err = c.Targets.Metadata(ctx, c.spec.Want); c.err != nil {
		return 0, false
	}
	if c.resource.GetAnnotations()[v1beta1.DryRunAnnotation] == "true" {
		return 0, false
	}
	return c.memory.rest(c.resource, c.spec, c.held)
}

// edited tells whether the spec changed since the last sync that went well: one that failed did not do what was changed.
func edited(resource Object) bool {
	status := resource.SyncStatus()
	synced := status.SyncedGeneration
	if synced == 0 { // by an operator that did not note it
		synced = status.ObservedGeneration
	}
	return synced != resource.GetGeneration()
}

// target reads the target from the API server, once.
func (c *course) target(ctx context.Context) (*target.Live, error) {
	if c.asked {
		return c.live, nil
	}
	live, err := c.Targets.Get(ctx, c.spec.Want)
	if err != nil {
		return nil, err
	}
	c.live, c.asked = live, true
	return live, nil
}

// sync makes the target equal to the source, and notes in the resource's status what it holds. It leaves says, next
// and err: a Problem, or of the API server.
func (c *course) sync(ctx context.Context) {
	if c.err != nil {
		return
	}
	if c.err = c.prepare(ctx); c.err != nil {
		return
	}
	intact, err := c.intact(ctx)
	if c.err = err; err != nil {
		return
	}
	if c.dry() && c.spec.Costly {
		c.err = condition.Problemf(v1beta1.ReasonDryRun, "dry run: nothing is asked of the server, as each answer is a new credential; Secret %s is not touched", c.spec.Want.Name)
		return
	}
	content, err := c.Kind.Read(ctx, c.resource, Held{Intact: intact, Live: c.ours, Store: c.store})
	c.use = content.use()
	if c.err = err; err != nil {
		return
	}
	c.follow(content)
	if content.Next > 0 {
		c.next, c.exact = content.Next, true
	}
	version, step, err := c.write(ctx, content)
	if c.err = err; err != nil {
		return
	}
	c.written = true
	if content.Commit != nil {
		content.Commit()
	}
	// Where copies go others have a say: what they refuse keeps nothing here from being done.
	c.lacking = c.copies(ctx)
	if _, known := condition.As(c.lacking); c.lacking != nil && !known {
		c.err = c.lacking
		return
	}
	if c.err = c.dropFormer(ctx); c.err != nil {
		return
	}
	c.tellRepair(step)
	c.note(content, version, step)
	c.says = c.spec.Want.Called() + " holds " + content.Says
	if c.err = c.restart(ctx, content); c.err != nil {
		return
	}
	if c.err = c.lacking; c.err == nil && content.Partly != nil {
		c.err = content.Partly
	}
}

// follow has changes at the source told, where they can be.
func (c *course) follow(content *Content) {
	status := c.resource.SyncStatus()
	if content.Login.Address == "" {
		status.Updates = ""
		return
	}
	live := c.Watcher.Follow(c.request, content.Login, content.Namespace, c.started, content.Paths...) && !content.Untold
	if live && !c.woken && !c.edited && status.Updates == v1beta1.UpdatesEvents && status.SourcePath == content.Path &&
		status.SecretVersion != "" && status.SecretVersion != content.Version {
		c.Watcher.Missed(c.request, c.started)
	}
	if len(content.Paths) == 0 {
		return // only the end of the login is
	}
	c.next, status.Updates = c.spec.interval(live), v1beta1.UpdatesPolling
	if live {
		status.Updates = v1beta1.UpdatesEvents
	}
}

func (c *course) dry() bool { return c.resource.GetAnnotations()[v1beta1.DryRunAnnotation] == "true" }

// prepare finds what would make the sync fail in the end, before the server is asked for anything: a credential that
// cannot be stored must not be made.
func (c *course) prepare(ctx context.Context) error {
	if err := c.spec.Want.Check(); err != nil {
		return err
	}
	if err := c.alone(ctx); err != nil {
		return err
	}
	if c.held != nil {
		if err := target.Conflict(c.held, c.spec.Want); err != nil {
			c.live, c.asked = nil, true // it is not ours to tell about
			return err
		}
		c.key = target.KeyOf(c.held)
	} else {
		live, err := c.target(ctx)
		if err != nil {
			return err
		}
		if live == nil && c.spec.Want.DataOnly {
			_, err := target.Next(nil, c.spec.Want, false)
			return err
		}
		if live != nil {
			if err := target.Conflict(live, c.spec.Want); err != nil {
				return err
			}
			c.key = target.KeyOf(live)
		}
	}
	if len(c.key) == 0 {
		c.key = c.memory.key(client.ObjectKeyFromObject(c.resource))
	}
	if len(c.key) == 0 {
		c.key, c.drawn = target.NewKey(), true
	}
	if c.spec.Finalize && !c.dry() {
		return c.addFinalizer(ctx)
	}
	return nil
}

// intact tells whether the target holds what the last sync left there.
func (c *course) intact(ctx context.Context) (bool, error) {
	status := c.resource.SyncStatus()
	if c.edited || status.TargetResourceVersion == "" {
		return false, nil
	}
	if c.held != nil && c.held.ResourceVersion == status.TargetResourceVersion {
		return true, nil
	}
	live, err := c.target(ctx)
	if err != nil || live == nil || status.SecretMAC == "" {
		return false, err
	}
	return c.key.MAC(live.Data) == status.SecretMAC, nil
}

// store writes the status before its time. The resource stays as it was read: the answer may hold a spec that was edited
// meanwhile, which this sync is not of.
func (c *course) store(ctx context.Context) error {
	sent, ok := c.resource.DeepCopyObject().(Object)
	before, ok2 := c.resource.DeepCopyObject().(Object)
	if !ok || !ok2 {
		return fmt.Errorf("%s copies to something else", c.Name)
	}
	if err := c.Targets.Client.Status().Patch(ctx, sent, client.MergeFrom(c.before)); err != nil {
		return fmt.Errorf("store status: %w", err)
	}
	c.before = before
	return nil
}

// ours is the target if it is ours.
func (c *course) ours(ctx context.Context) (*target.Live, error) {
	live, err := c.target(ctx)
	if err != nil || live == nil || !c.spec.Want.DataOnly && !target.Owned(live, c.resource.GetUID()) {
		return nil, err
	}
	return live, nil
}

// write brings the target to what the content says, and returns its resourceVersion and what was done.
func (c *course) write(ctx context.Context, content *Content) (string, target.Step, error) {
	status := c.resource.SyncStatus()
	same := c.held != nil && !c.edited && status.TargetResourceVersion != "" && c.held.ResourceVersion == status.TargetResourceVersion
	if same && (content.Data == nil || status.SecretMAC != "" && c.key.MAC(content.Data) == status.SecretMAC) {
		return c.held.ResourceVersion, target.Keep, nil
	}
	live, err := c.target(ctx)
	if err != nil {
		return "", "", err
	}
	want := c.spec.Want
	if want.Data = content.Data; want.Data == nil {
		if live == nil {
			return "", "", fmt.Errorf("%s %s went while it was looked at", want.Kind, want.Name)
		}
		want.Data = live.Data
	}
	c.spec.Want.Data = want.Data
	step, err := target.Next(live, want, c.edited)
	if err != nil {
		return "", "", err
	}
	if c.dry() {
		return "", "", condition.Problemf(v1beta1.ReasonDryRun, "dry run: would %s %s with the keys %s, from %s; nothing is written",
			step, want.Called(), strings.Join(slices.Sorted(maps.Keys(want.Data)), ", "), content.Says)
	}
	if err := c.intend(ctx); err != nil {
		return "", "", err
	}
	key := c.key
	if c.spec.NoMAC {
		key = nil
	}
	version, err := c.Targets.Do(ctx, step, live, want, key)
	return version, step, err
}

// tellRepair records that someone else's change of the target was undone.
func (c *course) tellRepair(step target.Step) {
	last := c.resource.SyncStatus().TargetResourceVersion
	if step == target.Keep || c.edited || last == "" {
		return
	}
	what := ""
	switch {
	case c.live == nil:
		what = "was deleted, and is back"
	case c.live.ResourceVersion != last:
		what = "was edited, and is restored"
	default:
		return
	}
	c.Reporter.Events.Eventf(c.resource, nil, corev1.EventTypeNormal, "Repaired", "Sync", "%s %s", c.spec.Want.Called(), what)
}

// note writes what the target holds to the status.
func (c *course) note(content *Content, resourceVersion string, step target.Step) {
	status := c.resource.SyncStatus()
	now := time.Now()
	if step != target.Keep || status.Status.Status != v1beta1.ReasonValid || status.SecretVersion != content.Version ||
		status.LastSyncTime == nil || now.Sub(status.LastSyncTime.Time) >= syncedEvery || (status.NextSyncTime != nil) != (c.next > time.Minute) {
		status.LastSyncTime = &metav1.Time{Time: now}
		status.NextSyncTime = nil
		if c.next > time.Minute {
			status.NextSyncTime = &metav1.Time{Time: now.Add(c.next)}
		}
	}
	if c.lacking == nil {
		status.SyncedGeneration = c.resource.GetGeneration()
	}
	status.SecretVersion, status.SourcePath, status.TargetResourceVersion = content.Version, content.Path, resourceVersion
	switch {
	case c.spec.NoMAC:
		status.SecretMAC = ""
	case c.spec.Want.Data != nil:
		status.SecretMAC = c.key.MAC(c.spec.Want.Data)
	}
}

// kept says what a problem leaves in place, for its message. A target is never emptied or deleted because of one.
func (c *course) kept() string {
	status := c.resource.SyncStatus()
	want := c.spec.Want
	live := c.live
	var version string
	switch {
	case status.TargetResourceVersion == "" || want.DataOnly:
		return ""
	case c.asked && live == nil && c.held == nil:
		return fmt.Sprintf("; %s is gone and comes back when this is cured", want.Called())
	case c.asked && live != nil:
		if !target.Owned(live, c.resource.GetUID()) {
			return ""
		}
		version = live.ResourceVersion
	case c.held != nil && target.Owned(c.held, c.resource.GetUID()):
		version = c.held.ResourceVersion
	default:
		return ""
	}
	switch {
	case version != status.TargetResourceVersion:
		return fmt.Sprintf("; %s was edited meanwhile and is restored when this is cured", want.Called())
	case status.SecretVersion != "":
		return fmt.Sprintf("; %s keeps version %s", want.Called(), status.SecretVersion)
	}
	return fmt.Sprintf("; %s keeps what it holds", want.Called())
}
