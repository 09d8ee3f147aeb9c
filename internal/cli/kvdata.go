package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// ParseKV turns the data arguments of write, kv put and their kin into the body of a request:
//
//	key=value      a string; the same key again makes a list
//	key=@file      the contents of a file, verbatim
//	key=-          all of stdin, verbatim
//	key=\@value    the string "@value"
//	@file          a JSON object in a file
//	-              a JSON object on stdin
//
// Numbers in JSON keep the digits they were written with. Stdin can be named once. Later arguments add to
// what earlier ones said.
func ParseKV(stdin io.Reader, args []string) (map[string]any, error) {
	p := kvParser{stdin: stdin, data: map[string]any{}}
	for _, arg := range args {
		if err := p.add(arg); err != nil {
			return nil, err
		}
	}
	return p.data, nil
}

type kvParser struct {
	stdin io.Reader // nil once it has been read
	data  map[string]any
}

func (p *kvParser) add(arg string) error {
	switch {
	case arg == "":
		return nil
	case arg == "-":
		text, err := p.readStdin()
		if err != nil {
			return err
		}
		return p.addJSON("stdin", text)
	case arg[0] == '@':
		text, err := os.ReadFile(arg[1:])
		if err != nil {
			return fmt.Errorf("error reading file: %w", err)
		}
		return p.addJSON(arg[1:], text)
	}
	key, value, ok := strings.Cut(arg, "=")
	if !ok || key == "" {
		return fmt.Errorf("invalid key/value pair %q: format must be key=value", arg)
	}
	value, err := p.value(value)
	if err != nil {
		return err
	}
	p.set(key, value)
	return nil
}

func (p *kvParser) value(text string) (string, error) {
	switch {
	case text == "-":
		content, err := p.readStdin()
		return string(content), err
	case strings.HasPrefix(text, "@"):
		content, err := os.ReadFile(text[1:])
		if err != nil {
			return "", fmt.Errorf("error reading file: %w", err)
		}
		return string(content), nil
	case strings.HasPrefix(text, `\@`):
		return text[1:], nil
	}
	return text, nil
}

func (p *kvParser) set(key, value string) {
	switch already := p.data[key].(type) {
	case nil:
		p.data[key] = value
	case []any:
		p.data[key] = append(already, value)
	default:
		p.data[key] = []any{already, value}
	}
}

func (p *kvParser) readStdin() ([]byte, error) {
	if p.stdin == nil {
		return nil, errors.New("stdin is named twice, but can be read once only")
	}
	content, err := io.ReadAll(p.stdin)
	p.stdin = nil
	if err != nil {
		return nil, fmt.Errorf("error reading stdin: %w", err)
	}
	return content, nil
}

func (p *kvParser) addJSON(source string, text []byte) error {
	object, err := decodeObject(text)
	if err != nil {
		return fmt.Errorf("invalid JSON in %s: %w", source, err)
	}
	for key, value := range object {
		p.data[key] = value
	}
	return nil
}

// decodeObject reads one JSON object and nothing behind it. Its errors name the place, never the content:
// what is being written is usually a secret.
func decodeObject(text []byte) (map[string]any, error) {
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.UseNumber()
	var object map[string]any
	if err := decoder.Decode(&object); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, errors.New("it is empty, but must be an object such as {\"key\": \"value\"}")
		}
		return nil, fmt.Errorf("not a JSON object (near byte %d)", decoder.InputOffset())
	}
	if object == nil {
		return nil, errors.New("it is null, but must be an object such as {\"key\": \"value\"}")
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("more text after the object (near byte %d)", decoder.InputOffset())
	}
	return object, nil
}

// data parses the arguments after the first n as the body of a request.
func (c *call) data(n int) (map[string]any, error) {
	data, err := ParseKV(c.Stdin, c.args[n:])
	if err != nil {
		return nil, usagef("Failed to parse K=V data: %w", err)
	}
	return data, nil
}
