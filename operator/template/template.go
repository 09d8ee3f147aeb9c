// Package template renders the keys of a Secret from Go templates over a source's data. Templates come from people
// who may edit a namespace but not the operator, so a template can reach its data and nothing else: no file, network
// or environment; and its time, memory and output are bounded. It never puts a value of the source into an error.
package template

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	texttemplate "text/template"
	"text/template/parse"
	"time"
)

const (
	maxOutput = 1 << 20         // bytes of all rendered keys: what a Secret may hold
	maxSource = 256 << 10       // bytes of all templates
	maxTurns  = 10_000          // turns of all loops
	maxTime   = 2 * time.Second // of one Render, looked at before each action, call of a function and turn of a loop
	maxMade   = 8 << 20         // bytes of all lists and maps that the templates make
	maxCalls  = 2000            // of other templates; one that calls itself in a loop takes their square to unwind
	tickName  = "__turn"        // the call that every loop body starts with
	callName  = "__call"        // the call that every template starts with
	stepName  = "__step"        // the call that every action starts with
)

// Error says which template fails, and why.
type Error struct {
	Key  string // of the Secret
	Line int    // in the template, from 1
	Text string
	// Missing is the key that the source lacks, if that is what is wrong.
	Missing string
}

// Error names the key and the line.
func (e *Error) Error() string {
	return fmt.Sprintf("template of key %q, line %d: %s", e.Key, e.Line, e.Text)
}

// Set is templates that are rendered together.
type Set struct {
	Keys    map[string]string // of the target → its template
	Sources map[string]string // name → text with {{ define }}s, which the templates may call; they make no keys
}

// Render executes each template over secrets, which it sees as {{ .KEY }} and {{ .Secrets.KEY }}, and returns the
// results under the same keys. Every error is an *Error. If all that is wrong is keys that the source lacks, it tells
// the first and returns the results of the other templates too.
func Render(templates map[string]string, secrets map[string]any) (map[string][]byte, error) {
	data := Printable(secrets)
	data["Secrets"] = maps.Clone(data)
	return Set{Keys: templates}.Render(data, secrets)
}

// Printable is a copy of secrets in which null is the empty text; text/template would print <no value>.
func Printable(secrets map[string]any) map[string]any {
	data := make(map[string]any, len(secrets)+4)
	for key, value := range secrets {
		if value == nil {
			value = ""
		}
		data[key] = value
	}
	return data
}

// Render executes the templates over input. Values of secrets, which input holds in some form, never stand in an error.
// Errors and results are as the function Render's.
func (s Set) Render(input, secrets map[string]any) (map[string][]byte, error) {
	budget := &budget{deadline: time.Now().Add(maxTime)}
	rendered := make(map[string][]byte, len(s.Keys))
	size := 0
	base := texttemplate.New("").Option("missingkey=error").Funcs(functions(budget))
	for _, name := range slices.Sorted(maps.Keys(s.Sources)) {
		if size += len(s.Sources[name]); size > maxSource {
			return nil, &Error{Key: name, Line: 1, Text: tooMuch}
		}
		if _, err := base.New(name).Parse(s.Sources[name]); err != nil {
			return nil, explain(name, err, secrets)
		}
	}
	var lacking error
	for _, key := range slices.Sorted(maps.Keys(s.Keys)) {
		if size += len(s.Keys[key]); size > maxSource {
			return nil, &Error{Key: key, Line: 1, Text: tooMuch}
		}
		out, err := render(base, key, s.Keys[key], input, budget)
		if err != nil {
			problem := explain(key, err, secrets)
			if problem.Missing == "" {
				return nil, problem
			}
			if lacking == nil {
				lacking = problem
			}
			continue
		}
		rendered[key] = out
	}
	return rendered, lacking
}

var tooMuch = fmt.Sprintf("the templates are longer than %d KiB", maxSource>>10)

func render(base *texttemplate.Template, key, text string, data map[string]any, budget *budget) ([]byte, error) {
	set, err := base.Clone()
	if err != nil {
		return nil, err
	}
	parsed, err := set.New(key).Parse(text)
	if err != nil {
		return nil, err
	}
	if parsed.Tree == nil { // nothing in it
		return []byte{}, nil
	}
	for _, each := range parsed.Templates() {
		if each.Tree == nil {
			continue
		}
		// Clones share their trees' nodes, which guard changes.
		each.Tree = each.Tree.Copy()
		guard(each.Root, callNode(tickName), callNode(stepName))
		each.Root.Nodes = append([]parse.Node{callNode(callName)}, each.Root.Nodes...) // a template may call itself
	}
	out := &output{budget: budget, bytes: []byte{}}
	if err := parsed.Execute(out, data); err != nil {
		return nil, err
	}
	return out.bytes, nil
}

// guard makes every loop count its turns, and every action look at the time: one without a loop may be long, and templates
// that call each other may run it thousands of times.
func guard(list *parse.ListNode, tick, step parse.Node) {
	if list == nil {
		return
	}
	guarded := make([]parse.Node, 0, 2*len(list.Nodes))
	for _, node := range list.Nodes {
		switch n := node.(type) {
		case *parse.RangeNode:
			guard(n.List, tick, step)
			guard(n.ElseList, tick, step)
			n.List.Nodes = append([]parse.Node{tick}, n.List.Nodes...)
		case *parse.IfNode:
			guard(n.List, tick, step)
			guard(n.ElseList, tick, step)
		case *parse.WithNode:
			guard(n.List, tick, step)
			guard(n.ElseList, tick, step)
		}
		if node.Type() != parse.NodeText {
			guarded = append(guarded, step)
		}
		guarded = append(guarded, node)
	}
	list.Nodes = guarded
}

// callNode is a call of one of the functions that count.
func callNode(name string) parse.Node {
	trees, err := parse.Parse("count", "{{"+name+"}}", "", "", map[string]any{name: func() {}})
	if err != nil {
		panic(err) // the text is a constant
	}
	return trees["count"].Root.Nodes[0]
}

// budget is what one Render may use.
type budget struct {
	deadline time.Time
	turns    int
	calls    int
	written  int
	made     int
}

// step fails when the time is up.
func (b *budget) step() (string, error) {
	if time.Now().After(b.deadline) {
		return "", fmt.Errorf("takes longer than %s", maxTime)
	}
	return "", nil
}

func (b *budget) turn() (string, error) {
	if b.turns++; b.turns > maxTurns {
		return "", fmt.Errorf("loops take more than %d turns", maxTurns)
	}
	return b.step()
}

func (b *budget) call() (string, error) {
	if b.calls++; b.calls > maxCalls {
		return "", fmt.Errorf("templates call templates more than %d times", maxCalls)
	}
	return b.step()
}

// output collects what a template writes, up to the budget.
type output struct {
	budget *budget
	bytes  []byte
}

func (o *output) Write(p []byte) (int, error) {
	if o.budget.written += len(p); o.budget.written > maxOutput {
		return 0, errTooLong
	}
	o.bytes = append(o.bytes, p...)
	return len(p), nil
}

var errTooLong = fmt.Errorf("the result is longer than %d KiB, the limit of a Secret", maxOutput>>10)

var (
	position = regexp.MustCompile(`^template: [^:]*:(\d+)(?::\d+)?: `)
	context  = regexp.MustCompile(`^executing "[^"]*" at <(.*?)>: `)
	counter  = regexp.MustCompile(`^error calling __[a-z]+: `)
	missing  = regexp.MustCompile(`map has no entry for key "(.*)"`)
	// text/template quotes the value in these.
	quoted = regexp.MustCompile(`(range can't iterate over|if/with can't use) (?s:.*)`)
)

// explain turns text/template's error into ours, without any value of the source.
func explain(key string, err error, secrets map[string]any) *Error {
	problem := &Error{Key: key, Line: 1}
	text := err.Error()
	if match := position.FindStringSubmatch(text); match != nil {
		problem.Line, _ = strconv.Atoi(match[1])
		text = text[len(match[0]):]
	}
	where := ""
	if match := context.FindStringSubmatch(text); match != nil {
		where, text = match[1], text[len(match[0]):]
	}
	switch {
	case errors.Is(err, errTooLong):
		problem.Text = errTooLong.Error()
		return problem
	case missing.MatchString(text):
		name := missing.FindStringSubmatch(text)[1]
		names := slices.Sorted(maps.Keys(secrets))
		problem.Missing = name
		problem.Text = fmt.Sprintf("the source has no key %q; it has %s", name, list(names))
		return problem
	}
	text = quoted.ReplaceAllString(text, "$1 this value")
	for _, value := range leaves(secrets) {
		text = strings.ReplaceAll(text, value, "[redacted]")
	}
	text = counter.ReplaceAllString(text, "")
	if where != "" && !strings.HasPrefix(where, "__") {
		text = where + ": " + text
	}
	problem.Text = text
	return problem
}

// list names at most ten keys.
func list(names []string) string {
	switch {
	case len(names) == 0:
		return "none"
	case len(names) > 10:
		return strings.Join(names[:10], ", ") + fmt.Sprintf(" and %d more", len(names)-10)
	}
	return strings.Join(names, ", ")
}

// leaves lists the texts in value that are long enough to be worth hiding.
func leaves(value any) []string {
	var found []string
	switch v := value.(type) {
	case map[string]any:
		for _, element := range v {
			found = append(found, leaves(element)...)
		}
	case []any:
		for _, element := range v {
			found = append(found, leaves(element)...)
		}
	default:
		if text := textOf(v); len(text) >= 4 {
			found = append(found, text)
		}
	}
	return found
}

// Check parses the templates, without executing them. Every error is an *Error.
func (s Set) Check() error {
	base := texttemplate.New("").Funcs(functions(&budget{}))
	for _, all := range []map[string]string{s.Sources, s.Keys} {
		for _, name := range slices.Sorted(maps.Keys(all)) {
			if _, err := base.New(name).Parse(all[name]); err != nil {
				return explain(name, err, nil)
			}
		}
	}
	return nil
}
