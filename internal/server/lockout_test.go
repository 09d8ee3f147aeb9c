package server

import (
	"testing"
	"time"

	"strongroom/internal/lockout"
)

func TestUserLockout(t *testing.T) {
	text := declareListener + `
user_lockout "all" {
  lockout_duration      = "10m"
  lockout_counter_reset = "10m"
}
user_lockout "userpass" {
  lockout_threshold = "25"
}
user_lockout "ldap" {
  disable_lockout = "true"
}
`
	c, err := loadText(t, "c.hcl", text)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c.Lockout.For("userpass", lockout.Config{}), (lockout.Config{Threshold: 25, Duration: 10 * time.Minute, Reset: 10 * time.Minute}); got != want {
		t.Errorf("userpass: %+v, want %+v", got, want)
	}
	if !c.Lockout.For("ldap", lockout.Config{}).Disabled || c.Lockout.Off {
		t.Errorf("%+v", c.Lockout)
	}
	t.Setenv("VAULT_DISABLE_USER_LOCKOUT", "true")
	if c, err = loadText(t, "c.hcl", text); err != nil || !c.Lockout.For("userpass", lockout.Config{}).Disabled {
		t.Errorf("turned off by the environment: %+v, %v", c, err)
	}
	if _, err = loadText(t, "c.hcl", declareListener+`user_lockout "oidc" {}`); err == nil {
		t.Error("a lockout of a method that has none was taken")
	}
}
