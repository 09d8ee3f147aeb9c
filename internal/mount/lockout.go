package mount

import "strongroom/internal/lockout"

// UserLockout is when an auth method locks out who fails to log in. Times are in
// seconds; 0 means the default.
type UserLockout struct {
	Disable   bool  `json:"disable,omitempty"`
	Threshold int64 `json:"threshold,omitempty"`
	Duration  int64 `json:"duration,omitempty"`
	Reset     int64 `json:"reset,omitempty"`
}

// Config is u as the guard takes it; nil is the defaults.
func (u *UserLockout) Config() lockout.Config {
	if u == nil {
		return lockout.Config{}
	}
	return lockout.Config{Disabled: u.Disable, Threshold: int(u.Threshold), Duration: seconds(u.Duration), Reset: seconds(u.Reset)}
}
