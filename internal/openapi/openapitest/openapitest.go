// Package openapitest holds what a server answers against its OpenAPI document, for tests.
package openapitest

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"strongroom/internal/schema"
)

// Document is a parsed OpenAPI document. Safe for concurrent use.
type Document struct {
	paths []path
	book  *schema.Book
}

type path struct {
	segments []string
	item     map[string]json.RawMessage
}

// Parse reads a document.
func Parse(document []byte) (*Document, error) {
	var in struct {
		Paths      map[string]map[string]json.RawMessage
		Components struct {
			Schemas map[string]schema.Object
		}
	}
	if err := json.Unmarshal(document, &in); err != nil {
		return nil, err
	}
	d := &Document{book: schema.NewBook()}
	d.book.Schemas = in.Components.Schemas
	for p, item := range in.Paths {
		d.paths = append(d.paths, path{strings.Split(strings.Trim(p, "/"), "/"), item})
	}
	slices.SortFunc(d.paths, func(a, b path) int { return strings.Compare(rank(a), rank(b)) })
	return d, nil
}

// rank puts literal segments first, what ends there before what goes on, and of two parameters the one with more behind it.
func rank(p path) string {
	var b strings.Builder
	for _, s := range p.segments {
		if strings.HasPrefix(s, "{") {
			b.WriteByte('1')
		} else {
			b.WriteString("0" + s)
		}
		b.WriteByte(0)
	}
	if strings.HasPrefix(p.segments[len(p.segments)-1], "{") {
		b.WriteByte('2')
	}
	return b.String()
}

// matches says whether p is the pattern of what is asked, which its last parameter may take the rest of, or of nothing: a list at the root.
func (p path) matches(asked []string) bool {
	for i, s := range p.segments {
		if i >= len(asked) {
			return i > 0 && i == len(p.segments)-1 && strings.HasPrefix(s, "{")
		}
		if strings.HasPrefix(s, "{") {
			if i == len(p.segments)-1 {
				return true
			}
			continue
		}
		if s != asked[i] {
			return false
		}
	}
	return len(asked) == len(p.segments)
}

// Check says how an answer is not what the document says of it. What the document does not know, or says nothing of, may be answered
// with anything, as may what failed. The path is below /v1/; answers that are wrapped are not looked at.
func (d *Document) Check(method, asked string, status int, header http.Header, body []byte) error {
	_, err := d.Checked(method, asked, status, header, body)
	return err
}

// Checked is Check, and whether there was something to hold the answer against.
func (d *Document) Checked(method, asked string, status int, header http.Header, body []byte) (bool, error) {
	if status < 200 || status > 299 {
		return false, nil
	}
	asked, query, _ := strings.Cut(asked, "?")
	if strings.Contains(query, "help=") || strings.Contains(query, "code=") {
		return false, nil // what a path is for, or health with a status of the client's choice
	}
	segments := strings.Split(strings.Trim(asked, "/"), "/")
	i := slices.IndexFunc(d.paths, func(p path) bool { return p.matches(segments) })
	verb := map[string]string{"GET": "get", "LIST": "get", "SCAN": "get", "POST": "post", "PUT": "post", "PATCH": "patch", "DELETE": "delete"}[method]
	if i < 0 || d.paths[i].item[verb] == nil {
		return false, nil
	}
	var op struct {
		Responses map[string]struct {
			Content map[string]struct{ Schema schema.Object }
		}
	}
	if err := json.Unmarshal(d.paths[i].item[verb], &op); err != nil {
		return false, err
	}
	fail := func(err error) (bool, error) {
		return true, fmt.Errorf("%s %s is not answered as the OpenAPI document says of /%s: %w: %.300s", method, asked, strings.Join(d.paths[i].segments, "/"), err, body)
	}
	var envelope struct {
		Data     json.RawMessage `json:"data"`
		WrapInfo json.RawMessage `json:"wrap_info"`
		Warnings json.RawMessage `json:"warnings"`
	}
	media, _, _ := mime.ParseMediaType(header.Get("Content-Type"))
	if media == "application/json" && json.Unmarshal(body, &envelope) == nil && len(envelope.WrapInfo) > 4 {
		return false, nil // not null: wrapped
	}
	said, ok := op.Responses[strconv.Itoa(status)]
	warned := string(envelope.Data) == "null" && len(envelope.Warnings) > 4
	if len(op.Responses) == 0 {
		return false, nil
	}
	switch _, nothing := op.Responses["204"]; {
	case nothing && warned || len(said.Content) == 0 && (ok || status == 202):
		return false, nil // there would be nothing to say but for the warning; or it is not described
	case !ok:
		return fail(fmt.Errorf("its status %d is not there", status))
	}
	content, ok := said.Content[media]
	if _, any := said.Content["*/*"]; any {
		return true, nil
	}
	switch {
	case !ok:
		return fail(fmt.Errorf("its media type %q is not there", media))
	case media != "application/json":
		return true, nil
	}
	if err := d.book.Check(content.Schema, body); err != nil {
		return fail(err)
	}
	return true, nil
}
