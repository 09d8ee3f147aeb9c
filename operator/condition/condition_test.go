package condition_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"strongroom/api/v1beta1"
	"strongroom/operator/condition"
)

func TestSet(t *testing.T) {
	vs := &v1beta1.VaultSecret{ObjectMeta: metav1.ObjectMeta{Generation: 4}}
	denied := condition.Problemf(v1beta1.ReasonPermissionDenied, "no %s", "read")
	for i, test := range []struct {
		problem *condition.Problem
		changed bool
		want    string
	}{
		{denied, true, "PermissionDenied False no read"},
		{denied, false, "PermissionDenied False no read"},
		{nil, true, "Valid True fine"},
		{nil, false, "Valid True fine"},
	} {
		changed := condition.Set(vs, test.problem, "fine")
		ready := vs.Status.Conditions[0]
		got := fmt.Sprint(vs.Status.Status.Status, " ", ready.Status, " ", ready.Message)
		if changed != test.changed || got != test.want || len(vs.Status.Conditions) != 1 || vs.Status.ObservedGeneration != 4 || ready.ObservedGeneration != 4 {
			t.Errorf("step %d: changed %v, %s; want %v, %s", i, changed, got, test.changed, test.want)
		}
	}
	long := condition.Problemf(v1beta1.ReasonNotFound, "%s", strings.Repeat("é", 900))
	condition.Set(vs, long, "")
	if changed := condition.Set(vs, long, ""); changed || len(vs.Status.Conditions[0].Message) > 1024 {
		t.Errorf("a long message: changed %v, %d bytes", changed, len(vs.Status.Conditions[0].Message))
	}
}

func TestIsAndCause(t *testing.T) {
	cause := errors.New("cause")
	err := fmt.Errorf("wrapped: %w", &condition.Problem{Reason: v1beta1.ReasonNotFound, Cause: cause})
	if !condition.Is(err, v1beta1.ReasonNotFound) || condition.Is(err, v1beta1.ReasonValid) || !errors.Is(err, cause) || condition.Is(nil, v1beta1.ReasonNotFound) {
		t.Error(err)
	}
}
