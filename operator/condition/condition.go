// Package condition owns how the operator's resources say what is wrong: a Problem has a reason and a message, and a
// Reporter writes it to the Status column, to the Ready condition and, when it is news, to an event. It never decides
// what to do about a problem.
package condition

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"strongroom/api/v1beta1"
)

// maxMessage bounds a message, in bytes; an event's note may have 1024.
const maxMessage = 1000

// Problem is an error for the user of a resource. Message names what is wrong and how to cure it, and never holds the
// value of a secret; it is the same for the same cause, so that repeating it is no news.
type Problem struct {
	Reason  string // one of v1beta1's reasons
	Message string
	Cause   error // what errors.As finds; not shown; may be nil
}

// Error gives reason and message.
func (p *Problem) Error() string { return p.Reason + ": " + p.Message }

// Unwrap gives the cause.
func (p *Problem) Unwrap() error { return p.Cause }

// Problemf makes a Problem.
func Problemf(reason, format string, args ...any) *Problem {
	return &Problem{Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// As finds the Problem in err's chain.
func As(err error) (*Problem, bool) {
	var p *Problem
	ok := errors.As(err, &p)
	return p, ok
}

// Is tells whether err is a Problem with one of the reasons.
func Is(err error, reasons ...string) bool {
	p, ok := As(err)
	return ok && slices.Contains(reasons, p.Reason)
}

// Object is a resource with the common status.
type Object interface {
	client.Object
	CommonStatus() *v1beta1.Status
}

// Set writes what is true of obj's current generation to its status: Valid with the message, or the problem. It
// tells whether reason or message changed.
func Set(obj Object, problem *Problem, valid string) bool {
	ready := metav1.Condition{
		Type: v1beta1.ConditionReady, Status: metav1.ConditionTrue,
		Reason: v1beta1.ReasonValid, Message: valid, ObservedGeneration: obj.GetGeneration(),
	}
	if problem != nil {
		ready.Status, ready.Reason, ready.Message = metav1.ConditionFalse, problem.Reason, problem.Message
	}
	if len(ready.Message) > maxMessage {
		ready.Message = strings.ToValidUTF8(ready.Message[:maxMessage], "") + "…"
	}
	status := obj.CommonStatus()
	old := meta.FindStatusCondition(status.Conditions, ready.Type)
	changed := old == nil || old.Reason != ready.Reason || old.Message != ready.Message
	status.Status = ready.Reason
	status.ObservedGeneration = obj.GetGeneration()
	meta.SetStatusCondition(&status.Conditions, ready)
	return changed
}

// Outage tells whether a change of the reason is no more than a server's going or coming back. Events tell of that on the
// VaultConnection: one on each of thousands of resources would be the load that keeps them from being well again.
func Outage(now, before string) bool {
	out := []string{v1beta1.ReasonServerSealed, v1beta1.ReasonServerUnreachable}
	return slices.Contains(out, now) || now == v1beta1.ReasonValid && slices.Contains(out, before)
}

// Reporter writes statuses and events.
type Reporter struct {
	Client client.Client
	Events events.EventRecorder
}

// Report sets obj's status as Set does, stores it if it differs from before (obj as it was read), and records an
// event with the given action if reason or message changed, unless a server's outage is all that did. An object that is gone is no error.
func (r Reporter) Report(ctx context.Context, before, obj Object, action string, problem *Problem, valid string) error {
	old := before.CommonStatus().Status
	changed := Set(obj, problem, valid)
	if !reflect.DeepEqual(before, obj) {
		if err := r.Client.Status().Patch(ctx, obj, client.MergeFrom(before)); err != nil {
			if apierrors.IsNotFound(err) {
				return nil
			}
			return fmt.Errorf("store status: %w", err)
		}
	}
	if !changed {
		return nil
	}
	kind, logger := corev1.EventTypeNormal, log.FromContext(ctx)
	ready := meta.FindStatusCondition(obj.CommonStatus().Conditions, v1beta1.ConditionReady)
	if problem != nil {
		kind = corev1.EventTypeWarning
	}
	if _, server := obj.(*v1beta1.VaultConnection); !server && Outage(ready.Reason, old) {
		logger.V(1).Info(ready.Message, "reason", ready.Reason)
		return nil
	}
	logger.Info(ready.Message, "reason", ready.Reason)
	r.Events.Eventf(obj, nil, kind, ready.Reason, action, "%s", ready.Message)
	return nil
}
