package events

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/go-bexpr"
	"github.com/hashicorp/go-bexpr/grammar"
	"github.com/ryanuber/go-glob"
)

// The limits of what a subscriber may ask.
const (
	maxFilter     = 4096 // bytes
	maxNamespaces = 64
	// maxSteps bounds the work of reading a filter, which tries alternatives.
	maxSteps = 200_000
)

// Selection is which events a subscriber asks for.
type Selection struct {
	types      string   // pattern
	namespaces []string // patterns, without outer slashes
	filter     *bexpr.Evaluator
}

// subject is an event as filters see it.
type subject struct {
	EventType           string `bexpr:"event_type"`
	Operation           string `bexpr:"operation"`
	SourcePluginMount   string `bexpr:"source_plugin_mount"`
	DataPath            string `bexpr:"data_path"`
	Namespace           string `bexpr:"namespace"`
	SourcePluginIsLocal bool   `bexpr:"source_plugin_is_local"`
}

// selectors are the names in a filter.
var selectors = [...]string{"event_type", "operation", "source_plugin_mount", "data_path", "namespace", "source_plugin_is_local"}

// Select reads what a subscriber in namespace (a path) asks for: the types of
// events, a pattern in which "*" stands for any text; in which namespaces below
// its own, besides that, patterns too; and a filter, "" for none. The error says
// what is wrong.
func Select(types, namespace string, below []string, filter string) (*Selection, error) {
	s := &Selection{types: types, namespaces: []string{strings.Trim(namespace, "/")}}
	if types == "" {
		return nil, fmt.Errorf("the event type is empty: name one, such as kv-v2/data-write, or * for all")
	}
	if len(below) > maxNamespaces {
		return nil, fmt.Errorf("there are %d namespaces, at most %d are allowed: use patterns", len(below), maxNamespaces)
	}
	for _, pattern := range below {
		s.namespaces = append(s.namespaces, strings.Trim(s.namespaces[0]+"/"+strings.Trim(pattern, "/"), "/"))
	}
	if strings.TrimSpace(filter) == "" {
		return s, nil
	}
	if len(filter) > maxFilter {
		return nil, fmt.Errorf("the filter is %d bytes long, at most %d are allowed", len(filter), maxFilter)
	}
	if err := checkFilter(filter); err != nil {
		return nil, err
	}
	var err error
	if s.filter, err = bexpr.CreateEvaluator(filter, bexpr.WithMaxExpressions(maxSteps)); err != nil {
		return nil, fmt.Errorf("the filter cannot be read: %w", err)
	}
	return s, nil
}

// checkFilter finds now what would fail with every event, and so hide them all:
// a name that no event has, an operator that its value does not take.
func checkFilter(filter string) error {
	tree, err := grammar.Parse("", []byte(filter), grammar.MaxExpressions(maxSteps))
	if err != nil {
		return fmt.Errorf("the filter cannot be read: %w", err)
	}
	return check(tree)
}

func check(node any) error {
	switch n := node.(type) {
	case *grammar.UnaryExpression:
		return check(n.Operand)
	case *grammar.BinaryExpression:
		if err := check(n.Left); err != nil {
			return err
		}
		return check(n.Right)
	case *grammar.MatchExpression:
		return checkMatch(n)
	}
	return fmt.Errorf("the filter uses what lists need (any, all), and events have no lists")
}

func checkMatch(n *grammar.MatchExpression) error {
	name := n.Selector.String()
	if p := n.Selector.Path; len(p) != 1 || !slices.Contains(selectors[:], p[0]) {
		return fmt.Errorf("the filter names %q, which events do not have: they have %s", name, strings.Join(selectors[:], ", "))
	}
	switch op := n.Operator; {
	case n.Selector.Path[0] == "source_plugin_is_local":
		if op != grammar.MatchEqual && op != grammar.MatchNotEqual {
			return fmt.Errorf("the filter may only compare %s with true or false, by == or !=", name)
		}
		if _, err := strconv.ParseBool(n.Value.Raw); err != nil {
			return fmt.Errorf("the filter compares %s, which is true or false, with %q", name, n.Value.Raw)
		}
	case op == grammar.MatchIsNil || op == grammar.MatchIsNotNil:
		return fmt.Errorf("the filter asks whether %s is nil, but a text can only be empty", name)
	case op == grammar.MatchMatches || op == grammar.MatchNotMatches:
		if _, err := regexp.Compile(n.Value.Raw); err != nil {
			return fmt.Errorf("the filter's pattern for %s cannot be read: %w", name, err)
		}
	}
	return nil
}

// Wants says whether e is among what was asked for.
func (s *Selection) Wants(e *Event) bool {
	if !glob.Glob(s.types, e.Type) {
		return false
	}
	namespace := strings.Trim(e.Namespace, "/")
	if !slices.ContainsFunc(s.namespaces, func(pattern string) bool { return glob.Glob(pattern, namespace) }) {
		return false
	}
	if s.filter == nil {
		return true
	}
	ok, err := s.filter.Evaluate(subject{e.Type, e.Operation(), e.Mount.Path, e.path(e.DataPath), e.Namespace, e.Local})
	return ok && err == nil // Select has refused what could fail
}
