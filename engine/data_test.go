package engine

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

var allTypes = []Field{
	{Name: "s", Type: String},
	{Name: "n", Type: Name},
	{Name: "i", Type: Int, Default: int64(7)},
	{Name: "b", Type: Bool},
	{Name: "d", Type: Duration},
	{Name: "l", Type: StringList},
	{Name: "m", Type: StringMap},
	{Name: "o", Type: Object},
	{Name: "a", Type: Any},
}

func TestDecodeTypes(t *testing.T) {
	invalid := func(name, why string) string {
		return fmt.Sprintf("Field validation failed: error converting input for field %q: %s", name, why)
	}
	const whole, single, boolean = "a whole number is needed", "a single value is needed", "true or false is needed"
	for _, c := range []struct {
		body string
		want any    // of the one parameter in the body
		err  string // instead
	}{
		{body: `{"s":"é"}`, want: "é"},
		{body: `{"s":""}`, want: ""},
		{body: `{"s":1.50}`, want: "1.50"},
		{body: `{"s":true}`, want: "true"},
		{body: `{"s":{}}`, err: invalid("s", single)},
		{body: `{"s":[]}`, err: invalid("s", single)},
		{body: `{"n":"ROLE"}`, want: "role"},
		{body: `{"i":12}`, want: int64(12)},
		{body: `{"i":"-12"}`, want: int64(-12)},
		{body: `{"i":1e3}`, want: int64(1000)},
		{body: `{"i":9223372036854775807}`, want: int64(9223372036854775807)},
		{body: `{"i":-9223372036854775808.0}`, want: int64(-9223372036854775808)},
		{body: `{"i":9223372036854775808}`, err: invalid("i", whole)},
		{body: `{"i":1e30}`, err: invalid("i", whole)},
		{body: `{"i":1.5}`, err: invalid("i", whole)},
		{body: `{"i":"NaN"}`, err: invalid("i", whole)},
		{body: `{"i":"Inf"}`, err: invalid("i", whole)},
		{body: `{"i":"secret"}`, err: invalid("i", whole)},
		{body: `{"i":""}`, err: invalid("i", whole)},
		{body: `{"b":true}`, want: true},
		{body: `{"b":"TRUE"}`, want: true},
		{body: `{"b":0}`, want: false},
		{body: `{"b":"f"}`, want: false},
		{body: `{"b":"yes"}`, err: invalid("b", boolean)},
		{body: `{"d":90}`, want: 90 * time.Second},
		{body: `{"d":"1d"}`, want: 24 * time.Hour},
		{body: `{"d":-1}`, err: invalid("d", "a duration cannot be negative")},
		{body: `{"l":["a"," b ","",1,true,null]}`, want: []string{"a", "b", "1", "true"}},
		{body: `{"l":"a, b,,c"}`, want: []string{"a", "b", "c"}},
		{body: `{"l":""}`, want: []string{}},
		{body: `{"l":5}`, want: []string{"5"}},
		{body: `{"l":[["a"]]}`, err: invalid("l", single)},
		{body: `{"l":{"a":1}}`, err: invalid("l", single)},
		{body: `{"m":{"a":"b","c":1,"d":null}}`, want: map[string]string{"a": "b", "c": "1"}},
		{body: `{"m":["a=b"," c = d=e "]}`, want: map[string]string{"a": "b", "c": "d=e"}},
		{body: `{"m":"a=b,c=d"}`, want: map[string]string{"a": "b", "c": "d"}},
		{body: `{"m":{}}`, want: map[string]string{}},
		{body: `{"m":{"a":{}}}`, err: invalid("m", `"a": `+single)},
		{body: `{"m":"secret"}`, err: invalid("m", "pairs of the form key=value are needed")},
		{body: `{"o":{"x": 1.50}}`, want: json.RawMessage(`{"x": 1.50}`)},
		{body: `{"o":[1]}`, err: invalid("o", "an object is needed")},
		{body: `{"o":"{}"}`, err: invalid("o", "an object is needed")},
		{body: `{"a":[1, {"b":null}]}`, want: json.RawMessage(`[1, {"b":null}]`)},
		{body: `{"a":"x"}`, want: json.RawMessage(`"x"`)},
	} {
		d, unknown, err := Decode(allTypes, []byte(c.body), nil, nil)
		if c.err != "" {
			if err == nil || err.Error() != c.err || KindOf(err) != Invalid {
				t.Errorf("%s: got error %v, want %s", c.body, err, c.err)
			}
			continue
		}
		if err != nil || unknown != nil {
			t.Errorf("%s: %v, unknown %q", c.body, err, unknown)
			continue
		}
		name := c.body[2:3]
		got := map[string]any{
			"s": d.String("s"), "n": d.String("n"), "i": d.Int("i"), "b": d.Bool("b"), "d": d.Duration("d"),
			"l": d.Strings("l"), "m": d.Map("m"), "o": d.Raw("o"), "a": d.Raw("a"),
		}[name]
		if !d.Has(name) || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %#v, want %#v", c.body, got, c.want)
		}
	}
}

func TestDecodeSources(t *testing.T) {
	body := []byte(`{"s":"body","i":null,"z":1,"y":{"secret":2}}`)
	query := map[string][]string{"s": {"query"}, "l": {"a", "b,c"}, "a": {"q"}, "x": {"ignored"}}
	d, unknown, err := Decode(allTypes, body, query, map[string]string{"n": "Path", "rest": "A/b"})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"y", "z"}; !reflect.DeepEqual(unknown, want) {
		t.Errorf("unknown %q, want %q", unknown, want)
	}
	if got := d.String("s"); got != "query" {
		t.Errorf("query does not come before the body: %q", got)
	}
	if got := d.Strings("l"); !reflect.DeepEqual(got, []string{"a", "b", "c"}) {
		t.Errorf("a list in the query: %q", got)
	}
	if got := string(d.Raw("a")); got != `"q"` {
		t.Errorf("any in the query: %s", got)
	}
	if d.String("n") != "path" || d.String("rest") != "A/b" {
		t.Errorf("path parameters %q %q", d.String("n"), d.String("rest"))
	}
	if d.Has("i") || d.Int("i") != 7 {
		t.Errorf("null is not the default: %v %d", d.Has("i"), d.Int("i"))
	}
	if d.Has("x") || d.Has("o") || d.Raw("o") != nil || d.Bool("none") {
		t.Error("something was given that was not")
	}
}

// TestDecodePath: a path parameter is converted to its field's type, and beats
// the body and the query.
func TestDecodePath(t *testing.T) {
	path := map[string]string{"i": "3", "l": "a,b", "d": "1h", "b": "true", "a": "raw", "s": "a%b"}
	d, _, err := Decode(allTypes, []byte(`{"i":1,"s":"x"}`), map[string][]string{"i": {"2"}}, path)
	if err != nil {
		t.Fatal(err)
	}
	if d.Int("i") != 3 || len(d.Strings("l")) != 2 || d.Duration("d") != time.Hour || !d.Bool("b") || d.String("a") != "raw" || d.String("s") != "a%b" {
		t.Errorf("got %v", d.values)
	}
	if _, _, err := Decode(allTypes, nil, nil, map[string]string{"i": "x"}); KindOf(err) != Invalid {
		t.Errorf("a word for a number in the path: %v", err)
	}
}

func TestDecodeErrors(t *testing.T) {
	required := []Field{{Name: "a", Type: Int}, {Name: "b", Type: Int, Required: true}, {Name: "c", Type: Int}}
	for body, want := range map[string]string{
		``:                              "missing required field: b",
		" \n":                           "missing required field: b",
		`{}`:                            "missing required field: b",
		`{"b":null}`:                    "missing required field: b",
		`{"b":`:                         "failed to parse JSON input: not valid JSON at byte 5",
		"\u00a0{}":                      "failed to parse JSON input: not valid JSON at byte 1", // no space of JSON's
		`["hunter2"]`:                   "failed to parse JSON input: the body must be a JSON object",
		`{"a":hunter2}`:                 "failed to parse JSON input: not valid JSON at byte 6",
		`{"b":1} {}`:                    "failed to parse JSON input: not valid JSON at byte 9",
		`{"c":"x","b":"hunter2"}`:       `Field validation failed: error converting input for field "b": a whole number is needed`,
		`{"c":"hunter2","a":"y","b":0}`: `Field validation failed: error converting input for field "a": a whole number is needed`,
	} {
		for range 8 { // maps have no order; the error has
			_, _, err := Decode(required, []byte(body), nil, nil)
			if err == nil || err.Error() != want || KindOf(err) != Invalid {
				t.Errorf("%s: got %v, want %s", body, err, want)
			}
			if strings.Contains(fmt.Sprint(err), "hunter2") {
				t.Errorf("%s: the error shows the value", body)
			}
		}
	}
	if d, _, err := Decode(nil, []byte("null"), nil, nil); err != nil || d.Has("a") {
		t.Errorf("null body: %v", err)
	}
	var zero Data
	if zero.Has("a") || zero.String("a") != "" {
		t.Error("the zero Data holds something")
	}
}

func TestParseDuration(t *testing.T) {
	const needed = "a duration such as 90, 30s, 24h or 7d is needed, of at most 292 years"
	for text, want := range map[string]any{
		"":            time.Duration(0),
		"0":           time.Duration(0),
		"90":          90 * time.Second,
		" 90 ":        90 * time.Second,
		"1.5":         1500 * time.Millisecond,
		"1h30m":       90 * time.Minute,
		"250ms":       250 * time.Millisecond,
		"30d":         30 * 24 * time.Hour,
		"0.5d":        12 * time.Hour,
		"1d12h":       36 * time.Hour,
		"1d1d":        needed,
		"1h1d":        needed,
		"1e3":         1000 * time.Second,
		"106751d":     106751 * 24 * time.Hour,
		"106752d":     needed,
		"9223372036":  9223372036 * time.Second,
		"9223372037":  needed,
		"99999999h":   needed,
		"1e300":       needed,
		"NaN":         needed,
		"Inf":         needed,
		"infd":        needed,
		"0x10":        needed,
		"-1":          "a duration cannot be negative",
		"-1h":         "a duration cannot be negative",
		"-1d":         "a duration cannot be negative",
		"-1d12h":      "a duration cannot be negative",
		"d":           needed,
		"h":           needed,
		"soon":        needed,
		"1 h":         needed,
		"1d-12h":      needed,
		"1d+12h":      needed,
		"1,5":         needed,
		"1w":          needed,
		"-0":          time.Duration(0),
		"+5":          5 * time.Second,
		"0.000000001": time.Nanosecond,
	} {
		got, err := ParseDuration(text)
		if d, ok := want.(time.Duration); ok && (err != nil || got != d) {
			t.Errorf("%q: got %s %v, want %s", text, got, err, d)
		}
		if why, ok := want.(string); ok && (err == nil || err.Error() != why) {
			t.Errorf("%q: got %s %v, want %s", text, got, err, why)
		}
	}
}
