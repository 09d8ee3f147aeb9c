package policy

import (
	"fmt"
	"slices"
	"strings"
)

// Values says what a template stands for, by its parts after "identity": of
// {{identity.entity.metadata.team}} these are "entity", "metadata" and "team".
// false: for nothing.
type Values func(parts []string) (string, bool)

// piece is a part of a templated path: text, or what a template stands for.
type piece struct {
	text  string
	parts []string // nil: text
}

// templateForms are the templates there are
// (https://developer.hashicorp.com/vault/docs/concepts/policies#templated-policies).
const templateForms = "identity.entity.id, .name, .metadata.KEY, .aliases.ACCESSOR.id, .name, .metadata.KEY and .custom_metadata.KEY; " +
	"identity.groups.ids.ID.name and .metadata.KEY; identity.groups.names.NAME.id and .metadata.KEY"

// parseTemplate splits a path at its templates; nil if it has none.
func parseTemplate(path string) ([]piece, error) {
	if !strings.Contains(path, "{{") && !strings.Contains(path, "}}") {
		return nil, nil
	}
	var pieces []piece
	for rest := path; rest != ""; {
		text, after, found := strings.Cut(rest, "{{")
		if strings.Contains(text, "}}") {
			return nil, fmt.Errorf("\"}}\" without \"{{\" before it")
		}
		if text != "" {
			pieces = append(pieces, piece{text: text})
		}
		if !found {
			break
		}
		name, tail, closed := strings.Cut(after, "}}")
		if !closed || strings.Contains(name, "{{") {
			return nil, fmt.Errorf("\"{{\" without \"}}\" after it")
		}
		parts := templateParts(strings.TrimSpace(name))
		if parts == nil {
			return nil, fmt.Errorf("unknown template {{%s}}; there are %s", name, templateForms)
		}
		pieces, rest = append(pieces, piece{parts: parts}), tail
	}
	return pieces, nil
}

// templateParts are the parts of a template's name; nil if there is none such.
// Keys and names of groups may hold dots, accessors and IDs do not.
func templateParts(name string) []string {
	of := func(prefix string) (string, bool) { return strings.CutPrefix(name, "identity."+prefix) }
	if rest, ok := of("entity.aliases."); ok {
		accessor, field, ok := strings.Cut(rest, ".")
		if parts := fieldOf(field, "id", "name", "metadata", "custom_metadata"); ok && accessor != "" && parts != nil {
			return append([]string{"entity", "aliases", accessor}, parts...)
		}
		return nil
	}
	if rest, ok := of("entity."); ok {
		if parts := fieldOf(rest, "id", "name", "metadata"); parts != nil {
			return append([]string{"entity"}, parts...)
		}
		return nil
	}
	if rest, ok := of("groups.ids."); ok {
		id, field, ok := strings.Cut(rest, ".")
		if parts := fieldOf(field, "name", "metadata"); ok && id != "" && parts != nil {
			return append([]string{"groups", "ids", id}, parts...)
		}
		return nil
	}
	if rest, ok := of("groups.names."); ok {
		if group, ok := strings.CutSuffix(rest, ".id"); ok && group != "" {
			return []string{"groups", "names", group, "id"}
		}
		if group, key, ok := strings.Cut(rest, ".metadata."); ok && group != "" && key != "" {
			return []string{"groups", "names", group, "metadata", key}
		}
	}
	return nil
}

// fieldOf splits one of fields, and for metadata its key; nil for anything else.
func fieldOf(text string, fields ...string) []string {
	name, key, keyed := strings.Cut(text, ".")
	isMap := strings.HasSuffix(name, "metadata")
	if !slices.Contains(fields, name) || keyed != isMap || (keyed && key == "") {
		return nil
	}
	if keyed {
		return []string{name, key}
	}
	return []string{name}
}

// sample is the path with something harmless for each template, for checkPath.
func sample(pieces []piece) string {
	var b strings.Builder
	for _, p := range pieces {
		if b.WriteString(p.text); p.parts != nil {
			b.WriteByte('x')
		}
	}
	return b.String()
}

// Templated says whether p says something else of each caller.
func (p *Policy) Templated() bool {
	return p != nil && slices.ContainsFunc(p.Rules, func(r Rule) bool { return r.template != nil })
}

// Fill is what the rules of p with templates say once these stand for something,
// for ACL.With; nil values stand for nothing. A rule of which one stands for nothing is left out. So is one with a value that
// has a meaning of its own in paths, or else whoever chooses that value would
// write the policy; but where such a rule denies, it denies all of the folder that
// the template stands in.
func (p *Policy) Fill(values Values) *Policy {
	if !p.Templated() {
		return nil
	}
	out := &Policy{Name: p.Name}
	for _, r := range p.Rules {
		if r.template == nil {
			continue
		}
		path, ok := fill(r.template, values, r.Capabilities&Deny != 0)
		if ok {
			r.Path, r.template = path, nil
			out.Rules = append(out.Rules, r)
		}
	}
	return out
}

func fill(pieces []piece, values Values, deny bool) (string, bool) {
	var b strings.Builder
	prefix, refused := "", false
	for i, p := range pieces {
		if p.parts == nil {
			b.WriteString(p.text)
			if i == 0 {
				prefix = p.text[:strings.LastIndexByte(p.text, '/')+1]
			}
			continue
		}
		if values == nil {
			return "", false
		}
		v, ok := values(p.parts)
		if !ok || v == "" {
			return "", false
		}
		refused = refused || strings.ContainsFunc(v, special)
		b.WriteString(v)
	}
	if refused && deny {
		return prefix + "*", true
	}
	return b.String(), !refused
}

// special is what a templated value must not hold: wildcards, the separator of
// segments, and what does not print.
func special(r rune) bool {
	return strings.ContainsRune("*+/", r) || r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) || r == '\ufffd'
}
