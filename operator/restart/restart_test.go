package restart

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"strongroom/api/v1beta1"
	"strongroom/operator/condition"
)

func TestDue(t *testing.T) {
	for name, test := range map[string]struct {
		mac, version string // at the last restart
		now          Mark
		comparable   bool
		want         bool
	}{
		"first data":                   {"", "", Mark{"a", "1"}, true, false},
		"no telling":                   {"a", "1", Mark{"", "2"}, true, false},
		"same":                         {"a", "1", Mark{"a", "2"}, true, false},
		"changed":                      {"a", "1", Mark{"b", "1"}, true, true},
		"another key, same version":    {"a", "1", Mark{"b", "1"}, false, false},
		"another key, other version":   {"a", "1", Mark{"b", "2"}, false, true},
		"another key, and no versions": {"a", "", Mark{"b", ""}, false, true},
	} {
		status := &v1beta1.SyncStatus{RestartedMAC: test.mac, RestartedVersion: test.version}
		if got := Due(status, test.now, test.comparable); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestWait(t *testing.T) {
	now := time.Unix(1000, 0)
	status := &v1beta1.SyncStatus{LastRestartTime: &metav1.Time{Time: now.Add(-time.Minute)}}
	for text, want := range map[string]time.Duration{"": 0, "30s": 0, "5m": 4 * time.Minute} {
		if got, err := Wait(status, &v1beta1.RestartPolicy{MinInterval: text}, now); got != want || err != nil {
			t.Errorf("%q: %s, %v", text, got, err)
		}
	}
	if got, err := Wait(&v1beta1.SyncStatus{}, &v1beta1.RestartPolicy{MinInterval: "5m"}, now); got != 0 || err != nil {
		t.Errorf("never restarted: %s, %v", got, err)
	}
	if _, err := Wait(status, &v1beta1.RestartPolicy{MinInterval: "x"}, now); !condition.Is(err, v1beta1.ReasonInvalidSpec) {
		t.Error(err)
	}
}
