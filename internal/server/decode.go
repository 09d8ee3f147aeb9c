package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"strongroom/engine"
)

// setter takes one field into a Config. setters are the keys of one block.
type (
	setter  func(field) error
	setters map[string]setter
)

// decoder walks a configuration and remembers what its author should be told.
type decoder struct{ warnings []string }

func (d *decoder) warnf(format string, args ...any) {
	d.warnings = append(d.warnings, fmt.Sprintf(format, args...))
}

// decode hands each field of b to its setter. A key nobody knows is warned of; a value written twice is an error, as one of the two
// would be lost. Every fault of the block is reported, not the first one only.
func (d *decoder) decode(b *block, known setters) error {
	var errs []error
	seen := map[string]position{}
	for _, f := range b.fields {
		name := strings.ToLower(f.name)
		set, ok := known[name]
		if !ok {
			d.warnf("unknown or unsupported field %s found in configuration at %s", f.name, f.at)
			continue
		}
		if _, isBlock := f.value.(*block); !isBlock {
			if first, twice := seen[name]; twice {
				errs = append(errs, f.errorf("set twice, first at %s: keep one of them", first))
				continue
			}
			seen[name] = f.at
		}
		errs = append(errs, set(f))
	}
	return errors.Join(errs...)
}

// ignored is a key of Vault's that changes nothing here; the author is told, with the reason.
func (d *decoder) ignored(reason string) setter {
	return func(f field) error {
		d.warnf("%s at %s has no effect: %s", f.name, f.at, reason)
		return nil
	}
}

// inert checks and keeps a value that nothing acts on yet; the author is told.
func (d *decoder) inert(set setter) setter {
	return func(f field) error {
		return errors.Join(set(f), d.ignored(notYet)(f))
	}
}

// ignore adds keys that have no effect to known.
func (d *decoder) ignore(known setters, reason string, names ...string) setters {
	for _, name := range names {
		known[name] = d.ignored(reason)
	}
	return known
}

// refused is a key that would promise what this server does not do.
func refused(reason string) setter {
	return func(f field) error { return f.errorf("%s", reason) }
}

// nested decodes a block's own keys.
func (d *decoder) nested(known setters) setter {
	return func(f field) error {
		b, ok := f.value.(*block)
		if !ok {
			return f.errorf("a block is needed here: %s { … }", f.name)
		}
		return d.decode(b, known)
	}
}

// labelled is a block with a type in its first line, such as storage "raft" { … }.
func labelled(example string, take func(kind string, body *block) error) setter {
	return func(f field) error {
		b, ok := f.value.(*block)
		if !ok || len(b.fields) == 0 {
			return f.errorf("a block with its type is needed here: %s %q { … }", f.name, example)
		}
		for _, inner := range b.fields {
			body, ok := inner.value.(*block)
			if !ok {
				return f.errorf("the block's type is missing: write %s %q { … }", f.name, example)
			}
			body.at = f.at
			if err := take(inner.name, body); err != nil {
				return err
			}
		}
		return nil
	}
}

// parsed is a scalar that parse understands.
func parsed[T any](to *T, parse func(string) (T, error)) setter {
	return func(f field) error {
		value, ok := f.value.(string)
		if !ok {
			return f.errorf("one value is needed here, not a list or block")
		}
		v, err := parse(value)
		if err != nil {
			return f.errorf("%w", err)
		}
		*to = v
		return nil
	}
}

func text(to *string) setter {
	return parsed(to, func(s string) (string, error) { return s, nil })
}

func boolean(to *bool) setter {
	return parsed(to, func(s string) (bool, error) {
		if s == "" {
			return false, nil
		}
		v, err := strconv.ParseBool(s)
		if err != nil {
			return false, errors.New("true or false is needed here (1, 0, \"true\" and \"false\" do too)")
		}
		return v, nil
	})
}

// count is an integer between least and most.
func count[T int | int64 | uint64](to *T, least, most int64) setter {
	return parsed(to, func(s string) (T, error) {
		n, err := strconv.ParseInt(s, 0, 64)
		if err != nil {
			return 0, errors.New("a whole number is needed here")
		}
		if n < least || n > most {
			return 0, fmt.Errorf("a number from %d to %d is needed here", least, most)
		}
		return T(n), nil
	})
}

// duration accepts 90, "90s", "24h" and "7d".
func duration(to *time.Duration) setter { return parsed(to, engine.ParseDuration) }

// size is a number of bytes; nought or less turns the limit off.
func size(to *int64) setter {
	set := count(to, math.MinInt64, math.MaxInt64)
	return func(f field) error {
		err := set(f)
		if *to <= 0 {
			*to = math.MaxInt64
		}
		return err
	}
}

// texts is a list of strings, or one string with commas.
func texts(to *[]string) setter {
	return func(f field) error {
		switch value := f.value.(type) {
		case []string:
			*to = value
		case string:
			*to = strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' })
		default:
			return f.errorf("a list of strings is needed here")
		}
		return nil
	}
}

// networks is a list of addresses or CIDR ranges.
func networks(to *[]netip.Prefix) setter {
	return func(f field) error {
		var list []string
		if err := texts(&list)(f); err != nil {
			return err
		}
		for _, item := range list {
			prefix, err := netip.ParsePrefix(item)
			if err != nil {
				addr, aerr := netip.ParseAddr(item)
				if aerr != nil {
					return f.errorf("%q is neither an IP address nor a range such as 10.0.0.0/8", item)
				}
				prefix = netip.PrefixFrom(addr, addr.BitLen())
			}
			*to = append(*to, prefix.Masked())
		}
		return nil
	}
}

// tlsVersion is tls10 to tls13. The old two are taken, as Vault takes them, with a warning.
func (d *decoder) tlsVersion(to *uint16) setter {
	versions := map[string]uint16{"tls10": tls.VersionTLS10, "tls11": tls.VersionTLS11, "tls12": tls.VersionTLS12, "tls13": tls.VersionTLS13}
	return func(f field) error {
		err := parsed(to, func(s string) (uint16, error) {
			v, ok := versions[s]
			if !ok {
				return 0, errors.New("must be tls10, tls11, tls12 or tls13")
			}
			return v, nil
		})(f)
		if err == nil && *to < tls.VersionTLS12 {
			d.warnf("%s at %s allows a TLS version that is broken: use tls12 or tls13", f.name, f.at)
		}
		return err
	}
}

// cipherSuites takes the names Go gives to suites it holds safe; TLS 1.3 has its own and ignores these.
func cipherSuites(to *[]uint16) setter {
	return func(f field) error {
		var names []string
		if err := texts(&names)(f); err != nil {
			return err
		}
		known := map[string]uint16{}
		for _, suite := range tls.CipherSuites() {
			known[suite.Name] = suite.ID
		}
		for _, name := range names {
			id, ok := known[name]
			if !ok {
				return f.errorf("%q is not a cipher suite this server offers; remove it, or the whole line for the safe default", name)
			}
			*to = append(*to, id)
		}
		return nil
	}
}

// checkTemplate refuses go-sockaddr templates, which Vault expands and this server does not.
func checkTemplate(s string) error {
	if strings.Contains(s, "{{") {
		return fmt.Errorf("the template %q is not expanded: write the address itself, or set it through the environment", s)
	}
	return nil
}

// parseHostPort checks "host:port"; the host may be empty.
func parseHostPort(s string) (string, error) {
	if err := checkTemplate(s); err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return "", fmt.Errorf("%q is not host:port: write it like 127.0.0.1:8200 or [::]:8200", s)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", fmt.Errorf("the port of %q must be a number from 0 to 65535", s)
	}
	return s, nil
}

func address(to *string) setter { return parsed(to, parseHostPort) }

// parseBaseURL checks a node's own address, which is a scheme, a host and maybe a port.
func parseBaseURL(s string) (string, error) {
	if err := checkTemplate(s); err != nil {
		return "", err
	}
	u, err := url.Parse(s)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", errors.New("a full address is needed here, such as https://vault-0.example.com:8200")
	}
	if port := u.Port(); port != "" {
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return "", errors.New("the port must be a number from 0 to 65535")
		}
	}
	return strings.TrimRight(s, "/"), nil
}

func baseURL(to *string) setter { return parsed(to, parseBaseURL) }

// oneOf is a word out of a list.
func oneOf(to *string, words ...string) setter {
	return parsed(to, func(s string) (string, error) { return parseWord(s, words...) })
}

func parseWord(s string, words ...string) (string, error) {
	for _, word := range words {
		if strings.EqualFold(s, word) {
			return word, nil
		}
	}
	return "", fmt.Errorf("must be one of %s, not %q", strings.Join(words, ", "), s)
}
