package vaultdynamicsecret

import (
	"encoding/json"
	"hash/fnv"
	"strconv"
	"time"

	"strongroom/api/v1beta1"
)

const (
	// defaultInterval is how often credentials without a lease are read again.
	defaultInterval = time.Hour
	defaultPercent  = 67
	leastWait       = time.Second
)

// step is what to do with credentials.
type step string

const (
	keep  step = "keep"  // they are good for a while
	renew step = "renew" // their lease is to be extended
	issue step = "issue" // they are to be replaced, or are not there
)

// decide is pure: what to do, and how long nothing is to be done. intact tells whether the target holds the credentials
// that the status speaks of.
func decide(vds *v1beta1.VaultDynamicSecret, intact bool, every time.Duration, now time.Time) (step, time.Duration) {
	status := &vds.Status
	if !intact || status.LastRenewalTime == 0 {
		return issue, 0
	}
	since := time.Unix(status.LastRenewalTime, 0)
	until := func(at time.Time, then step) (step, time.Duration) {
		if wait := at.Sub(now); wait > 0 {
			return keep, max(wait, leastWait)
		}
		return then, 0
	}
	lease := status.SecretLease
	switch {
	case vds.Spec.AllowStaticCreds && lease.ID == "":
		// The server counts in whole seconds: one more, so as not to read what is about to change.
		return until(since.Add(time.Duration(status.StaticCredsMetaData.TTL+1)*time.Second), issue)
	case lease.ID == "" || lease.LeaseDuration <= 0:
		return until(since.Add(every), issue)
	}
	whole := time.Duration(lease.LeaseDuration) * time.Second
	what, wait := until(since.Add(share(vds, whole)), renew)
	if what == renew && (!lease.Renewable || now.After(since.Add(whole))) {
		return issue, 0
	}
	return what, wait
}

// share is the part of a lease after which it is renewed: the percentage, and up to a tenth more, which is always the
// same for one lease and differs from one to another.
func share(vds *v1beta1.VaultDynamicSecret, whole time.Duration) time.Duration {
	percent := defaultPercent
	if vds.Spec.RenewalPercent != nil {
		percent = min(max(*vds.Spec.RenewalPercent, 0), 90)
	}
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(string(vds.UID) + vds.Status.SecretLease.ID))
	jitter := whole / 10 * time.Duration(hash.Sum32()%1000) / 1000
	// One of nought percent is renewed all the time, but not in a loop.
	return max(min(whole*time.Duration(percent)/100+jitter, whole*95/100), leastWait)
}

// extend notes that a lease was renewed. A server that grants clearly less than before has come to the most it allows:
// then the credentials are replaced next time.
func extend(status *v1beta1.VaultDynamicSecretStatus, granted int, renewable bool, now time.Time) {
	lease := &status.SecretLease
	lease.Renewable = renewable && granted*10 >= lease.LeaseDuration*9
	lease.LeaseDuration = granted
	status.LastRenewalTime = now.Unix()
}

// replace notes new credentials. The lease of the old ones runs out by itself, for pods may still use them.
func replace(status *v1beta1.VaultDynamicSecretStatus, lease v1beta1.VaultSecretLease, now time.Time, most int) {
	if old := status.SecretLease.ID; old != "" && old != lease.ID {
		retire(status, old, most)
	}
	status.SecretLease, status.MadeLease, status.LastRenewalTime = lease, "", now.Unix()
}

// retire remembers a lease that runs out by itself, to be revoked with the resource.
func retire(status *v1beta1.VaultDynamicSecretStatus, id string, most int) {
	status.FormerLeases = append(status.FormerLeases, id)
	if over := len(status.FormerLeases) - most; over > 0 {
		status.FormerLeases = status.FormerLeases[over:]
	}
}

// rotation reads what the server says of credentials that it rotates itself.
func rotation(allowed bool, data map[string]any) v1beta1.VaultStaticCredsMetaData {
	if !allowed {
		return v1beta1.VaultStaticCredsMetaData{}
	}
	meta := v1beta1.VaultStaticCredsMetaData{RotationPeriod: whole(data["rotation_period"]), TTL: whole(data["ttl"])}
	meta.RotationSchedule, _ = data["rotation_schedule"].(string)
	if text, ok := data["last_vault_rotation"].(string); ok {
		if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
			meta.LastVaultRotation = at.Unix()
		}
	}
	return meta
}

// whole reads a number of seconds; 0 for what is none.
func whole(value any) int64 {
	switch v := value.(type) {
	case json.Number:
		n, err := v.Int64()
		if err != nil {
			return 0
		}
		return n
	case string:
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			return 0
		}
		return n
	}
	return 0
}
