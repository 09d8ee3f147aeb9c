package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// settings are what every device has, whatever its type.
type settings struct {
	raw          bool // secrets in clear
	hashAccessor bool
	elideLists   bool
	prefix       string
	timeout      time.Duration // of one write
}

// How long a device may take for one write, if write_timeout does not say.
const (
	fileTimeout    = 10 * time.Second // a disk that is busy flushing is not dead
	networkTimeout = 2 * time.Second  // Vault's for sockets
)

// options takes a Spec's options one by one, so that one that nobody knows is
// an error instead of a device that does not do what it is told.
type options struct {
	left map[string]string
	errs []error
}

func (o *options) text(name, fallback string) string {
	v, ok := o.left[name]
	if delete(o.left, name); !ok || v == "" {
		return fallback
	}
	return v
}

func (o *options) yes(name string, fallback bool) bool {
	v, err := strconv.ParseBool(o.text(name, strconv.FormatBool(fallback)))
	if err != nil {
		o.fail("%s must be true or false", name)
	}
	return v
}

func (o *options) duration(name string, fallback time.Duration) time.Duration {
	text := o.text(name, fallback.String())
	d, err := time.ParseDuration(text)
	if n, nerr := strconv.ParseFloat(text, 64); nerr == nil {
		d, err = time.Duration(n*float64(time.Second)), nil
	}
	if err != nil || d <= 0 || d > time.Minute {
		o.fail("%s must be a duration over 0s, up to 1m, such as 2s: a device that never gives up would stop the server", name)
	}
	return d
}

func (o *options) fail(format string, args ...any) {
	o.errs = append(o.errs, fmt.Errorf(format, args...))
}

// refused are options of Vault's that would promise what no device here does.
func refused() map[string]string {
	return map[string]string{
		"filter":   "not in this release: every enabled device records everything",
		"fallback": "not in this release: every enabled device records everything",
		"exclude":  "not in this release: a record is whole on every device",
	}
}

// take reads the common options.
func (o *options) take(timeout time.Duration) settings {
	s := settings{raw: o.yes("log_raw", false), hashAccessor: o.yes("hmac_accessor", true), elideLists: o.yes("elide_list_responses", false),
		prefix: o.text("prefix", ""), timeout: o.duration("write_timeout", timeout)}
	o.yes("skip_test", false) // of OpenBao: here, only what costs nothing is tested
	switch format := o.text("format", "json"); format {
	case "json":
	case "jsonx":
		o.fail(`format "jsonx" is not in this release: use "json"`)
	default:
		o.fail(`format must be "json"`)
	}
	if strings.ContainsFunc(s.prefix, func(r rune) bool { return r < ' ' }) {
		o.fail("prefix must be printable text on one line")
	}
	return s
}

// err is what was wrong with the options, among them those that nothing took.
func (o *options) err() error {
	for _, name := range slices.Sorted(maps.Keys(o.left)) {
		if why, known := refused()[name]; known {
			o.fail("option %q is %s", name, why)
		} else {
			o.fail("unknown option %q", name)
		}
	}
	return errors.Join(o.errs...)
}

// make starts the device that s describes. What only the configuration may
// choose is refused unless s is trusted.
func (l *Log) make(s Spec, trusted bool) (*device, error) {
	to, c, err := l.sink(s, trusted)
	if err != nil {
		return nil, err
	}
	return startDevice(s, c, trusted, to, l.options.Logger), nil
}

func (l *Log) sink(s Spec, trusted bool) (sink, settings, error) {
	o := &options{left: maps.Clone(s.Options)}
	var to sink
	var c settings
	switch s.Type {
	case "file":
		c = o.take(fileTimeout)
		to = l.fileSink(o, trusted)
	case "socket":
		c = o.take(networkTimeout)
		to = socketSink(o)
	case "syslog":
		c = o.take(networkTimeout)
		to = syslogSink(o)
	case "http":
		c = o.take(networkTimeout)
		to = httpSink(o, trusted)
	default:
		return nil, c, fmt.Errorf("unknown audit device type %q: use file, socket, syslog or http", s.Type)
	}
	if c.prefix != "" && !trusted && !l.options.AllowPrefix {
		o.fail("option \"prefix\" may be set in the server's configuration only, unless that says allow_audit_log_prefixing = true")
	}
	return to, c, o.err()
}

// mode reads a file mode such as "0640"; 0 leaves the file's mode alone.
func (o *options) mode() fs.FileMode {
	n, err := strconv.ParseUint(o.text("mode", "0600"), 8, 32)
	if err != nil || n > 0o777 {
		o.fail("mode must be octal permissions such as 0600, or 0000 to leave the file's as they are")
	}
	if n&0o111 != 0 {
		o.fail("mode must not make the file executable")
	}
	return fs.FileMode(n)
}
