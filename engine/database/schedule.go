package database

import (
	"time"

	"github.com/robfig/cron/v3"

	"strongroom/engine"
)

const (
	minPeriod = 5 * time.Second
	minWindow = time.Hour
	// A rotation that failed is tried again after retryFirst, doubled each time up to
	// retryLast.
	retryFirst = 10 * time.Second
	retryLast  = 10 * time.Minute
)

// schedule is when a password is changed: every Period, or by Cron (minute, hour, day
// of the month, month, day of the week; UTC), then no later than Window after the
// time (0: whenever it succeeds). Durations are in seconds.
type schedule struct {
	Period int64  `json:"period,omitempty"`
	Cron   string `json:"cron,omitempty"`
	Window int64  `json:"window,omitempty"`
}

// parseCron reads a rotation_schedule.
func parseCron(text string) (cron.Schedule, error) {
	for i := range len(text) { // no time zones, which the parser would look up in files
		if text[i] == '=' || text[i] == '@' {
			return nil, engine.Invalidf("rotation_schedule: five fields in UTC are needed, such as 0 3 * * SAT")
		}
	}
	s, err := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow).Parse(text)
	if err != nil {
		return nil, engine.Invalidf("rotation_schedule: five fields are needed, such as 0 3 * * SAT: %v", err)
	}
	if s.Next(time.Unix(0, 0)).IsZero() {
		return nil, engine.Invalidf("rotation_schedule: that time never comes")
	}
	return s, nil
}

// take takes over what d gives, and says what is wrong with it.
func (s *schedule) take(d engine.Data) error {
	period, cron := d.Duration("rotation_period"), d.String("rotation_schedule") // 0 and "" stand for not given
	switch {
	case period != 0 && cron != "":
		return engine.Invalidf("mutually exclusive fields rotation_period and rotation_schedule were both specified; only one of them can be provided")
	case period != 0:
		s.Period, s.Cron, s.Window = int64(period.Seconds()), "", 0
	case cron != "":
		s.Cron, s.Period = cron, 0
	}
	if d.Has("rotation_window") {
		s.Window = int64(d.Duration("rotation_window").Seconds())
	}
	switch {
	case s.Cron != "":
		if _, err := parseCron(s.Cron); err != nil {
			return err
		}
		if s.Window != 0 && s.Window < int64(minWindow.Seconds()) {
			return engine.Invalidf("rotation_window must be at least an hour")
		}
	case s.Window != 0:
		return engine.Invalidf("rotation_window is invalid with use of rotation_period: it goes with rotation_schedule")
	case s.Period == 0:
		return engine.Invalidf("one of rotation_schedule or rotation_period must be provided to create a static account")
	case s.Period < int64(minPeriod.Seconds()):
		return engine.Invalidf("rotation_period must be 5 seconds or more")
	}
	return nil
}

// next is the first time after t, Unix.
func (s schedule) next(t time.Time) int64 {
	if s.Cron == "" {
		return t.Unix() + s.Period
	}
	c, err := parseCron(s.Cron)
	if err != nil { // it was checked when it was stored
		return t.Add(retryLast).Unix()
	}
	return c.Next(t.UTC()).Unix()
}

// backoff is how long to wait after so many failures.
func backoff(tries int) time.Duration {
	return min(retryFirst<<min(max(tries-1, 0), 10), retryLast)
}
