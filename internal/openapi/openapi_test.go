package openapi_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"strongroom/engine"
	"strongroom/internal/openapi"
	"strongroom/internal/openapi/openapitest"
)

type item struct {
	Name string `json:"name"`
	Size *int64 `json:"size"`
}

func handler(context.Context, *engine.Request) (*engine.Response, error) { return nil, nil }

// document describes a mount of an engine that answers in every way.
func document(t *testing.T) []byte {
	t.Helper()
	doc := openapi.New("1.0")
	for _, r := range []engine.Route{
		{Path: "items", List: handler, Answers: engine.Answers{engine.List: engine.Named[item]{}}},
		{Path: "items/{name}", Fields: []engine.Field{{Name: "name"}, {Name: "size", Type: engine.Int}}, Read: handler, Write: handler, Patch: handler, Delete: handler,
			Answers: engine.Answers{engine.Read: item{}, engine.Update: engine.Maybe{Data: item{}}, engine.Patch: engine.TopLevel{Data: item{}}, engine.Delete: engine.Nothing{}}},
		{Path: "items/{name}/copy", Write: handler, Answers: engine.Answers{engine.Update: engine.Either{item{}, engine.Keys{}}}},
		{Path: "all", Read: handler, Answers: engine.Answers{engine.Read: engine.TopLevel{Data: map[string]item{}}}},
		{Path: "deep/{path...}", Read: handler, List: handler, Answers: engine.Answers{engine.Read: item{}, engine.List: engine.Keys{}}},
		{Path: "bare", Read: handler, Answers: engine.Answers{engine.Read: engine.Bare{Data: item{}}}},
		{Path: "stream", Read: handler, Answers: engine.Answers{engine.Read: engine.Stream("application/gzip")}},
		{Path: "login", Write: handler, Answers: engine.Answers{engine.Update: engine.Envelope{}}},
		{Path: "begin", Write: handler, Answers: engine.Answers{engine.Update: engine.Accepted{}}},
		{Path: "any", Read: handler, Answers: engine.Answers{engine.Read: nil}},
		{Path: "never", Read: handler, Answers: engine.Answers{engine.Read: engine.Never{}}},
		{Path: "unsaid", Read: handler},
	} {
		doc.Add(openapi.Place{Path: "m/", Tag: "secrets"}, r)
	}
	b, err := json.Marshal(doc.Object())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestDocumentIsValid(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(document(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestDocumentSaysWhatIsAnswered(t *testing.T) {
	doc, err := openapitest.Parse(document(t))
	if err != nil {
		t.Fatal(err)
	}
	const media, one, two = "application/json", `{"name":"n","size":1}`, `{"name":"n","size":null}`
	around := func(data string, more ...string) string {
		return `{"request_id":"i","lease_id":"","renewable":false,"lease_duration":0,"wrap_info":null,"warnings":null,"auth":null,"mount_type":"t",` +
			strings.Join(append(more, `"data":`+data), ",") + `}`
	}
	for _, tc := range []struct {
		method, path string
		status       int
		media, body  string
		want         string // "": it is as the document says; "-": the document says nothing
	}{
		{"LIST", "m/items", 200, media, around(`{"keys":["n"],"key_info":{"n":` + one + `}}`), ""},
		{"GET", "m/items/?list=true", 200, media, around(`{"keys":["n"],"key_info":{"n":{}}}`), "data.key_info.n.name is missing"},
		{"GET", "m/items/n", 200, media, around(two), ""},
		{"GET", "m/items/n", 200, media, one, "name is not described"},
		{"GET", "m/items/n", 200, media, around(`{"name":"n","size":"1"}`), "data.size is a string, not integer"},
		{"GET", "m/items/n", 200, media, around(`{"name":"n","size":1,"more":1}`), "data.more is not described"},
		{"GET", "m/items/n", 200, "text/plain", "n", `its media type "text/plain" is not there`},
		{"GET", "m/items/n", 404, media, `{"errors":[]}`, "-"},
		{"GET", "m/items/n?help=1", 200, media, `{"help":"h"}`, "-"},
		{"GET", "m/items/n", 200, media, strings.Replace(around("null"), `"wrap_info":null`, `"wrap_info":{"token":"t"}`, 1), "-"},
		{"PUT", "m/items/n", 204, "", "", "-"},
		{"POST", "m/items/n", 200, media, around(one), ""},
		{"POST", "m/items/n", 200, media, strings.Replace(around("null"), `"warnings":null`, `"warnings":["w"]`, 1), "-"}, // it would be 204, but for the warning
		{"PATCH", "m/items/n", 200, media, around(one, `"name":"n"`, `"size":1`), ""},
		{"PATCH", "m/items/n", 200, media, around(one), "name is missing"},
		{"DELETE", "m/items/n", 204, "", "", "-"},
		{"DELETE", "m/items/n", 200, media, around(one), "its status 200 is not there"},
		{"POST", "m/items/n/copy", 200, media, around(`{"keys":[]}`), ""},
		{"POST", "m/items/n/copy", 200, media, around(`{"names":[]}`), "is not described"},
		{"GET", "m/all", 200, media, around(`{"a":`+one+`}`, `"a":`+one), ""},
		{"GET", "m/all", 200, media, around(`{"a":1}`, `"a":1`), "data.a is 1, not object"},
		{"GET", "m/deep/a/b/c", 200, media, around(one), ""},
		{"LIST", "m/deep/a/b/", 200, media, around(`{"keys":[]}`), ""},
		{"GET", "m/deep/a/b/c", 200, media, around(`[]`), "data is a list, not object"},
		{"GET", "m/bare", 200, media, one, ""},
		{"GET", "m/bare", 200, media, around(one), "is not described"},
		{"GET", "m/stream", 200, "application/gzip", "\x1f\x8b", ""},
		{"GET", "m/stream", 200, media, one, "media type"},
		{"POST", "m/login", 200, media, around("null"), ""},
		{"POST", "m/login", 200, media, around(one), "data.name is not described"},
		{"POST", "m/begin", 202, media, around("null"), ""},
		{"POST", "m/begin", 200, media, around("null"), "its status 200 is not there"},
		{"GET", "m/any", 200, media, around(`[1]`), ""},
		{"GET", "m/never", 200, media, around(one), "its status 200 is not there"},
		{"GET", "m/unsaid", 200, media, "[]", "-"},
		{"GET", "n/other", 200, media, "[]", "-"},
	} {
		looked, err := doc.Checked(tc.method, tc.path, tc.status, http.Header{"Content-Type": {tc.media}}, []byte(tc.body))
		switch {
		case tc.want == "-" && (looked || err != nil), tc.want == "" && (!looked || err != nil),
			len(tc.want) > 1 && (err == nil || !strings.Contains(err.Error(), tc.want)):
			t.Errorf("%s %s %d %s: looked: %v, %v; want %q", tc.method, tc.path, tc.status, tc.body, looked, err, tc.want)
		}
	}
}
