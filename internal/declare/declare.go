// Package declare owns what the configuration declares of a new cluster: API
// requests that the first active node makes by itself, in their order, once a
// cluster (ADR 20). It decides nothing about a request: the gateway admits,
// records and commits each as it does a client's.
package declare

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"strongroom/engine"
)

// Plan is the declared requests in their order. nil: none.
type Plan struct{ requests []*Request }

// Request is one of them, as OpenBao documents it
// (openbao.org/docs/configuration/self-init).
type Request struct {
	Stanza, Name string // of its initialize and request blocks
	At           string // where it stands, FILE:LINE:COLUMN
	// Operation, Path, Token, Data and AllowFailure are values: plain ones, or maps
	// with eval_source. Token nil: the server asks itself, and may do everything.
	Operation, Path, Token, Data, AllowFailure any

	keep bool // a later request asks what became of this one
}

// key names a request in the stored progress.
func (r *Request) key() string { return r.Stanza + "/" + r.Name }

func (r *Request) errorf(format string, args ...any) error {
	return fmt.Errorf("%s: initialize %q, request %q: %w", r.At, r.Stanza, r.Name, fmt.Errorf(format, args...))
}

var blockName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)

// Add appends r after checking all that can be known before the server runs.
func (p *Plan) Add(r Request) error {
	for _, name := range []string{r.Stanza, r.Name} {
		if !blockName.MatchString(name) {
			return r.errorf("a name is made of letters, digits, _ and -, and begins with a letter or _")
		}
	}
	if p.find(r.Stanza, r.Name) != nil {
		return r.errorf("two requests have this name: rename one")
	}
	if r.Operation == nil || r.Path == nil {
		return r.errorf("operation and path are needed, such as operation = \"update\" and path = \"sys/mounts/secret\"")
	}
	if text, ok := r.Operation.(string); ok {
		if _, err := operation(text); err != nil {
			return r.errorf("%w", err)
		}
	}
	if text, ok := r.Path.(string); ok {
		if _, err := cleanPath(text); err != nil {
			return r.errorf("%w", err)
		}
	}
	if _, ok := r.Data.(map[string]any); r.Data != nil && !ok {
		return r.errorf("data is a map of parameters: data = { … }")
	}
	for _, value := range []any{r.Operation, r.Path, r.Token, r.Data, r.AllowFailure} {
		if err := p.check(value); err != nil {
			return r.errorf("%w", err)
		}
	}
	p.requests = append(p.requests, &r)
	return nil
}

func (p *Plan) find(stanza, name string) *Request {
	for _, r := range p.requests {
		if r.Stanza == stanza && r.Name == name {
			return r
		}
	}
	return nil
}

// check walks a value, and marks the requests whose outcome it asks for.
func (p *Plan) check(value any) error {
	switch value := value.(type) {
	case []any:
		for _, element := range value {
			if err := p.check(element); err != nil {
				return err
			}
		}
	case map[string]any:
		if !isSource(value) {
			for _, element := range value {
				if err := p.check(element); err != nil {
					return err
				}
			}
			return nil
		}
		s, err := parseSource(value)
		if err != nil {
			return err
		}
		if s.kind != "request" && s.kind != "response" {
			return nil
		}
		earlier := p.find(s.stanza, s.request)
		if earlier == nil {
			return fmt.Errorf("eval_source = %q asks for initialize %q, request %q: no such request stands before this one", s.kind, s.stanza, s.request)
		}
		earlier.keep = true
	}
	return nil
}

// Empty says whether nothing is declared.
func (p *Plan) Empty() bool { return p == nil || len(p.requests) == 0 }

// Len is the number of requests.
func (p *Plan) Len() int {
	if p == nil {
		return 0
	}
	return len(p.requests)
}

// hash tells one text of a plan from another.
func (p *Plan) hash() string {
	h := sha256.New()
	e := json.NewEncoder(h)
	for _, r := range p.requests {
		_ = e.Encode([]any{r.Stanza, r.Name, r.Operation, r.Path, r.Token, r.Data, r.AllowFailure}) // what a configuration holds always encodes
	}
	return hex.EncodeToString(h.Sum(nil))
}

func operation(text string) (engine.Operation, error) {
	switch op := engine.Operation(strings.ToLower(text)); op {
	case engine.Create: // the gateway tells it from an update
		return engine.Update, nil
	case engine.Read, engine.Update, engine.Delete, engine.List, engine.Patch, engine.Scan:
		return op, nil
	}
	return "", errors.New("operation must be create, read, update, delete, list, patch or scan")
}

// cleanPath is path as the router has it: below /v1/, of segments that are not
// empty, "." or "..", so that there is one spelling of each.
func cleanPath(path string) (string, error) {
	path = strings.TrimPrefix(strings.TrimPrefix(path, "/"), "v1/")
	for _, segment := range strings.Split(strings.TrimSuffix(path, "/"), "/") {
		if segment == "" || segment == "." || segment == ".." {
			return "", errors.New("path must be that of an API request, such as sys/mounts/secret, without empty parts, \".\" and \"..\"")
		}
	}
	return path, nil
}
