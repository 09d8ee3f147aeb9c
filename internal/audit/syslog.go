package audit

import (
	"errors"
	"log/syslog"
	"slices"
	"strings"
	"time"
)

// system sends each record to this machine's syslog.
type system struct {
	dial   func() (*syslog.Writer, error)
	w      *syslog.Writer
	failed time.Time
}

// facilities by number (RFC 5424, section 6.2.1), as log/syslog has them.
func facilities() []string {
	return []string{"KERN", "USER", "MAIL", "DAEMON", "AUTH", "SYSLOG", "LPR", "NEWS", "UUCP", "CRON", "AUTHPRIV", "FTP", "-", "-", "-", "-",
		"LOCAL0", "LOCAL1", "LOCAL2", "LOCAL3", "LOCAL4", "LOCAL5", "LOCAL6", "LOCAL7"}
}

func syslogSink(o *options) sink {
	name, tag := o.text("facility", "AUTH"), o.text("tag", "vault")
	n := slices.Index(facilities(), strings.ToUpper(name))
	if n < 0 || name == "-" {
		o.fail("facility must be a name of syslog's, such as AUTH, AUTHPRIV or LOCAL0")
		return nil
	}
	return newSystem(func() (*syslog.Writer, error) { return syslog.New(syslog.Priority(n<<3)|syslog.LOG_INFO, tag) })
}

func newSystem(dial func() (*syslog.Writer, error)) *system { return &system{dial: dial} }

func (s *system) write(records []byte, ends []int, _ time.Time) error {
	if s.w == nil {
		if time.Since(s.failed) < pause {
			return errors.New("syslog could not be reached a moment ago")
		}
		var err error
		if s.w, err = s.dial(); err != nil {
			s.failed = time.Now()
			return err
		}
	}
	start := 0
	for _, end := range ends {
		if _, err := s.w.Write(records[start:end]); err != nil { // it has tried a new connection
			s.reopen()
			return err
		}
		start = end
	}
	return nil
}

func (s *system) reopen() {
	if s.w != nil {
		s.w.Close()
	}
	s.w = nil
}

func (s *system) close() error {
	s.reopen()
	return nil
}
