package server

import (
	"fmt"
	"maps"
	"slices"

	"github.com/hashicorp/go-hclog"
)

// reconfigure reads the configuration again, at SIGHUP: audit devices and the log's level take effect, everything else is for a restart, and named.
// What cannot be used changes nothing.
func (s *running) reconfigure() {
	next, warnings, err := s.opts.Config()
	if err != nil {
		s.logger.Error("the configuration was read again and cannot be used; the old one stays", "error", err)
		return
	}
	for _, w := range warnings {
		s.logger.Warn(w)
	}
	switch changed, err := s.audit.Redeclare(next.Audit.Devices); {
	case err != nil:
		s.logger.Error("the audit devices of the new configuration cannot be used; the old ones stay", "error", err)
		next.Audit.Devices = s.config.Audit.Devices
	case changed:
		s.logger.Info("the audit devices are those of the new configuration", "devices", len(next.Audit.Devices))
	}
	if next.Log.Level != s.config.Log.Level {
		s.logs.Configure(hclog.LevelFromString(next.Log.Level))
		s.logger.Info("the log has another level", "level", next.Log.Level)
	}
	if other := s.config.differs(next); len(other) > 0 {
		s.logger.Warn("the configuration has changes that take effect when this server is restarted", "settings", other)
	}
	s.config.Audit.Devices, s.config.Log.Level = next.Audit.Devices, next.Log.Level
}

// differs names what is not the same in c and next, besides audit devices and the log's level.
func (c *Config) differs(next *Config) []string {
	old, now := c.sanitized(), next.sanitized()
	maps.DeleteFunc(old, func(name string, value any) bool {
		return name == "audit" || name == "log_level" || fmt.Sprint(value) == fmt.Sprint(now[name]) // which prints maps in the order of their keys
	})
	return slices.Sorted(maps.Keys(old))
}
