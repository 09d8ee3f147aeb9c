// Package pace owns when a resource is looked at again: at its interval while all is well, and after a problem with
// a growing delay that stays short enough for recovery to show within seconds.
package pace

import (
	"math/rand/v2"
	"time"

	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"strongroom/api/v1beta1"
	"strongroom/operator/condition"
)

const (
	firstDelay = 500 * time.Millisecond
	// outageDelay caps the delay while the server is down or sealed: its return shows within this time.
	outageDelay = 15 * time.Second
	// maxDelay caps the delay after any other problem, whatever the interval.
	maxDelay = 5 * time.Minute
)

// Pace remembers how often in a row a resource had a problem. Each controller has its own.
type Pace struct {
	failures workqueue.TypedRateLimiter[reconcile.Request]
}

// New returns a Pace without memories.
func New() *Pace {
	return &Pace{workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](firstDelay, maxDelay)}
}

// Next says when to look again at a resource that has the problem, or none. Delays vary by a tenth, so that
// resources that began together drift apart.
func (p *Pace) Next(request reconcile.Request, problem *condition.Problem, interval time.Duration) time.Duration {
	if problem == nil {
		p.failures.Forget(request)
		return jitter(interval)
	}
	limit := min(interval, maxDelay)
	switch problem.Reason {
	case v1beta1.ReasonServerSealed, v1beta1.ReasonServerUnreachable:
		limit = outageDelay
	}
	return jitter(min(p.failures.When(request), limit))
}

// Forget drops what is remembered of a resource that is gone.
func (p *Pace) Forget(request reconcile.Request) { p.failures.Forget(request) }

func jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.9 + 0.2*rand.Float64())) //nolint:gosec // no secret depends on it
}
