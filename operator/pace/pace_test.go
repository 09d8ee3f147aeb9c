package pace_test

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"strongroom/api/v1beta1"
	"strongroom/operator/condition"
	"strongroom/operator/pace"
)

func within(t *testing.T, what string, got, want time.Duration) {
	t.Helper()
	if got < want*9/10 || got > want*11/10 {
		t.Errorf("%s: %s, want %s give or take a tenth", what, got, want)
	}
}

func TestNext(t *testing.T) {
	request := reconcile.Request{NamespacedName: types.NamespacedName{Name: "x"}}
	p := pace.New()
	within(t, "all is well", p.Next(request, nil, time.Hour), time.Hour)
	down := condition.Problemf(v1beta1.ReasonServerUnreachable, "")
	for _, want := range []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 15 * time.Second, 15 * time.Second} {
		within(t, "server down", p.Next(request, down, time.Hour), want)
	}
	within(t, "well again", p.Next(request, nil, 30*time.Second), 30*time.Second)
	denied := condition.Problemf(v1beta1.ReasonPermissionDenied, "")
	for _, want := range []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 30 * time.Second, 30 * time.Second} {
		within(t, "denied", p.Next(request, denied, 30*time.Second), want)
	}
	for range 20 {
		p.Next(request, denied, time.Hour)
	}
	within(t, "denied for long", p.Next(request, denied, time.Hour), 5*time.Minute)
}
