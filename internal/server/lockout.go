package server

import (
	"fmt"
	"math"
	"slices"

	"strongroom/internal/lockout"
)

// userLockout decodes user_lockout "NAME" { … } (developer.hashicorp.com/vault/docs/configuration/user-lockout).
func (d *decoder) userLockout(c *Config, kind string, body *block) error {
	if !slices.Contains([]string{"all", "userpass", "ldap", "approle"}, kind) {
		return fmt.Errorf("%s: user_lockout %q: the name is all, userpass, ldap or approle: no other method counts failed logins", body.at, kind)
	}
	var l lockout.Config
	err := d.decode(body, setters{
		"lockout_threshold":     count(&l.Threshold, 1, math.MaxInt32),
		"lockout_duration":      duration(&l.Duration),
		"lockout_counter_reset": duration(&l.Reset),
		"disable_lockout":       boolean(&l.Disabled),
	})
	if c.Lockout.Types == nil {
		c.Lockout.Types = map[string]lockout.Config{}
	}
	c.Lockout.Types[kind] = l
	return err
}
