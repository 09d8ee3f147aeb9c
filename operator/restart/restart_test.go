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

// A name is a name: the client that patches by metadata would follow one that leads to another namespace.
func TestRestartStaysInItsNamespace(t *testing.T) {
	count := NewCounter()
	for _, name := range []string{"../../victim/deployments/app", "app/status", "..", "a%2fb"} {
		workloads := Workloads{Count: count} // without a client: to ask the API server is a panic
		n, err := workloads.Restart(t.Context(), "ns", []v1beta1.RolloutRestartTarget{{Kind: "Deployment", Name: name}}, time.Now())
		if n != 0 || !condition.Is(err, v1beta1.ReasonInvalidSpec) {
			t.Errorf("%q: %d, %v", name, n, err)
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

// A pod that was made in the second of the change, and before it, is replaced too.
func TestARolloutRestartsPodsOfThisSecond(t *testing.T) {
	rollout, _ := kindOf("argo.Rollout")
	for at, want := range map[string]string{"2026-01-02T03:04:05.5Z": "2026-01-02T03:04:06Z", "2026-01-02T03:04:05Z": "2026-01-02T03:04:05Z", "2026-01-02T04:04:05.000000001+01:00": "2026-01-02T03:04:06Z"} {
		moment, err := time.Parse(time.RFC3339Nano, at)
		if err != nil {
			t.Fatal(err)
		}
		if got := change(rollout, moment)["spec"].(map[string]any)["restartAt"]; got != want {
			t.Errorf("%s: %s, want %s", at, got, want)
		}
	}
}
