package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/hashicorp/hcl/hcl/ast"
	"github.com/hashicorp/hcl/hcl/parser"
	hclquote "github.com/hashicorp/hcl/hcl/strconv"
	"github.com/hashicorp/hcl/hcl/token"
)

// maxSource bounds a configuration file, in bytes: more is a wrong path, not a configuration.
const maxSource = 1 << 20

// position is where something stands in a configuration; lines and columns count from 1.
type position struct {
	file         string
	line, column int
}

func (p position) String() string {
	if p.line == 0 {
		return p.file
	}
	return fmt.Sprintf("%s:%d:%d", p.file, p.line, p.column)
}

// block and field are a configuration whatever it was written in. The label of an HCL block is a block
// in between (listener "tcp" {…} is listener = {tcp = {…}}) and a list of blocks is one field for each, so both languages give one tree.
type block struct {
	at     position
	fields []field
}

// field is one key. Its value is a string (every scalar, as its text), a []string or a *block.
type field struct {
	name  string
	at    position
	value any
}

// errorf is an error that begins with where f stands and what it is called.
func (f field) errorf(format string, args ...any) error {
	return fmt.Errorf("%s: %s: %w", f.at, f.name, fmt.Errorf(format, args...))
}

// add appends a field, a list of blocks as one field each.
func (b *block) add(name string, at position, value any) error {
	list, ok := value.([]any)
	if !ok {
		if value != nil { // JSON's null: as if not written
			b.fields = append(b.fields, field{name, at, value})
		}
		return nil
	}
	texts := []string{}
	for _, element := range list {
		switch element := element.(type) {
		case string:
			texts = append(texts, element)
		case *block:
			b.fields = append(b.fields, field{name, at, element})
		default:
			return field{name: name, at: at}.errorf("a list holds strings or blocks, nothing else")
		}
	}
	if len(texts) == 0 && len(list) > 0 {
		return nil
	}
	if len(texts) != len(list) {
		return field{name: name, at: at}.errorf("a list holds strings or blocks, not both")
	}
	b.fields = append(b.fields, field{name, at, texts})
	return nil
}

// parseSource reads HCL, or JSON where the file's name ends in .json or its text begins with a brace.
func parseSource(file string, text []byte) (*block, error) {
	if len(text) > maxSource {
		return nil, fmt.Errorf("%s: larger than %d bytes: it is not a configuration file", file, maxSource)
	}
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	if strings.HasSuffix(file, ".json") || bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
		return parseJSON(file, text)
	}
	tree, err := parser.ParseDontErrorOnDuplicateKeys(text) // duplicates are found for both languages in decode
	if err != nil {
		at := position{file: file}
		if where := new(parser.PosError); errors.As(err, &where) {
			at.line, at.column, err = where.Pos.Line, where.Pos.Column, where.Err
		}
		return nil, fmt.Errorf("%s: not valid HCL: %w", at, err)
	}
	list, ok := tree.Node.(*ast.ObjectList)
	if !ok {
		return nil, fmt.Errorf("%s: not valid HCL: no settings in it", file)
	}
	return hclBlock(file, position{file: file}, list)
}

func hclBlock(file string, at position, list *ast.ObjectList) (*block, error) {
	b := &block{at: at}
	for _, item := range list.Items {
		value, err := hclItem(file, item)
		if err != nil {
			return nil, err
		}
		for i := len(item.Keys) - 1; i >= 0; i-- {
			key := item.Keys[i].Token
			where := hclPosition(file, key.Pos)
			name, err := hclText(where, key)
			if err != nil {
				return nil, err
			}
			if i == 0 {
				if err := b.add(name, where, value); err != nil {
					return nil, err
				}
				break
			}
			wrapped := &block{at: where}
			if err := wrapped.add(name, where, value); err != nil {
				return nil, err
			}
			value = wrapped
		}
	}
	return b, nil
}

// hclItem is the value of item. The data of a request of initialize keeps its own shape; nothing else has a key of that name.
func hclItem(file string, item *ast.ObjectItem) (any, error) {
	if len(item.Keys) == 1 && strings.Trim(item.Keys[0].Token.Text, `"`) == dataKey {
		value, err := hclTree(file, item.Val)
		return tree{value}, err
	}
	return hclValue(file, item.Val)
}

// dataKey is where a value of any shape stands, see tree.
const dataKey = "data"

// hclTree is node as JSON would have it.
func hclTree(file string, node ast.Node) (any, error) {
	at := hclPosition(file, node.Pos())
	switch node := node.(type) {
	case *ast.LiteralType:
		text, err := hclText(at, node.Token)
		if err != nil {
			return nil, err
		}
		switch node.Token.Type {
		case token.BOOL:
			return text == "true", nil
		case token.NUMBER, token.FLOAT:
			if json.Valid([]byte(text)) { // not so of 0x1F, which stays the text it is
				return json.Number(text), nil
			}
		}
		return text, nil
	case *ast.ListType:
		list := []any{}
		for _, element := range node.List {
			value, err := hclTree(file, element)
			if err != nil {
				return nil, err
			}
			list = append(list, value)
		}
		return list, nil
	case *ast.ObjectType:
		m := map[string]any{}
		for _, item := range node.List.Items {
			value, err := hclTree(file, item.Val)
			if err != nil {
				return nil, err
			}
			if err := plant(file, m, item.Keys, value); err != nil {
				return nil, err
			}
		}
		return m, nil
	}
	return nil, fmt.Errorf("%s: not a value", at)
}

// plant puts value into m below keys, a block's labels being keys of maps in between.
func plant(file string, m map[string]any, keys []*ast.ObjectKey, value any) error {
	where := hclPosition(file, keys[0].Token.Pos)
	name, err := hclText(where, keys[0].Token)
	if err != nil {
		return err
	}
	old, twice := m[name]
	if len(keys) == 1 {
		if twice {
			return field{name: name, at: where}.errorf("set twice: keep one of them")
		}
		m[name] = value
		return nil
	}
	inner, ok := old.(map[string]any)
	if twice && !ok {
		return field{name: name, at: where}.errorf("set twice: keep one of them")
	}
	if !twice {
		inner = map[string]any{}
		m[name] = inner
	}
	return plant(file, inner, keys[1:], value)
}

func hclPosition(file string, p token.Pos) position { return position{file, p.Line, p.Column} }

func hclValue(file string, node ast.Node) (any, error) {
	at := hclPosition(file, node.Pos())
	switch node := node.(type) {
	case *ast.LiteralType:
		return hclText(at, node.Token)
	case *ast.ObjectType:
		return hclBlock(file, at, node.List)
	case *ast.ListType:
		list := []any{}
		for _, element := range node.List {
			value, err := hclValue(file, element)
			if err != nil {
				return nil, err
			}
			list = append(list, value)
		}
		return list, nil
	}
	return nil, fmt.Errorf("%s: not a value", at)
}

// hclText is the text of a literal. token.Value does the same but panics on what its scanner lets through.
func hclText(at position, t token.Token) (string, error) {
	switch t.Type {
	case token.STRING:
		text, err := hclquote.Unquote(t.Text)
		if err != nil {
			return "", fmt.Errorf("%s: the quotes or escapes of this string are wrong", at)
		}
		return text, nil
	case token.HEREDOC:
		return heredoc(t.Text), nil
	case token.IDENT, token.BOOL, token.NUMBER, token.FLOAT:
		return t.Text, nil
	}
	return "", fmt.Errorf("%s: not a value", at)
}

// heredoc is the text between the marker's line and the closing marker; <<- takes the closing line's indentation off each line.
func heredoc(text string) string {
	marker, body, _ := strings.Cut(text, "\n")
	end := strings.LastIndex(strings.TrimRight(body, "\n"), "\n") + 1
	body, closing := body[:end], body[end:]
	if !strings.HasPrefix(marker, "<<-") {
		return body
	}
	indent := closing[:len(closing)-len(strings.TrimLeft(closing, " \t"))]
	lines := strings.SplitAfter(body, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimPrefix(line, indent)
	}
	return strings.Join(lines, "")
}

// jsonSource reads JSON token by token: the positions are why it is not one Unmarshal.
type jsonSource struct {
	file    string
	text    []byte
	decoder *json.Decoder
}

func parseJSON(file string, text []byte) (*block, error) {
	if err := json.Unmarshal(text, new(any)); err != nil { // the whole is checked, depth included, before any of it is walked
		s := jsonSource{file: file, text: text}
		if syntax := new(json.SyntaxError); errors.As(err, &syntax) {
			return nil, fmt.Errorf("%s: not valid JSON: %w", s.position(syntax.Offset), err)
		}
		return nil, fmt.Errorf("%s: not valid JSON: %w", file, err)
	}
	s := jsonSource{file, text, json.NewDecoder(bytes.NewReader(text))}
	s.decoder.UseNumber()
	value, err := s.value()
	if err != nil {
		return nil, err
	}
	b, ok := value.(*block)
	if !ok {
		return nil, fmt.Errorf("%s: the configuration must be one JSON object", file)
	}
	return b, nil
}

// position turns an offset into a line and column.
func (s *jsonSource) position(offset int64) position {
	before := s.text[:min(max(offset, 0), int64(len(s.text)))]
	return position{s.file, 1 + bytes.Count(before, []byte("\n")), len(before) - bytes.LastIndexByte(before, '\n')}
}

// next is the position of the token that follows: past blanks, commas and colons.
func (s *jsonSource) next() position {
	offset := s.decoder.InputOffset()
	rest := s.text[offset:]
	return s.position(offset + int64(len(rest)-len(bytes.TrimLeft(rest, " \t\r\n,:"))))
}

func (s *jsonSource) value() (any, error) {
	at := s.next()
	t, err := s.decoder.Token()
	if err != nil {
		return nil, fmt.Errorf("%s: not valid JSON: %w", at, errors.Join(err, io.ErrUnexpectedEOF))
	}
	switch t := t.(type) {
	case json.Delim:
		if t == '[' {
			return s.list()
		}
		return s.object(at)
	case nil:
		return nil, nil
	default:
		return fmt.Sprint(t), nil // string, json.Number, bool
	}
}

// named is the value of the key name, see hclItem.
func (s *jsonSource) named(name json.Token) (any, error) {
	if name != dataKey {
		return s.value()
	}
	at := s.next()
	var t tree
	if err := s.decoder.Decode(&t.value); err != nil {
		return nil, fmt.Errorf("%s: not valid JSON: %w", at, err)
	}
	return t, nil
}

func (s *jsonSource) list() (any, error) {
	list := []any{}
	for s.decoder.More() {
		value, err := s.value()
		if err != nil {
			return nil, err
		}
		list = append(list, value)
	}
	_, err := s.decoder.Token()
	return list, err
}

func (s *jsonSource) object(at position) (any, error) {
	b := &block{at: at}
	for s.decoder.More() {
		where := s.next()
		name, err := s.decoder.Token()
		if err != nil {
			return nil, err
		}
		value, err := s.named(name)
		if err != nil {
			return nil, err
		}
		if err := b.add(fmt.Sprint(name), where, value); err != nil {
			return nil, err
		}
	}
	_, err := s.decoder.Token()
	return b, err
}
