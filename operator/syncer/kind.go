// Package syncer owns the course of a sync, which all kinds that fill a target share: look whether anything is to do,
// read, decide, write, restart, report. What differs among the kinds they say by a Kind. A problem anywhere leaves the
// target as it is.
package syncer

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/types"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"strongroom/api/v1beta1"
	"strongroom/operator/condition"
	"strongroom/operator/consumers"
	"strongroom/operator/instant"
	"strongroom/operator/target"
	"strongroom/operator/vaultclient"
)

// Object is a resource that fills a target.
type Object interface {
	condition.Object
	SyncStatus() *v1beta1.SyncStatus
}

// Kind is what the course asks of a kind. For makes one of a Typed, which says what its methods do.
type Kind interface {
	New() Object
	Spec(resource Object) (Spec, error)
	Read(ctx context.Context, resource Object, held Held) (*Content, error)
	Release(ctx context.Context, resource Object) error
}

// interval is how often to look at the source, if changes are told or not.
func (s Spec) interval(live bool) time.Duration { return instant.Poll(s.Every, s.Fallback, live) }

// NoAuth stands in Spec.AuthRef where the login is spelt out.
const NoAuth = "-"

// Spec is what the course needs to know of a resource's spec.
type Spec struct {
	Want      target.Want            // without data
	AuthRef   string                 // VaultAuth, as the resource spells it; "-": none
	Refs      []types.NamespacedName // SecretTransformations
	Copies    *metav1.LabelSelector  // of namespaces
	Restarts  []v1beta1.RolloutRestartTarget
	Restart   *v1beta1.RestartPolicy
	Transient []string      // keys whose change restarts nothing, where restartPolicy names none
	NoMAC     bool          // nothing derived from the data goes into the status
	Every     time.Duration // how often to look at the source, as the resource says; 0: it does not
	Fallback  time.Duration // how often if it does not, and not all changes are told
	Finalize  bool          // Release must run before the resource goes
	Costly    bool          // each Read makes something on the server
	Bound     bool          // what the target holds ends with the login, so that a new operator looks at once
	Clear     bool          // the data goes with the resource, where the target stays
}

// Held is what the target holds before a Read.
type Held struct {
	// Intact tells whether it is what the last sync left there, and of this spec.
	Intact bool
	// Live is the target; nil if there is none or it is not ours. Its data is read only where somebody has need of it.
	Live func(ctx context.Context) (*target.Live, error)
	// Store writes the resource's status as it is now, for what must not be forgotten if the operator ends next.
	Store func(ctx context.Context) error
}

// Content is what a source has for a target.
type Content struct {
	Data    map[string][]byte // nil: the target is good as it is
	Version string
	Path    string        // on the server's API
	Says    string        // what the target holds then: version 3 of secret/app
	Next    time.Duration // when to look again; 0: as the Spec says
	// Login, Namespace of the server and Paths say which events tell of changes.
	Login     vaultclient.Login
	Namespace string
	Paths     []string // on the API; one that ends in a slash is all below it
	Untold    bool     // part of it is of an engine that tells of no changes
	// Commit notes in the resource's status what the target holds, once it does; may be nil.
	Commit func()
	// Use is as whom and where the source is used, where Login and Paths do not say so.
	Use *consumers.Use
	// Partly is a problem that left part of Data at its last value.
	Partly *condition.Problem
}

// use is what the server is told of.
func (c *Content) use() *consumers.Use {
	switch {
	case c == nil:
		return nil
	case c.Use != nil || c.Login.Address == "":
		return c.Use
	case len(c.Paths) > 0:
		return &consumers.Use{Login: c.Login, Namespace: c.Namespace, Paths: c.Paths}
	}
	return &consumers.Use{Login: c.Login, Namespace: c.Namespace, Paths: []string{c.Path}}
}

// Failed is the Content of a Read that was refused at a path, which has but a Use; nil where the path is not known.
func Failed(login vaultclient.Login, namespace, path string) *Content {
	if path == "" {
		return nil
	}
	return &Content{Use: &consumers.Use{Login: login, Namespace: namespace, Paths: []string{path}, Part: true}}
}

// Duration parses a duration of a spec, of a second or more. Errors are Problems: InvalidSpec.
func Duration(field, text string, otherwise time.Duration) (time.Duration, error) {
	if text == "" {
		return otherwise, nil
	}
	every, err := time.ParseDuration(text)
	if err != nil || every < time.Second {
		return otherwise, condition.Problemf(v1beta1.ReasonInvalidSpec, "%s %q is not a duration of 1s or more", field, text)
	}
	return every, nil
}
