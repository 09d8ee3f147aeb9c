package vaultdynamicsecret

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"strongroom/api/v1beta1"
)

func TestDecide(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	nought := 0
	leased := func(since, duration int, renewable bool) *v1beta1.VaultDynamicSecret {
		vds := &v1beta1.VaultDynamicSecret{}
		vds.UID = "uid"
		vds.Status.LastRenewalTime = now.Unix() - int64(since)
		vds.Status.SecretLease = v1beta1.VaultSecretLease{ID: "db/creds/app/1", LeaseDuration: duration, Renewable: renewable}
		return vds
	}
	static := leased(10, 0, false)
	static.Spec.AllowStaticCreds, static.Status.SecretLease.ID, static.Status.StaticCredsMetaData.TTL = true, "", 60
	unleased := leased(30, 0, false)
	unleased.Status.SecretLease.ID = ""
	always := leased(0, 1000, true)
	always.Spec.RenewalPercent = &nought
	for name, test := range map[string]struct {
		vds        *v1beta1.VaultDynamicSecret
		intact     bool
		want       step
		least, max time.Duration
	}{
		"nothing yet":                      {&v1beta1.VaultDynamicSecret{}, true, issue, 0, 0},
		"target edited":                    {leased(0, 1000, true), false, issue, 0, 0},
		"fresh":                            {leased(0, 1000, true), true, keep, 670 * time.Second, 770 * time.Second},
		"later":                            {leased(600, 1000, true), true, keep, 70 * time.Second, 170 * time.Second},
		"due":                              {leased(800, 1000, true), true, renew, 0, 0},
		"due, not renewable":               {leased(800, 1000, false), true, issue, 0, 0},
		"over":                             {leased(1001, 1000, true), true, issue, 0, 0},
		"nought percent is no loop":        {always, true, keep, time.Second, 100 * time.Second},
		"rotates in 50 s":                  {static, true, keep, 51 * time.Second, 51 * time.Second},
		"no lease, read half a minute ago": {unleased, true, keep, 30 * time.Second, 30 * time.Second},
	} {
		what, wait := decide(test.vds, test.intact, time.Minute, now)
		if what != test.want || wait < test.least || wait > test.max {
			t.Errorf("%s: %s after %s, want %s after %s to %s", name, what, wait, test.want, test.least, test.max)
		}
	}
	if a, b := share(leased(0, 1000, true), time.Hour), share(leased(0, 1000, true), time.Hour); a != b {
		t.Error("the moment of a renewal moves from look to look")
	}
}

func TestExtendAndReplace(t *testing.T) {
	now := time.Unix(50, 0)
	status := &v1beta1.VaultDynamicSecretStatus{SecretLease: v1beta1.VaultSecretLease{ID: "a", LeaseDuration: 100, Renewable: true}}
	if extend(status, 100, true, now); !status.SecretLease.Renewable || status.LastRenewalTime != 50 {
		t.Errorf("%+v", status)
	}
	if extend(status, 40, true, now); status.SecretLease.Renewable || status.SecretLease.LeaseDuration != 40 {
		t.Errorf("a lease at its most is renewed on: %+v", status.SecretLease)
	}
	for _, id := range []string{"b", "c", "d"} {
		status.MadeLease = id
		replace(status, v1beta1.VaultSecretLease{ID: id}, now, 2)
	}
	if got := strings.Join(status.FormerLeases, ","); got != "b,c" || status.SecretLease.ID != "d" || status.MadeLease != "" {
		t.Errorf("former %s, %+v", got, status)
	}
}

func TestRotation(t *testing.T) {
	data := map[string]any{"ttl": json.Number("7"), "rotation_period": json.Number("60"), "rotation_schedule": "1 0 * * *", "last_vault_rotation": "1970-01-01T00:01:00.5Z"}
	want := v1beta1.VaultStaticCredsMetaData{TTL: 7, RotationPeriod: 60, RotationSchedule: "1 0 * * *", LastVaultRotation: 60}
	if got := rotation(true, data); got != want {
		t.Errorf("%+v", got)
	}
	if got := rotation(false, data); got != (v1beta1.VaultStaticCredsMetaData{}) {
		t.Errorf("%+v", got)
	}
}
