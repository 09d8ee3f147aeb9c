package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/hcl/ast"
	"github.com/hashicorp/hcl/hcl/parser"
	"github.com/hashicorp/hcl/hcl/scanner"
	"github.com/hashicorp/hcl/hcl/token"
)

// The limits of a policy's text. The HCL parser recurses and a stack overflow
// cannot be recovered from, so the depth is checked before it runs.
const (
	maxText  = 1 << 20 // bytes
	maxDepth = 32      // braces and brackets within each other
)

// node is a value of HCL or JSON with the line it stands on, so that one
// decoder serves both. Exactly one of scalar, list and items counts, by kind.
type node struct {
	line   int
	kind   kind
	scalar any // nil, bool, string or json.Number
	list   []node
	items  []item
}

type kind int

const (
	scalarKind kind = iota
	listKind
	objectKind
)

// item is one entry of an object; a key may stand in it more than once.
type item struct {
	key  string
	line int
	val  node
}

// lineError is an error at a line of the policy's text.
type lineError struct {
	line int
	text string
}

func (e *lineError) Error() string {
	if e.line == 0 {
		return e.text
	}
	return fmt.Sprintf("line %d: %s", e.line, e.text)
}

func errAt(line int, format string, args ...any) error {
	return &lineError{line, fmt.Sprintf(format, args...)}
}

// read turns the text into a tree: JSON if it begins with a brace, else HCL.
func read(text string) (node, error) {
	if len(text) > maxText {
		return node{}, fmt.Errorf("the policy is %d bytes long and the limit is %d; split it into several policies", len(text), maxText)
	}
	if strings.HasPrefix(strings.TrimSpace(text), "{") {
		return readJSON(text)
	}
	return readHCL(text)
}

func tooDeep(line int) error {
	return errAt(line, "braces and brackets are nested over %d deep; a policy needs only path \"…\" { … } with lists in it", maxDepth)
}

func readHCL(text string) (n node, err error) {
	// The parser panics at some literals it has not checked, such as a number
	// out of range.
	defer func() {
		if p := recover(); p != nil {
			n, err = node{}, fmt.Errorf("a literal that HCL cannot read: %v", p)
		}
	}()
	if err := checkDepth(text); err != nil {
		return node{}, err
	}
	file, err := parser.Parse([]byte(text))
	if pe, ok := errors.AsType[*parser.PosError](err); ok {
		return node{}, errAt(pe.Pos.Line, "%v", pe.Err)
	}
	if err != nil {
		return node{}, err
	}
	return fromHCL(file.Node)
}

func checkDepth(text string) error {
	s := scanner.New([]byte(text))
	s.Error = func(token.Pos, string) {} // the parser says it better
	depth := 0
	for {
		tok := s.Scan()
		switch tok.Type {
		case token.EOF:
			return nil
		case token.LBRACE, token.LBRACK:
			if depth++; depth > maxDepth {
				return tooDeep(tok.Pos.Line)
			}
		case token.RBRACE, token.RBRACK:
			depth--
		}
	}
}

func fromHCL(n ast.Node) (node, error) {
	line := n.Pos().Line
	switch n := n.(type) {
	case *ast.LiteralType:
		switch v := n.Token.Value().(type) {
		case int64:
			return node{line: line, scalar: json.Number(strconv.FormatInt(v, 10))}, nil
		case float64:
			return node{line: line, scalar: json.Number(strconv.FormatFloat(v, 'g', -1, 64))}, nil
		default:
			return node{line: line, scalar: v}, nil
		}
	case *ast.ListType:
		out := node{line: line, kind: listKind}
		for _, e := range n.List {
			v, err := fromHCL(e)
			if err != nil {
				return node{}, err
			}
			out.list = append(out.list, v)
		}
		return out, nil
	case *ast.ObjectType:
		out, err := fromHCL(n.List)
		out.line = line
		return out, err
	case *ast.ObjectList:
		out := node{line: line, kind: objectKind}
		for _, it := range n.Items {
			v, err := fromHCL(it.Val)
			if err != nil {
				return node{}, err
			}
			if len(it.Keys) > maxDepth {
				return node{}, tooDeep(it.Pos().Line)
			}
			// path "x" { … } has two keys: an object within an object.
			for i := len(it.Keys) - 1; i >= 0; i-- {
				tok := it.Keys[i].Token
				entry := item{key: fmt.Sprint(tok.Value()), line: tok.Pos.Line, val: v}
				if i == 0 {
					out.items = append(out.items, entry)
				} else {
					v = node{line: tok.Pos.Line, kind: objectKind, items: []item{entry}}
				}
			}
		}
		return out, nil
	}
	return node{}, errAt(line, "something that is neither a literal, a list nor an object")
}

type jsonReader struct {
	text   string
	dec    *json.Decoder
	line   int
	offset int64 // up to which lines are counted
}

func readJSON(text string) (node, error) {
	r := &jsonReader{text: text, dec: json.NewDecoder(bytes.NewReader([]byte(text))), line: 1}
	r.dec.UseNumber()
	n, err := r.value(0)
	if err != nil {
		return node{}, err
	}
	if _, err := r.dec.Token(); !errors.Is(err, io.EOF) {
		return node{}, errAt(r.at(), "text follows the end of the JSON object")
	}
	return n, nil
}

// at is the line of the token read last.
func (r *jsonReader) at() int {
	if to := r.dec.InputOffset(); to > r.offset {
		r.line += strings.Count(r.text[r.offset:to], "\n")
		r.offset = to
	}
	return r.line
}

func (r *jsonReader) value(depth int) (node, error) {
	tok, err := r.dec.Token()
	if se, ok := errors.AsType[*json.SyntaxError](err); ok {
		return node{}, errAt(r.at(), "not valid JSON: %v", se)
	}
	if err != nil {
		return node{}, errAt(r.at(), "the JSON ends too early")
	}
	n := node{line: r.at()}
	if depth > maxDepth {
		return node{}, tooDeep(n.line)
	}
	switch tok {
	case json.Delim('['):
		n.kind = listKind
		for r.dec.More() {
			v, err := r.value(depth + 1)
			if err != nil {
				return node{}, err
			}
			n.list = append(n.list, v)
		}
	case json.Delim('{'):
		n.kind = objectKind
		for r.dec.More() {
			key, err := r.value(depth + 1)
			if err != nil {
				return node{}, err
			}
			v, err := r.value(depth + 1)
			if err != nil {
				return node{}, err
			}
			name, _ := key.scalar.(string)
			n.items = append(n.items, item{key: name, line: key.line, val: v})
		}
	default:
		n.scalar = tok
		return n, nil
	}
	if _, err := r.dec.Token(); err != nil {
		return node{}, errAt(r.at(), "not valid JSON: a bracket is not closed")
	}
	return n, nil
}
