package engine

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"slices"
	"strconv"
	"testing"
	"time"
)

// FuzzDecode: decoding never panics, an error is the caller's, and what is given
// has the Go form of its type.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{`{"s":1,"n":"A","i":"1e3","b":0,"d":"1d","l":["a",null],"m":{"a":null},"o":{},"a":[]}`, `{"m":"a=b","l":"a,b"}`, `null`, ` `, `{"i":1e999}`} {
		f.Add([]byte(seed), "i", "5")
	}
	f.Fuzz(func(t *testing.T, body []byte, name, value string) {
		d, unknown, err := Decode(allTypes, body, map[string][]string{name: {value}}, map[string]string{"n": value})
		if err != nil {
			if KindOf(err) != Invalid {
				t.Errorf("%s: %v is not the caller's error", body, err)
			}
			return
		}
		if !slices.IsSorted(unknown) {
			t.Errorf("%s: unknown %q", body, unknown)
		}
		for name, v := range d.values {
			ok := false
			switch f, _ := field(allTypes, name); f.Type {
			case String, Name:
				_, ok = v.(string)
			case Int:
				_, ok = v.(int64)
			case Bool:
				_, ok = v.(bool)
			case Duration:
				n, is := v.(time.Duration)
				ok = is && n >= 0
			case StringList:
				list, is := v.([]string)
				ok = is && !slices.Contains(list, "")
			case StringMap:
				_, ok = v.(map[string]string)
			case Object:
				raw, is := v.(json.RawMessage)
				ok = is && raw[0] == '{' && json.Valid(raw)
			case Any:
				raw, is := v.(json.RawMessage)
				ok = is && json.Valid(raw)
			}
			if !ok {
				t.Errorf("%s: %s is %#v", body, name, v)
			}
		}
	})
}

// FuzzMembers: the members of an object are those that the JSON package finds.
func FuzzMembers(f *testing.F) {
	for _, seed := range []string{`{}`, `{"a":1}`, ` { "a" : [ {"b":"]}"} , "\\"] , "a" : null,"\u0061":-1.5e3 } `, `{"":{"":{}},"é\"":true}`, "{\"\xff\":\"\xfe\"}", `{"a":"\\\""}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		body = bytes.TrimSpace(body)
		var want map[string]json.RawMessage
		if json.Unmarshal(body, &want) != nil || body[0] != '{' {
			return
		}
		got := map[string]json.RawMessage{}
		members(body, func(name string, value json.RawMessage) { got[name] = value })
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %q, not %q", body, got, want)
		}
	})
}

// FuzzParseDuration: a duration is never negative; whole seconds and days mean
// what they say; a Go duration means what Go says.
func FuzzParseDuration(f *testing.F) {
	for _, seed := range []string{"", "90", "1.5", "1h30m", "30d", "1d12h", "-1", "1e3", "0x1p4", "NaN", "106752d", "9223372037", "1_0", "1d1ns"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ParseDuration(text)
		if err != nil {
			return
		}
		if got < 0 {
			t.Errorf("%q is negative: %s", text, got)
		}
		if n, nerr := strconv.ParseInt(text, 10, 64); nerr == nil && got != time.Duration(n)*time.Second {
			t.Errorf("%q is %s", text, got)
		}
		if d, derr := time.ParseDuration(text); derr == nil && got != d {
			t.Errorf("%q is %s, not %s", text, got, d)
		}
		days, derr := ParseDuration(text + "d")
		if n, nerr := strconv.ParseInt(text, 10, 64); nerr == nil && derr == nil && days != time.Duration(n)*24*time.Hour {
			t.Errorf("%qd is %s", text, days)
		}
		if seconds := got.Seconds(); math.IsNaN(seconds) || math.IsInf(seconds, 0) {
			t.Errorf("%q is %v", text, seconds)
		}
	})
}
