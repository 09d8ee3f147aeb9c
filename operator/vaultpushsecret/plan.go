package vaultpushsecret

import (
	"encoding/base64"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"strongroom/api/v1beta1"
	"strongroom/operator/condition"
	"strongroom/operator/transform"
)

// The custom_metadata of KV v2 that marks a secret as a resource's own: KIND/NAMESPACE/NAME, and its UID.
const (
	ownerMark = "strongroom-owner"
	uidMark   = "strongroom-owner-uid"
)

// remote is a secret of the server as it is. It must not be logged.
type remote struct {
	data    map[string]any    // nil: none, or its latest version is deleted
	version int               // of KV v2; 0: none was ever written
	custom  map[string]string // its custom_metadata
}

// GoString keeps %#v from printing the data.
func (r remote) GoString() string { return fmt.Sprintf("version %d", r.version) }

// String keeps %v from printing the data.
func (r remote) String() string { return r.GoString() }

// of tells whether it bears a resource's mark.
func (r remote) of(s self) bool { return r.custom[ownerMark] == s.owner && r.custom[uidMark] == s.uid }

// self is the resource that pushes, and what it knows of its last push.
type self struct {
	owner, uid string
	path       string // as the CLI names it
	v1         bool
	overwrite  bool
	report     bool   // of drift, and nothing more
	version    string // that it left; "": none
	unchanged  bool   // the Secret is as it was then
	edited     bool   // the spec is not as it was then
}

// step is what to do on the server.
type step string

const (
	keep    step = "keep"
	mark    step = "mark"    // it holds what it should, but not our mark
	write   step = "write"   // it does not
	restore step = "restore" // it did, and someone else wrote
)

// next is pure: it says what makes the server hold want. What is nobody's can be marked if it is equal: that overwrites
// nothing. Errors are Problems: TargetConflict, Drift.
func next(now remote, want map[string]string, s self) (step, error) {
	owner := now.custom[ownerMark]
	latest := s.version != "" && s.version == strconv.Itoa(now.version)
	marked := now.of(s)
	// A mark that went while nobody wrote was edited away.
	ours := s.v1 || marked || owner == "" && latest
	drifted := !s.v1 && s.version != "" && !latest || s.v1 && s.unchanged
	// Of two that may take over, the one that did last has it: else they would go on for ever. An edit asks anew.
	lost := s.version != "" && !s.edited && owner != "" && owner != s.owner
	s.overwrite = s.overwrite && !lost
	switch same := equal(now.data, want); {
	case same && (s.v1 || marked):
		return keep, nil
	case same && (owner == "" || owner == s.owner || s.overwrite):
		return mark, nil
	case !same && ours && drifted && s.report:
		return "", condition.Problemf(v1beta1.ReasonDrift,
			"someone else wrote %s, and driftPolicy is Report: change the Secret to what it should be and set driftPolicy: Restore, or write the Secret's values there", s.path)
	case !same && ours && drifted:
		return restore, nil
	case !same && (ours || s.overwrite || now.version == 0 && now.data == nil && owner == ""):
		return write, nil
	case lost:
		return "", condition.Problemf(v1beta1.ReasonTargetConflict,
			"%s on the server was taken over by %s (its custom_metadata %s): choose another path, or delete that resource", s.path, printable(owner), ownerMark)
	case owner != "":
		return "", condition.Problemf(v1beta1.ReasonTargetConflict,
			"%s on the server is kept by %s (its custom_metadata %s): choose another path, delete that resource, or set overwrite: true to take it over", s.path, printable(owner), ownerMark)
	}
	return "", condition.Problemf(v1beta1.ReasonTargetConflict,
		"%s is on the server and no VaultPushSecret wrote it: choose another path, delete it with `vault kv metadata delete %s`, or set overwrite: true to take it over", s.path, s.path)
}

// printable bounds what others wrote.
func printable(text string) string {
	if len(text) > 400 {
		text = text[:400]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == utf8.RuneError {
			return '?'
		}
		return r
	}, text)
}

func equal(data map[string]any, want map[string]string) bool {
	if len(data) != len(want) {
		return false
	}
	for key, value := range want {
		if held, ok := data[key].(string); !ok || held != value {
			return false
		}
	}
	return true
}

// shape is pure: what the spec chooses of a Secret, by the names and in the form that the server gets. Errors are Problems:
// InvalidSpec, SourceNotFound.
func shape(spec v1beta1.VaultPushSecretSpec, data map[string][]byte) (map[string]string, error) {
	includes, err := transform.Patterns(spec.Includes)
	if err != nil {
		return nil, err
	}
	excludes, err := transform.Patterns(spec.Excludes)
	if err != nil {
		return nil, err
	}
	rules := make([]*regexp.Regexp, len(spec.Rewrite))
	for i, rule := range spec.Rewrite {
		if rules[i], err = regexp.Compile(rule.Pattern); err != nil {
			return nil, condition.Problemf(v1beta1.ReasonInvalidSpec, "rewrite.pattern %q is no regular expression: %v", rule.Pattern, err)
		}
	}
	want, from := make(map[string]string, len(data)), make(map[string]string, len(data))
	for _, key := range slices.Sorted(maps.Keys(data)) {
		if !transform.Passes(key, includes, excludes) {
			continue
		}
		name := key
		for i, rule := range rules {
			if name = rule.ReplaceAllString(name, spec.Rewrite[i].Replacement); name == "" || len(name) > 512 {
				return nil, condition.Problemf(v1beta1.ReasonInvalidSpec, "key %q is empty or longer than 512 characters when rewritten", key)
			}
		}
		if other, taken := from[name]; taken {
			return nil, condition.Problemf(v1beta1.ReasonInvalidSpec, "keys %q and %q both become %q: correct rewrite", other, key, name)
		}
		from[name] = key
		switch {
		case spec.Encoding == v1beta1.EncodingBase64:
			want[name] = base64.StdEncoding.EncodeToString(data[key])
		case !utf8.Valid(data[key]):
			return nil, condition.Problemf(v1beta1.ReasonInvalidSpec, "the value of key %q is no text, as the server's are: exclude it, or set encoding: Base64", key)
		default:
			want[name] = string(data[key])
		}
	}
	if len(want) == 0 {
		return nil, condition.Problemf(v1beta1.ReasonSourceNotFound, "none of the %d keys of Secret %s is chosen by includes and excludes: correct them, or fill the Secret; the server keeps what it holds", len(data), spec.SecretRef.Name)
	}
	return want, nil
}
