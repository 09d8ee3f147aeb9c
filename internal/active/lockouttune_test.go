package active_test

import (
	"testing"
	"testing/synctest"
	"time"

	"strongroom/engine"
	"strongroom/internal/lockout"
)

// A mount says itself when it locks out, from the next login on.
func TestLockoutIsTuned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := startMethods(t)
		wrong := func() error {
			_, err := s.do("", engine.Update, "auth/userpass/login/ada", `{"password":"wrong"}`)
			return err
		}
		tune := func(body string) {
			s.must(s.root, engine.Update, "sys/auth/userpass/tune", `{"user_lockout_config":`+body+`}`)
		}
		tune(`{"lockout_threshold":"2","lockout_duration":"1m"}`)
		tune(`{"lockout_counter_reset_duration":"2m"}`)
		shown := data(t, s.must(s.root, engine.Read, "sys/auth/userpass/tune", ""))
		if shown["user_lockout_threshold"] != 2.0 || shown["user_lockout_duration"] != 60.0 || shown["user_lockout_counter_reset_duration"] != 120.0 || shown["user_lockout_disable"] != false {
			t.Errorf("shown: %v", shown)
		}
		for range 2 {
			if err := wrong(); !engine.IsBadLogin(err) {
				t.Fatal(err)
			}
		}
		if err := wrong(); engine.KindOf(err) != engine.Denied {
			t.Errorf("after the tuned threshold: %v", err)
		}
		time.Sleep(time.Minute)
		s.must("", engine.Update, "auth/userpass/login/ada", `{"password":"right"}`)
		tune(`{"lockout_disable":true}`)
		for range 9 {
			if err := wrong(); !engine.IsBadLogin(err) {
				t.Fatal(err)
			}
		}
		s.must("", engine.Update, "auth/userpass/login/ada", `{"password":"right"}`)
		s.fails(engine.Invalid, "lockout_threshold", s.root, engine.Update, "sys/auth/userpass/tune", `{"user_lockout_config":{"lockout_threshold":-1}}`)
		s.fails(engine.Invalid, "not allowed", s.root, engine.Update, "sys/auth/token/tune", `{"user_lockout_config":{"lockout_threshold":1}}`)
	})
}

// The configuration's defaults hold where a mount says nothing else.
func TestLockoutIsConfigured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := startMethods(t)
		s.lockout = lockout.Defaults{Types: map[string]lockout.Config{"userpass": {Threshold: 1}}}
		s.reopen()
		wrong := func() error {
			_, err := s.do("", engine.Update, "auth/userpass/login/ada", `{"password":"wrong"}`)
			return err
		}
		if err := wrong(); !engine.IsBadLogin(err) {
			t.Fatal(err)
		}
		if err := wrong(); engine.KindOf(err) != engine.Denied {
			t.Errorf("after the configured threshold: %v", err)
		}
		s.lockout.Off = true
		s.reopen()
		for range 3 {
			if err := wrong(); !engine.IsBadLogin(err) {
				t.Fatalf("lockout is off: %v", err)
			}
		}
	})
}
