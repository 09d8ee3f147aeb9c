package audit

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"strongroom/internal/storage"
)

// Invalid is an error in what an operator asked for; its text is for them.
type Invalid struct{ Text string }

func (e *Invalid) Error() string { return e.Text }

func invalidf(format string, args ...any) error { return &Invalid{fmt.Sprintf(format, args...)} }

// Listed is an enabled device as it is shown: options that may be secret are not.
type Listed struct {
	Spec
	Declared bool // by the configuration of the node that says so
}

// List returns the enabled devices in their order.
func (j *Journal) List(ctx context.Context, tx *storage.Tx) ([]Listed, error) {
	k, err := j.load(ctx, tx)
	if err != nil {
		return nil, err
	}
	var list []Listed
	for _, s := range j.log.specs() {
		list = append(list, Listed{shown(s), true})
	}
	for _, s := range k.state.Devices {
		if _, taken := overlap(j.log.specs(), s.Path); !taken {
			list = append(list, Listed{shown(s), false})
		}
	}
	return list, nil
}

// shown is s without what may be a secret: values of HTTP headers, passwords in addresses.
func shown(s Spec) Spec {
	s.Options = maps.Clone(s.Options)
	for _, name := range []string{"headers", "uri"} {
		v, ok := s.Options[name]
		if !ok {
			continue
		}
		if scheme, rest, found := strings.Cut(v, "://"); name == "uri" && found && !strings.ContainsAny(rest, "@?") && scheme != "env" && scheme != "file" {
			continue
		}
		s.Options[name] = "(not shown)"
	}
	return s
}

// Enable adds the device s in tx, on all nodes, after it has been seen to open on this one.
func (j *Journal) Enable(ctx context.Context, tx *storage.Tx, s Spec) error {
	if !j.log.options.AllowAPI {
		return invalidf("cannot enable audit device via API; use declarative, config-based audit device management instead: audit %q %q { … } in the server's configuration, "+
			"or allow it there with unsafe_allow_api_audit_creation = true", s.Type, strings.TrimSuffix(s.Path, "/"))
	}
	k, err := j.load(ctx, tx)
	if err != nil {
		return err
	}
	if s.Path, err = CleanPath(s.Path); err != nil {
		return invalidf("%v", err)
	}
	if other, taken := overlap(slices.Concat(j.log.specs(), k.state.Devices), s.Path); taken {
		return invalidf("path already in use: an audit device is at %s", other)
	}
	to, _, err := j.log.sink(s, false)
	if err == nil {
		if p, ok := to.(interface{ probe() error }); ok {
			err = errors.Join(p.probe(), to.close())
		}
	}
	if err != nil {
		return invalidf("the audit device cannot be enabled: %v", err)
	}
	id := make([]byte, 16)
	rand.Read(id)
	s.ID = hex.EncodeToString(id)
	next := k.state
	next.Devices = append(slices.Clone(next.Devices), s)
	return storage.PutJSON(tx, j.key, next)
}

// Disable removes the device at path in tx; one that is not there is no error.
func (j *Journal) Disable(ctx context.Context, tx *storage.Tx, path string) error {
	clean, err := CleanPath(path)
	if err != nil {
		return invalidf("%v", err)
	}
	if slices.ContainsFunc(j.log.specs(), func(s Spec) bool { return s.Path == clean }) {
		return invalidf("cannot disable audit device via API: %s is declared in the server's configuration; remove its audit block there and send the server SIGHUP", clean)
	}
	k, err := j.load(ctx, tx)
	if err != nil {
		return err
	}
	next := k.state
	next.Devices = slices.DeleteFunc(slices.Clone(next.Devices), func(s Spec) bool { return s.Path == clean })
	if len(next.Devices) == len(k.state.Devices) {
		return nil
	}
	return storage.PutJSON(tx, j.key, next)
}

// Hash is what the device at path records in the place of input.
func (j *Journal) Hash(ctx context.Context, tx *storage.Tx, path, input string) (string, error) {
	k, err := j.load(ctx, tx)
	if err != nil {
		return "", err
	}
	clean, err := CleanPath(path)
	if err != nil {
		return "", invalidf("%v", err)
	}
	for _, s := range slices.Concat(j.log.specs(), k.state.Devices) {
		if s.Path == clean && len(k.state.Key) > 0 {
			return string(newHasher(salt(k.state.Key, s.ID)).append(nil, input)), nil
		}
	}
	return "", invalidf("unknown audit backend: no device is at %s", clean)
}

// Headers returns how request headers are recorded, by name in lower case.
func (j *Journal) Headers(ctx context.Context, tx *storage.Tx) (map[string]Header, error) {
	k, err := j.load(ctx, tx)
	if err != nil {
		return nil, err
	}
	return k.state.Headers, nil
}

// HeaderName is the name of a request header as it is stored.
func HeaderName(name string) string { return strings.ToLower(name) }

// notHeaders are headers that are secrets themselves.
func notHeaders() []string { return []string{"x-vault-token", "authorization", "cookie"} }

// PutHeader has a request header recorded, in tx; nil: no longer.
func (j *Journal) PutHeader(ctx context.Context, tx *storage.Tx, name string, h *Header) error {
	name = HeaderName(name)
	switch {
	case name == "" || len(name) > 256 || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune("\"(),/:;<=>?@[\\]{}", r) }):
		return invalidf("this is no name of an HTTP header")
	case h != nil && slices.Contains(notHeaders(), name) && !h.HMAC:
		return invalidf("the header %s holds tokens: it is recorded with hmac=true only", name)
	}
	k, err := j.load(ctx, tx)
	if err != nil {
		return err
	}
	next := k.state
	if next.Headers = maps.Clone(next.Headers); h == nil {
		delete(next.Headers, name)
	} else {
		if next.Headers == nil {
			next.Headers = map[string]Header{}
		}
		next.Headers[name] = *h
	}
	if len(next.Headers) > 256 {
		return invalidf("more than 256 headers are not recorded")
	}
	return storage.PutJSON(tx, j.key, next)
}

// MarshalJSON shows a Listed as sys/audit does.
func (l Listed) MarshalJSON() ([]byte, error) {
	options := l.Options
	if options == nil {
		options = map[string]string{}
	}
	return json.Marshal(map[string]any{"path": l.Path, "type": l.Type, "description": l.Description, "options": options, "local": l.Local})
}
