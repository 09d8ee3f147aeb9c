package enginetest

import (
	"testing"

	"strongroom/engine"
)

func TestDiffers(t *testing.T) {
	type form struct {
		Name string `json:"name"`
	}
	data := map[string]any{"name": "n"}
	raw := func(media, body string) *engine.Response {
		return &engine.Response{Raw: &engine.Raw{Status: 200, ContentType: media, Body: []byte(body)}}
	}
	for _, tc := range []struct {
		what   string
		answer any
		resp   *engine.Response
		same   bool
	}{
		{"data", form{}, &engine.Response{Data: data}, true},
		{"data of another type", form{}, &engine.Response{Data: map[string]any{"name": 1}}, false},
		{"data with more", form{}, &engine.Response{Data: map[string]any{"name": "n", "more": 1}}, false},
		{"data with less", form{}, &engine.Response{Data: map[string]any{}}, false},
		{"no data", form{}, nil, false},
		{"data beside too", form{}, &engine.Response{Data: data, TopLevel: true}, false},
		{"data beside", engine.TopLevel{Data: form{}}, &engine.Response{Data: data, TopLevel: true}, true},
		{"data not beside", engine.TopLevel{Data: form{}}, &engine.Response{Data: data}, false},
		{"work that goes on", engine.Accepted{}, &engine.Response{Accepted: true, Warnings: []string{"w"}}, true},
		{"work that is done", engine.Accepted{}, &engine.Response{Warnings: []string{"w"}}, false},
		{"fields", engine.Shown{{Name: "name"}}, &engine.Response{Data: data}, true},
		{"fields of another type", engine.Shown{{Name: "name", Type: engine.Duration}}, &engine.Response{Data: data}, false},
		{"fields that are not there", engine.Shown{{Name: "name"}, {Name: "more"}}, &engine.Response{Data: data}, false},
		{"nothing", engine.Nothing{}, nil, true},
		{"something for nothing", engine.Nothing{}, &engine.Response{Data: data}, false},
		{"a token", engine.Envelope{}, &engine.Response{Grant: &engine.Grant{}}, true},
		{"what never succeeds", engine.Never{}, nil, false},
		{"anything", nil, &engine.Response{Data: data, TopLevel: true}, true},
		{"one of two", engine.Either{engine.Keys{}, form{}}, &engine.Response{Data: data}, true},
		{"none of two", engine.Either{engine.Keys{}, form{}}, &engine.Response{Data: map[string]any{"names": nil}}, false},
		{"maybe a warning", engine.Maybe{Data: form{}}, &engine.Response{Warnings: []string{"w"}}, true},
		{"maybe nothing", engine.Maybe{Data: form{}}, nil, true},
		{"maybe something", engine.Maybe{Data: form{}}, &engine.Response{Data: data}, true},
		{"maybe something else", engine.Maybe{Data: form{}}, &engine.Response{Data: map[string]any{}}, false},
		{"bare", engine.Bare{Data: form{}}, raw("application/json", `{"name":"n"}`), true},
		{"bare with more", engine.Bare{Data: form{}}, raw("application/json", `{"name":"n","more":1}`), false},
		{"bare in an envelope", engine.Bare{Data: form{}}, &engine.Response{Data: data}, false},
		{"a stream", engine.Stream("text/plain"), raw("text/plain", "x"), true},
		{"a stream of another type", engine.Stream("text/plain"), raw("text/html", "x"), false},
		{"what is not there", form{}, &engine.Response{Missing: true}, true},
	} {
		route := &engine.Route{Path: "p", Answers: engine.Answers{engine.Update: tc.answer}}
		if err := differs(route, engine.Create, tc.resp); (err == nil) != tc.same {
			t.Errorf("%s: %v", tc.what, err)
		}
	}
}
