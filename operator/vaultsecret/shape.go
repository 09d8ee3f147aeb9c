package vaultsecret

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"strongroom/api/v1beta1"
	"strongroom/operator/condition"
	"strongroom/operator/source"
	"strongroom/operator/target"
	"strongroom/operator/template"
	"strongroom/operator/transform"
)

// asKey puts _ for what a key of a Secret cannot have.
func asKey(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_', r == '.':
			return r
		}
		return '_'
	}, name)
}

// rename is pure: the keys of a part after its filters and rewrites. Errors are Problems: InvalidSpec.
func rename(part v1beta1.VaultSecretPart, secret *source.Secret) (map[string]any, error) {
	includes, err := transform.Patterns(part.Includes)
	if err != nil {
		return nil, err
	}
	excludes, err := transform.Patterns(part.Excludes)
	if err != nil {
		return nil, err
	}
	rules := make([]*regexp.Regexp, len(part.Rewrite))
	for i, rule := range part.Rewrite {
		if rules[i], err = regexp.Compile(rule.Pattern); err != nil {
			return nil, condition.Problemf(v1beta1.ReasonInvalidSpec, "rewrite.pattern %q is no regular expression: %v", rule.Pattern, err)
		}
	}
	renamed := make(map[string]any, len(secret.Data))
	from := make(map[string]string, len(secret.Data))
	for _, key := range slices.Sorted(maps.Keys(secret.Data)) {
		if !transform.Passes(key, includes, excludes) {
			continue
		}
		name := key
		for i, rule := range rules {
			if name = rule.ReplaceAllString(name, part.Rewrite[i].Replacement); len(name) > 253 {
				return nil, condition.Problemf(v1beta1.ReasonInvalidSpec, "key %q of %s is longer than 253 characters when rewritten", key, secret.Name)
			}
		}
		if other, taken := from[name]; taken {
			return nil, condition.Problemf(v1beta1.ReasonInvalidSpec, "keys %q and %q of %s both become %q: correct rewrite", other, key, secret.Name, name)
		}
		renamed[name], from[name] = secret.Data[key], key
	}
	return renamed, nil
}

// shaped is the target's data. It must not be logged.
type shaped struct {
	kind corev1.SecretType
	data map[string][]byte
	// lacking is the problem of templates that name keys which the source lacks; data is without their results. lacks are
	// their names.
	lacking *condition.Problem
	lacks   []string
}

// GoString keeps %#v from printing the data.
func (s shaped) GoString() string { return fmt.Sprintf("%d keys", len(s.data)) }

// String keeps %v from printing the data.
func (s shaped) String() string { return s.GoString() }

// shape is pure: it says what spec makes of what was read. Errors are Problems: TemplateError.
func shape(vs *v1beta1.VaultSecret, read *gathered) (*shaped, error) {
	form := vs.Spec.Target.Template
	if form == nil {
		form = &v1beta1.SecretTemplate{}
	}
	made := &shaped{kind: corev1.SecretType(form.Type), data: make(map[string][]byte)}
	if made.kind == "" {
		made.kind = corev1.SecretTypeOpaque
	}
	if len(form.StringData)+len(form.Data) == 0 {
		for key, value := range read.data {
			made.data[key] = []byte(template.Text(value))
		}
		return made, target.CheckKeys(made.data, "name it anew in target.template.stringData")
	}
	rendered, err := template.Set{Keys: form.StringData}.Render(input(vs, read), read.data)
	if err != nil {
		problem := condition.Problemf(v1beta1.ReasonTemplateError, "%v", err)
		wrong := (*template.Error)(nil)
		if !errors.As(err, &wrong) || wrong.Missing == "" {
			return nil, problem
		}
		if len(read.parts) == 0 {
			problem.Message += fmt.Sprintf(" (`vault kv put` replaces all keys; `vault kv patch %s %s=VALUE` adds one)", read.name, wrong.Missing)
		}
		made.lacking = problem
	}
	for key, value := range form.Data {
		if _, ok := form.StringData[key]; !ok { // as in a Secret, stringData wins
			made.data[key] = append([]byte{}, value...)
		}
	}
	maps.Copy(made.data, rendered)
	if made.lacking != nil {
		for _, key := range slices.Sorted(maps.Keys(form.StringData)) {
			if _, ok := made.data[key]; !ok {
				made.lacks = append(made.lacks, key)
			}
		}
	}
	return made, target.CheckKeys(made.data, "name it anew in target.template.stringData")
}

// input is what templates see: the source's keys, and beside them, where no key has the name, Secrets, Sources, Metadata,
// Labels and Annotations.
func input(vs *v1beta1.VaultSecret, read *gathered) map[string]any {
	data := template.Printable(read.data)
	beside := map[string]any{
		"Sources": read.parts, "Metadata": template.Printable(read.metadata),
		"Labels": texts(vs.Labels), "Annotations": texts(vs.Annotations),
	}
	secrets := maps.Clone(data)
	for name, value := range beside {
		if _, taken := data[name]; !taken {
			data[name] = value
		}
	}
	data["Secrets"] = secrets
	return data
}

func texts(of map[string]string) map[string]any {
	all := make(map[string]any, len(of))
	for key, value := range of {
		all[key] = value
	}
	return all
}

// complete fills what is lacking with the last good values, from the target that vs filled before, and says whether it
// could. It is for a source that lost a key, as `kv put` makes it; a target of other keys or another type is not touched,
// for then it is the template that changed and is wrong.
func (s *shaped) complete(vs *v1beta1.VaultSecret, live *target.Live) bool {
	if live == nil || !target.Owned(live, vs.UID) || live.Kind != target.ConfigMap && live.Type != s.kind || len(live.Data) != len(s.data)+len(s.lacks) {
		return false
	}
	for key := range s.data {
		if _, ok := live.Data[key]; !ok {
			return false
		}
	}
	for _, key := range s.lacks {
		value, ok := live.Data[key]
		if !ok {
			return false
		}
		s.data[key] = value
	}
	return true
}
