package cli

import (
	"flag"
	"strconv"

	"github.com/hashicorp/vault/api"
)

// lockoutFlags say when an auth method locks out who fails to log in.
type lockoutFlags struct {
	threshold       uint
	duration, reset ttl
	disable         bool
}

func (l *lockoutFlags) declare(f *flag.FlagSet) {
	f.UintVar(&l.threshold, "user-lockout-threshold", 0, "Failed logins that lock a user out; 0 is the default of 5. For approle, ldap and userpass.")
	f.Var(&l.duration, "user-lockout-duration", "How long a user stays locked out; 0 is the default of 15m.")
	f.Var(&l.reset, "user-lockout-counter-reset-duration", "Time without a failure after which the count begins anew; 0 is the default of 15m.")
	f.BoolVar(&l.disable, "user-lockout-disable", false, "Lock nobody out.")
}

// changes is what was given, or nil.
func (l *lockoutFlags) changes(c *call) *api.TuneUserLockoutConfigInput {
	var input api.TuneUserLockoutConfigInput
	set := func(flag, value string, field **string) {
		if c.given(flag) {
			*field = &value
		}
	}
	set("user-lockout-threshold", strconv.FormatUint(uint64(l.threshold), 10), &input.LockoutThreshold)
	set("user-lockout-duration", l.duration.Duration.String(), &input.LockoutDuration)
	set("user-lockout-counter-reset-duration", l.reset.Duration.String(), &input.LockoutCounterResetDuration)
	if c.given("user-lockout-disable") {
		input.DisableLockout = &l.disable
	}
	if input == (api.TuneUserLockoutConfigInput{}) {
		return nil
	}
	return &input
}
