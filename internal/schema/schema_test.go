package schema_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"strongroom/internal/schema"
)

type inner struct {
	Count int64 `json:"count"`
}

type outer struct {
	Name    string            `json:"name" help:"What it is called."`
	Kind    string            `json:"kind,omitempty" enum:"a,b"`
	At      *time.Time        `json:"at"`
	Tags    []string          `json:"tags" api:"null"`
	Meta    map[string]string `json:"meta"`
	One     *inner            `json:"one"`
	All     map[string]inner  `json:"all,omitempty"`
	Self    []outer           `json:"self,omitempty"`
	Raw     json.RawMessage   `json:"raw,omitempty"`
	Ratio   float64           `json:"ratio,omitzero"`
	private string
	Hidden  string `json:"-"`
	inner
}

type list[T any] struct {
	All []T `json:"all"`
}

func TestNames(t *testing.T) {
	b := schema.NewBook()
	for _, v := range []any{list[inner]{}, list[string]{}, struct{ X inner }{}} {
		b.Of(v)
	}
	for _, want := range []string{"Schema_testListSchema_testInner", "Schema_testListString", "Schema_testInner"} {
		if b.Schemas[want] == nil {
			t.Errorf("no %s in %v", want, b.Schemas)
		}
	}
}

const whole = `{"name":"n","at":null,"tags":null,"meta":{},"one":null,"count":1}`

func TestOf(t *testing.T) {
	b := schema.NewBook()
	b.Of(outer{private: "", Hidden: ""})
	got, err := json.Marshal(b.Schemas)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"Schema_testInner":{"properties":{"count":{"type":"integer"}},"required":["count"],"type":"object"},` +
		`"Schema_testOuter":{"properties":{` +
		`"all":{"additionalProperties":{"$ref":"#/components/schemas/Schema_testInner"},"type":"object"},` +
		`"at":{"format":"date-time","nullable":true,"type":"string"},"count":{"type":"integer"},"kind":{"enum":["a","b"],"type":"string"},` +
		`"meta":{"additionalProperties":{"type":"string"},"type":"object"},"name":{"description":"What it is called.","type":"string"},` +
		`"one":{"allOf":[{"$ref":"#/components/schemas/Schema_testInner"}],"nullable":true},"ratio":{"type":"number"},"raw":{},` +
		`"self":{"items":{"$ref":"#/components/schemas/Schema_testOuter"},"type":"array"},"tags":{"items":{"type":"string"},"nullable":true,"type":"array"}},` +
		`"required":["at","count","meta","name","one","tags"],"type":"object"}}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestCheck(t *testing.T) {
	b := schema.NewBook()
	s := b.Of(outer{})
	for text, want := range map[string]string{
		whole: "",
		`{"name":"n","kind":"b","at":"2026-11-24T00:00:00.5Z","tags":["x"],"meta":{"k":"v"},"one":{"count":2},"count":1,"all":{"x":{"count":3}},"raw":[1],"ratio":1.5,"self":[` + whole + `]}`: "",

		`[]`: "the answer is a list, not object",
		`{"name":null,"at":null,"tags":null,"meta":{},"one":null,"count":1}`: "name is null, not string",
		with(`"name":1`):                "name is 1, not string",
		with(`"extra":1`):               "extra is not described",
		with(`"hidden":"x"`):            "hidden is not described",
		with(`"kind":"c"`):              `kind is "c", which is none of`,
		with(`"at":"yesterday"`):        "no time",
		with(`"tags":[1]`):              "tags[0] is 1, not string",
		with(`"tags":"a,b"`):            "tags is a string, not array",
		with(`"meta":{"k":{}}`):         "meta.k is an object, not string",
		with(`"meta":null`):             "meta is null, not object",
		with(`"one":{}`):                "one.count is missing",
		with(`"one":{"count":1.5}`):     "one.count is 1.5, not integer",
		with(`"count":true`):            "count is true, not integer",
		with(`"all":{"x":{"other":1}}`): "all.x.other is not described",
		with(`"self":[{"name":"n"}]`):   "self[0].at is missing",
		`{"name":"n","at":null,"tags":null,"meta":{},"one":null}`: "count is missing",
	} {
		err := b.Check(s, []byte(text))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s\ngot  %v\nwant %q", text, err, want)
		}
	}
}

// with is a whole text, but for one member.
func with(member string) string { return strings.TrimSuffix(whole, "}") + "," + member + "}" }
