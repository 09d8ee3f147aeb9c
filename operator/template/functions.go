package template

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"maps"
	"net/url"
	"reflect"
	"regexp"
	"strings"
	texttemplate "text/template"
)

// maxArguments bounds print and printf, so that one call cannot multiply a large value.
const maxArguments = 64

// wide matches a width or precision that would make a little template a large text.
var wide = regexp.MustCompile(`%[^a-zA-Z%]*(\*|[0-9]{4,})`)

// functions is what a template may call beside text/template's own; those of its own that can make long texts
// (print, printf, println, html, js, urlquery) are replaced by bounded ones. The value comes last, as in a pipe.
func functions(budget *budget) texttemplate.FuncMap {
	all := texttemplate.FuncMap{
		"b64enc": func(v any) (string, error) {
			return bounded(base64.StdEncoding.EncodeToString([]byte(textOf(v))))
		},
		"b64dec":     decodeBase64,
		"toJson":     func(v any) (string, error) { return bounded(jsonOf(v)) },
		"fromJson":   fromJSON,
		"quote":      func(v any) (string, error) { return bounded(fmt.Sprintf("%q", textOf(v))) },
		"squote":     func(v any) (string, error) { return bounded("'" + textOf(v) + "'") },
		"trim":       func(v any) string { return strings.TrimSpace(textOf(v)) },
		"trimPrefix": func(prefix string, v any) string { return strings.TrimPrefix(textOf(v), prefix) },
		"trimSuffix": func(suffix string, v any) string { return strings.TrimSuffix(textOf(v), suffix) },
		"upper":      func(v any) (string, error) { return bounded(strings.ToUpper(textOf(v))) },
		"lower":      func(v any) (string, error) { return bounded(strings.ToLower(textOf(v))) },
		"contains":   func(part string, v any) bool { return strings.Contains(textOf(v), part) },
		"hasPrefix":  func(prefix string, v any) bool { return strings.HasPrefix(textOf(v), prefix) },
		"hasSuffix":  func(suffix string, v any) bool { return strings.HasSuffix(textOf(v), suffix) },
		"replace":    replace,
		"split":      func(separator string, v any) []string { return strings.Split(textOf(v), separator) },
		"join":       join,
		"default":    fallback,
		"indent":     func(spaces int, v any) (string, error) { return indent(spaces, textOf(v)) },
		"nindent":    func(spaces int, v any) (string, error) { return nindent(spaces, textOf(v)) },
		"print":      func(v ...any) (string, error) { return printed(v, fmt.Sprint) },
		"println":    func(v ...any) (string, error) { return printed(v, fmt.Sprintln) },
		"printf":     printf,
		"html":       func(v any) (string, error) { return bounded(html.EscapeString(textOf(v))) },
		"js":         func(v any) (string, error) { return bounded(texttemplate.JSEscapeString(textOf(v))) },
		"urlquery":   func(v any) (string, error) { return bounded(url.QueryEscape(textOf(v))) },
	}
	maps.Copy(all, collections(budget))
	maps.Copy(all, texts())
	maps.Copy(all, keystores(budget))
	for name, function := range all {
		all[name] = timed(function, budget)
	}
	all[tickName], all[callName], all[stepName] = budget.turn, budget.call, budget.step
	return all
}

// timed is a function that fails when the time is up: one action may call thousands of them.
func timed(function any, budget *budget) any {
	value := reflect.ValueOf(function)
	kind := value.Type()
	in := make([]reflect.Type, kind.NumIn())
	for i := range in {
		in[i] = kind.In(i)
	}
	failure := reflect.TypeFor[error]()
	return reflect.MakeFunc(reflect.FuncOf(in, []reflect.Type{kind.Out(0), failure}, kind.IsVariadic()), func(arguments []reflect.Value) []reflect.Value {
		if _, err := budget.step(); err != nil {
			return []reflect.Value{reflect.Zero(kind.Out(0)), reflect.ValueOf(err)}
		}
		call := value.Call
		if kind.IsVariadic() {
			call = value.CallSlice
		}
		results := call(arguments)
		if len(results) == 1 {
			results = append(results, reflect.Zero(failure))
		}
		return results
	}).Interface()
}

func bounded(text string) (string, error) {
	if len(text) > maxOutput {
		return "", errTooLong
	}
	return text, nil
}

// textOf is how a value stands in a Secret: text as it is, anything else as JSON.
func textOf(value any) string {
	switch v := value.(type) {
	case nil:
		return ""
	case string:
		return v
	case []byte:
		return string(v)
	case json.Number:
		return v.String()
	}
	return jsonOf(value)
}

// Text is how a value of the source stands in a Secret without a template: text as it is, anything else as JSON.
func Text(value any) string {
	if value == nil {
		return "null"
	}
	return textOf(value)
}

func jsonOf(value any) string {
	var out strings.Builder
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return "" // no value of a source or a template fails: they are strings, numbers, lists and maps
	}
	return strings.TrimSuffix(out.String(), "\n")
}

func decodeBase64(v any) (string, error) {
	text := strings.TrimSpace(textOf(v))
	for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		if decoded, err := encoding.DecodeString(text); err == nil {
			return string(decoded), nil
		}
	}
	return "", errors.New("the value is not base64")
}

func fromJSON(v any) (any, error) {
	decoder := json.NewDecoder(strings.NewReader(textOf(v)))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, errors.New("the value is not JSON")
	}
	return value, nil
}

func replace(old, replacement string, v any) (string, error) {
	text := textOf(v)
	if len(text)+strings.Count(text, old)*(len(replacement)-len(old)) > maxOutput {
		return "", errTooLong
	}
	return strings.ReplaceAll(text, old, replacement), nil
}

func join(separator string, v any) (string, error) {
	var texts []string
	switch elements := v.(type) {
	case []string:
		texts = elements
	case []any:
		for _, element := range elements {
			texts = append(texts, textOf(element))
		}
	default:
		return "", errors.New("join needs a list")
	}
	size := len(separator) * len(texts)
	for _, text := range texts {
		size += len(text)
	}
	if size > maxOutput {
		return "", errTooLong
	}
	return strings.Join(texts, separator), nil
}

func fallback(instead, v any) any {
	if truth, ok := texttemplate.IsTrue(v); ok && truth {
		return v
	}
	return instead
}

func indent(spaces int, text string) (string, error) {
	if spaces < 0 || spaces > 100 {
		return "", errors.New("indent by 0 to 100 spaces")
	}
	pad := strings.Repeat(" ", spaces)
	indented, err := replace("\n", "\n"+pad, text)
	if err != nil {
		return "", err
	}
	return bounded(pad + indented)
}

func nindent(spaces int, text string) (string, error) {
	indented, err := indent(spaces, text)
	return "\n" + indented, err
}

func printed(values []any, print func(...any) string) (string, error) {
	if len(values) > maxArguments {
		return "", fmt.Errorf("more than %d arguments", maxArguments)
	}
	return bounded(print(values...))
}

func printf(format string, values ...any) (string, error) {
	if wide.MatchString(format) {
		return "", errors.New("printf with a width or precision of * or above 999")
	}
	return printed(values, func(v ...any) string { return fmt.Sprintf(format, v...) })
}
