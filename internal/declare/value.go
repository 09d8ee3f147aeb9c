package declare

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
)

// maxFile bounds a file that a value is read from, in bytes.
const maxFile = 1 << 20

// source is a value that is found when its request is made
// (openbao.org/docs/concepts/profiles).
type source struct {
	kind, becomes   string   // eval_source, eval_type
	name            string   // env: the variable; file: the path
	required        bool     // env: require_present
	stanza, request string   // request and response
	selector        []string // of the field
}

func isSource(m map[string]any) bool {
	_, ok := m["eval_source"]
	return ok
}

func parseSource(m map[string]any) (source, error) {
	var s source
	known := []string{"eval_source", "eval_type"}
	text := func(key string, to *string) error {
		known = append(known, key)
		value, ok := m[key].(string)
		if !ok || value == "" {
			return fmt.Errorf("a value with eval_source needs %s, a string", key)
		}
		*to = value
		return nil
	}
	err := errors.Join(text("eval_source", &s.kind), text("eval_type", &s.becomes))
	if err != nil {
		return s, err
	}
	if types := []string{"string", "int", "float64", "bool", "[]string", "map", "any"}; !slices.Contains(types, s.becomes) {
		return s, fmt.Errorf("eval_type must be one of %s", strings.Join(types, ", "))
	}
	switch s.kind {
	case "env":
		err = text("env_var", &s.name)
		known = append(known, "require_present")
		s.required, _ = strconv.ParseBool(fmt.Sprint(m["require_present"]))
	case "file":
		err = text("path", &s.name)
	case "request", "response":
		err = errors.Join(text("initialize_name", &s.stanza), s.otherName(m, &known))
		known = append(known, "field_selector")
		switch selector := m["field_selector"].(type) {
		case string:
			s.selector = []string{selector}
		case []any:
			for _, part := range selector {
				s.selector = append(s.selector, fmt.Sprint(part))
			}
		}
		if len(s.selector) == 0 {
			err = errors.Join(err, errors.New("field_selector is needed, such as [\"data\", \"role_id\"]"))
		}
	default:
		err = errors.New("eval_source must be env, file, request or response")
	}
	for key := range m {
		if !slices.Contains(known, key) {
			err = errors.Join(err, fmt.Errorf("eval_source = %q has no parameter %q", s.kind, key))
		}
	}
	return s, err
}

// otherName is request_name, which the documentation's own example spells
// response_name once.
func (s *source) otherName(m map[string]any, known *[]string) error {
	for _, key := range []string{"request_name", "response_name"} {
		*known = append(*known, key)
		if name, ok := m[key].(string); ok {
			s.request = name
		}
	}
	if s.request == "" {
		return errors.New("request_name is needed, the request whose outcome is asked for")
	}
	return nil
}

// evaluate is value with everything found that has a source. No error shows
// what was found.
func (s *state) evaluate(ctx context.Context, value any) (any, error) {
	switch value := value.(type) {
	case []any:
		out := make([]any, len(value))
		for i, element := range value {
			var err error
			if out[i], err = s.evaluate(ctx, element); err != nil {
				return nil, err
			}
		}
		return out, nil
	case map[string]any:
		if isSource(value) {
			return s.find(ctx, value)
		}
		out := make(map[string]any, len(value))
		for key, element := range value {
			var err error
			if out[key], err = s.evaluate(ctx, element); err != nil {
				return nil, fmt.Errorf("%s: %w", key, err)
			}
		}
		return out, nil
	}
	return value, nil
}

func (s *state) find(ctx context.Context, m map[string]any) (any, error) {
	src, err := parseSource(m)
	if err != nil {
		return nil, err
	}
	var found any
	switch src.kind {
	case "env":
		value, present := os.LookupEnv(src.name)
		if !present && src.required {
			return nil, fmt.Errorf("the environment variable %s is not set", src.name)
		}
		found = value
	case "file":
		if found, err = readFile(ctx, src.name); err != nil {
			return nil, err
		}
	default:
		kept := s.Kept[src.stanza+"/"+src.request]
		var all any = kept.Request
		if src.kind == "response" {
			all = kept.Response
		}
		if found, err = selected(all, src); err != nil {
			return nil, err
		}
	}
	return src.convert(found)
}

// readFile is the text of the file at path. It may be a pipe nobody writes to,
// so it is not waited for longer than ctx lasts.
func readFile(ctx context.Context, path string) (string, error) {
	type result struct {
		text []byte
		err  error
	}
	read := make(chan result, 1)
	go func() { // ends with the read
		f, err := os.Open(path)
		if err != nil {
			read <- result{nil, err}
			return
		}
		defer f.Close()
		text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
		if err == nil && len(text) > maxFile {
			err = fmt.Errorf("%s is larger than %d bytes", path, maxFile)
		}
		read <- result{text, err}
	}()
	select {
	case r := <-read:
		return string(r.text), r.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// selected walks from a kept request or response down to the field asked for.
func selected(at any, src source) (any, error) {
	for _, part := range src.selector {
		var next any
		ok := false
		switch at := at.(type) {
		case map[string]any:
			next, ok = at[part]
		case []any:
			if i, err := strconv.Atoi(part); err == nil && i >= 0 && i < len(at) {
				next, ok = at[i], true
			}
		}
		if !ok {
			return nil, fmt.Errorf("the %s of initialize %q, request %q has no field %s", src.kind, src.stanza, src.request, strings.Join(src.selector, "."))
		}
		at = next
	}
	return at, nil
}

// convert makes found what eval_type says.
func (s source) convert(found any) (any, error) {
	wrong := fmt.Errorf("what eval_source = %q found is not of eval_type %q", s.kind, s.becomes)
	text, isText := found.(string)
	if n, ok := found.(json.Number); ok {
		text, isText = n.String(), true
	}
	switch s.becomes {
	case "string":
		switch found := found.(type) {
		case bool:
			return strconv.FormatBool(found), nil
		default:
			if isText {
				return text, nil
			}
		}
	case "int":
		if n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64); err == nil {
			return n, nil
		}
	case "float64":
		if n, err := strconv.ParseFloat(strings.TrimSpace(text), 64); err == nil {
			return n, nil
		}
	case "bool":
		if b, ok := found.(bool); ok {
			return b, nil
		}
		if b, err := strconv.ParseBool(strings.TrimSpace(text)); err == nil {
			return b, nil
		}
	case "[]string":
		if list, ok := found.([]any); ok {
			return list, nil
		}
		if isText {
			var list []string
			if json.Unmarshal([]byte(text), &list) == nil {
				return list, nil
			}
			return strings.Split(text, ","), nil
		}
	case "map":
		if m, ok := found.(map[string]any); ok {
			return m, nil
		}
		var m map[string]any
		if isText && json.Unmarshal([]byte(text), &m) == nil {
			return m, nil
		}
	default:
		return found, nil
	}
	return nil, wrong
}
