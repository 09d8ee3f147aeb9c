package lockout

import (
	"testing"
	"time"
)

// TestDefaults is the documentation's own example.
func TestDefaults(t *testing.T) {
	d := Defaults{Types: map[string]Config{"all": {Duration: 10 * time.Minute, Reset: 10 * time.Minute},
		"userpass": {Threshold: 25, Duration: 5 * time.Minute}, "ldap": {Disabled: true}}}
	for _, c := range []struct {
		kind        string
		tuned, want Config
	}{
		{"userpass", Config{}, Config{false, 25, 5 * time.Minute, 10 * time.Minute}},
		{"approle", Config{}, Config{false, 5, 10 * time.Minute, 10 * time.Minute}},
		{"ldap", Config{}, Config{true, 5, 10 * time.Minute, 10 * time.Minute}},
		{"userpass", Config{Threshold: 3}, Config{false, 3, 5 * time.Minute, 10 * time.Minute}},
	} {
		if got := d.For(c.kind, c.tuned).withDefaults(); got != c.want {
			t.Errorf("%s tuned to %+v: %+v, want %+v", c.kind, c.tuned, got, c.want)
		}
	}
	if d.Off = true; !d.For("userpass", Config{}).Disabled {
		t.Error("turned off, and still on")
	}
}
