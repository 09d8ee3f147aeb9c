// Package transform owns how a source's answer becomes the data of a Secret, as spec.destination.transformation says:
// filters over the source's keys, templates beside them, and the whole answer under _raw. It is pure but for reading
// SecretTransformations.
package transform

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"strongroom/api/v1beta1"
	"strongroom/operator/condition"
	"strongroom/operator/template"
)

// RawKey holds the server's whole answer.
const RawKey = "_raw"

// Input is a source's answer.
type Input struct {
	Secrets  map[string]any
	Raw      map[string]any // as the server answered; in KV v2 with the metadata
	Metadata map[string]any // that is not secret
}

// Rules is a transformation with what it refers to.
type Rules struct {
	templates          map[string]string
	sources            map[string]string
	includes, excludes []*regexp.Regexp
	excludeRaw         bool
}

// Refs gives the SecretTransformations that a resource of namespace refers to.
func Refs(namespace string, spec v1beta1.Transformation) []types.NamespacedName {
	var names []types.NamespacedName
	for _, ref := range spec.TransformationRefs {
		name := types.NamespacedName{Namespace: ref.Namespace, Name: ref.Name}
		if name.Namespace == "" {
			name.Namespace = namespace
		}
		names = append(names, name)
	}
	return names
}

// Library is what Resolve takes rules from.
type Library struct {
	Reader     client.Reader                                   // of SecretTransformations
	Permits    func(allowed []string, owner, from string) bool // whether one may be used from another namespace
	ExcludeRaw bool                                            // the operator leaves out _raw, whatever a resource says
}

// Resolve reads what spec refers to. Errors are Problems: InvalidSpec, NotFound, NamespaceNotAllowed, TemplateError.
func (l Library) Resolve(ctx context.Context, namespace string, spec v1beta1.Transformation) (*Rules, error) {
	rules := &Rules{templates: map[string]string{}, sources: map[string]string{}, excludeRaw: spec.ExcludeRaw || l.ExcludeRaw}
	for i, name := range Refs(namespace, spec) {
		shared := &v1beta1.SecretTransformation{}
		err := l.Reader.Get(ctx, name, shared)
		foreign := name.Namespace != namespace
		switch {
		case client.IgnoreNotFound(err) != nil:
			return nil, fmt.Errorf("get SecretTransformation %s: %w", name, err)
		case foreign && (apierrors.IsNotFound(err) || !l.Permits(shared.Spec.AllowedNamespaces, name.Namespace, namespace)):
			return nil, condition.Problemf(v1beta1.ReasonNamespaceNotAllowed,
				"SecretTransformation %s does not allow namespace %s: add it to its spec.allowedNamespaces", name, namespace)
		case err != nil:
			return nil, condition.Problemf(v1beta1.ReasonInvalidSpec, "there is no SecretTransformation %s in namespace %s: create it, or name another", name.Name, name.Namespace)
		}
		if err := rules.add(spec.TransformationRefs[i], &shared.Spec); err != nil {
			return nil, err
		}
	}
	for key, text := range spec.Templates {
		rules.templates[key] = text.Text
		if text.Name != "" {
			rules.sources[text.Name] = text.Text
		}
	}
	return rules, rules.filter(spec.Includes, spec.Excludes)
}

// Check says whether a SecretTransformation can be read. Errors are Problems: InvalidSpec, TemplateError.
func Check(spec *v1beta1.SecretTransformationSpec) error {
	rules := &Rules{templates: map[string]string{}, sources: map[string]string{}}
	if err := rules.add(v1beta1.TransformationRef{}, spec); err != nil {
		return err
	}
	return template.Set{Keys: rules.templates, Sources: rules.sources}.Check()
}

// add adds what ref takes of a SecretTransformation.
func (r *Rules) add(ref v1beta1.TransformationRef, spec *v1beta1.SecretTransformationSpec) error {
	for i, text := range spec.SourceTemplates {
		name := text.Name
		if name == "" {
			name = fmt.Sprintf("%s.sourceTemplates[%d]", ref.Name, i)
		}
		r.sources[name] = text.Text
	}
	for key, text := range spec.Templates {
		if text.Name != "" {
			r.sources[text.Name] = text.Text
		}
		if len(ref.TemplateRefs) == 0 {
			r.templates[key] = text.Text
		}
	}
	for _, chosen := range ref.TemplateRefs {
		key, text, ok := find(spec.Templates, chosen.Name)
		if !ok {
			return condition.Problemf(v1beta1.ReasonInvalidSpec, "SecretTransformation %s has no template %q: correct templateRefs", ref.Name, chosen.Name)
		}
		if chosen.KeyOverride != "" {
			key = chosen.KeyOverride
		}
		r.templates[key] = text
	}
	var includes, excludes []string
	if !ref.IgnoreIncludes {
		includes = spec.Includes
	}
	if !ref.IgnoreExcludes {
		excludes = spec.Excludes
	}
	return r.filter(includes, excludes)
}

// find finds a template by its key, or else by its name.
func find(templates map[string]v1beta1.Template, name string) (key, text string, ok bool) {
	if found, ok := templates[name]; ok {
		return name, found.Text, true
	}
	for key, found := range templates {
		if found.Name == name {
			return key, found.Text, true
		}
	}
	return "", "", false
}

func (r *Rules) filter(includes, excludes []string) error {
	some, err := Patterns(includes)
	if err != nil {
		return err
	}
	r.includes = append(r.includes, some...)
	some, err = Patterns(excludes)
	r.excludes = append(r.excludes, some...)
	return err
}

// Patterns compiles regular expressions. Errors are Problems: InvalidSpec.
func Patterns(texts []string) ([]*regexp.Regexp, error) {
	var patterns []*regexp.Regexp
	for _, text := range texts {
		pattern, err := regexp.Compile(text)
		if err != nil {
			return nil, condition.Problemf(v1beta1.ReasonInvalidSpec, "%q of includes or excludes is no regular expression: %v", text, err)
		}
		patterns = append(patterns, pattern)
	}
	return patterns, nil
}

// Passes tells whether the filters let a key through: no exclude matches it and, if there are includes, one does.
func Passes(key string, includes, excludes []*regexp.Regexp) bool {
	for _, pattern := range excludes {
		if pattern.MatchString(key) {
			return false
		}
	}
	for _, pattern := range includes {
		if pattern.MatchString(key) {
			return true
		}
	}
	return len(includes) == 0
}

// Apply makes the data of the Secret. Errors are Problems: TemplateError.
func (r *Rules) Apply(resource metav1.Object, input Input) (map[string][]byte, error) {
	data := make(map[string][]byte, len(input.Secrets)+len(r.templates)+1)
	for key, value := range input.Secrets {
		if Passes(key, r.includes, r.excludes) {
			data[key] = []byte(template.Text(value))
		}
	}
	if !r.excludeRaw && Passes(RawKey, r.includes, r.excludes) {
		raw, err := json.Marshal(input.Raw)
		if err != nil {
			return nil, condition.Problemf(v1beta1.ReasonTemplateError, "the server's answer cannot be JSON: set transformation.excludeRaw: true")
		}
		data[RawKey] = raw
	}
	if len(r.templates) == 0 {
		return data, nil
	}
	// A name that stands for a key and for a template's text would define it twice.
	sources := maps.Clone(r.sources)
	for key := range r.templates {
		delete(sources, key)
	}
	rendered, err := template.Set{Keys: r.templates, Sources: sources}.Render(map[string]any{
		"Secrets": template.Printable(input.Secrets), "Metadata": template.Printable(input.Metadata),
		"Annotations": texts(resource.GetAnnotations()), "Labels": texts(resource.GetLabels()),
	}, input.Secrets)
	if err != nil {
		return nil, condition.Problemf(v1beta1.ReasonTemplateError, "%v", err)
	}
	maps.Copy(data, rendered)
	return data, nil
}

func texts(of map[string]string) map[string]any {
	all := make(map[string]any, len(of))
	for key, value := range of {
		all[key] = value
	}
	return all
}
