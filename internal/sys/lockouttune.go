package sys

import (
	"encoding/json"
	"math"
	"time"

	"strongroom/engine"
	"strongroom/internal/mount"
)

// tuneLockout takes over what user_lockout_config gives, 0 being the default
// again (https://developer.hashicorp.com/vault/api-docs/system/auth#tune-auth-method).
func tuneLockout(e *mount.Entry, raw json.RawMessage) error {
	if raw == nil {
		return nil
	}
	if e.Type != "approle" && e.Type != "ldap" && e.Type != "userpass" {
		return engine.Invalidf("tuning of user lockout configuration for auth type %q not allowed: only approle, ldap and userpass count failed logins", e.Type)
	}
	data, _, err := engine.Decode([]engine.Field{
		{Name: "lockout_threshold", Type: engine.Int}, {Name: "lockout_duration", Type: engine.Duration},
		{Name: "lockout_counter_reset_duration", Type: engine.Duration}, {Name: "lockout_disable", Type: engine.Bool},
	}, raw, nil, nil)
	if err != nil {
		return err
	}
	var u mount.UserLockout
	if e.Config.UserLockout != nil {
		u = *e.Config.UserLockout
	}
	if data.Has("lockout_threshold") {
		if u.Threshold = data.Int("lockout_threshold"); u.Threshold < 0 || u.Threshold > math.MaxInt32 {
			return engine.Invalidf("lockout_threshold must be a number of failed logins, or 0 for the default")
		}
	}
	if data.Has("lockout_duration") {
		u.Duration = int64(data.Duration("lockout_duration") / time.Second)
	}
	if data.Has("lockout_counter_reset_duration") {
		u.Reset = int64(data.Duration("lockout_counter_reset_duration") / time.Second)
	}
	if data.Has("lockout_disable") {
		u.Disable = data.Bool("lockout_disable")
	}
	e.Config.UserLockout = &u
	return nil
}

// showLockout adds what was tuned to the answer of the tune path.
func showLockout(u *mount.UserLockout, out map[string]any) {
	if u == nil {
		return
	}
	out["user_lockout_threshold"], out["user_lockout_disable"] = u.Threshold, u.Disable
	out["user_lockout_duration"], out["user_lockout_counter_reset_duration"] = u.Duration, u.Reset
}
