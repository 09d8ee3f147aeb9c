package autopilot

import (
	"errors"
	"fmt"
	"time"
)

// Config says what autopilot may do; the defaults and the meaning of each field
// are Vault's (https://developer.hashicorp.com/vault/docs/concepts/integrated-storage/autopilot).
type Config struct {
	CleanupDeadServers             bool          // remove members that are silent for DeadServerLastContactThreshold
	LastContactThreshold           time.Duration // a member that heard its leader longer ago is not healthy
	DeadServerLastContactThreshold time.Duration
	MaxTrailingLogs                uint64 // entries a healthy member may lack
	MinQuorum                      uint   // voters that cleanup leaves at least
	ServerStabilizationTime        time.Duration
	DisableUpgradeMigration        bool // kept for clients: upgrades are not migrated here
}

// Default is the configuration of a cluster that was given none.
func Default() Config {
	return Config{
		LastContactThreshold: 10 * time.Second, DeadServerLastContactThreshold: 24 * time.Hour,
		MaxTrailingLogs: 1000, ServerStabilizationTime: 10 * time.Second,
	}
}

const (
	leastDead   = time.Minute
	leastQuorum = 3
)

// Check says what is wrong with c, for whoever sets it.
func (c Config) Check() error {
	var errs []error
	if c.CleanupDeadServers && c.MinQuorum < leastQuorum {
		errs = append(errs, fmt.Errorf("min_quorum must be at least %d with cleanup_dead_servers: set it to the number of voters that must stay", leastQuorum))
	}
	if c.DeadServerLastContactThreshold < leastDead {
		errs = append(errs, fmt.Errorf("dead_server_last_contact_threshold must be at least %s", leastDead))
	}
	if c.LastContactThreshold <= 0 {
		errs = append(errs, errors.New("last_contact_threshold must be over 0"))
	}
	if c.ServerStabilizationTime < 0 {
		errs = append(errs, errors.New("server_stabilization_time must not be negative"))
	}
	return errors.Join(errs...)
}
