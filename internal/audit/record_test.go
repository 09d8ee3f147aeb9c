package audit

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

var testSalt = []byte("a salt of thirty-two bytes, yes!")

func testRecorder(change func(*settings)) *recorder {
	r := &recorder{settings: settings{hashAccessor: true}, hash: newHasher(testSalt), headers: []header{{"user-agent", "User-Agent", false}, {"x-forwarded-for", "X-Forwarded-For", true}}}
	if change != nil {
		change(&r.settings)
	}
	return r
}

// hashed is the hash as its specification says (docs/format/audit.md).
func hashed(text string) string {
	h := hmac.New(sha256.New, testSalt)
	h.Write([]byte(text))
	return "hmac-sha256:" + hex.EncodeToString(h.Sum(nil))
}

// model is what a device makes of a decoded JSON value.
func model(v any, name string, plain []string) any {
	switch v := v.(type) {
	case string:
		if slices.Contains(plain, name) {
			return v
		}
		return hashed(v)
	case []any:
		out := []any{}
		for _, e := range v {
			out = append(out, model(e, name, plain))
		}
		return out
	case map[string]any:
		out := map[string]any{}
		for k, e := range v {
			out[k] = model(e, k, plain)
		}
		return out
	}
	return v
}

func decode(t *testing.T, line []byte) map[string]any {
	t.Helper()
	if bytes.IndexByte(line, '\n') != len(line)-1 {
		t.Fatalf("a record is one line: %q", line)
	}
	var out map[string]any
	if err := json.Unmarshal(line, &out); err != nil {
		t.Fatalf("%v: %s", err, line)
	}
	return out
}

// The record of a request and its answer, field by field: docs/format/audit.md
// shows these.
func TestRecordFields(t *testing.T) {
	x, resp := sample()
	r := testRecorder(nil)
	at := time.Date(2026, 11, 24, 15, 18, 55, 224977564, time.UTC)
	x.Request.Headers.Set("X-Forwarded-For", "10.1.1.1")
	x.Request.Headers.Set("X-Vault-Token", "hvs.0123456789abcdefghijABCD")
	x.Request.Body = []byte(`{"data": {"password": "s3cret", "n": 12, "on": true, "none": null}}`)
	resp.Warnings, resp.LeaseID = []string{"careful"}, "secret/lease/1"
	resp.Auth = &Auth{ClientToken: "hvs.new", Accessor: "new-accessor", NumUses: 3}
	resp.Wrap = &Wrap{Token: "hvs.wrap", Accessor: "wrap-accessor", WrappedAccessor: "wrapped", CreationPath: "secret/data/app/db", CreationTime: at, TTL: time.Minute}

	got := decode(t, r.record(nil, x, nil, "", at))
	auth := map[string]any{
		"client_token": hashed("hvs.0123456789abcdefghijABCD"), "accessor": hashed("0123456789abcdefghijABCD"), "display_name": "kubernetes-default-app",
		"policies": []any{"default", "app"}, "token_policies": []any{"default", "app"}, "policy_results": map[string]any{"allowed": true},
		"metadata": map[string]any{"role": "app", "service_account_name": "app"}, "token_type": "service", "token_ttl": 3600.0, "token_issue_time": "2001-09-09T01:46:40Z",
	}
	request := map[string]any{
		"id": x.Request.ID, "operation": "read", "path": "secret/data/app/db", "namespace": map[string]any{"id": "root"}, "mount_point": "secret/", "mount_type": "kv",
		"mount_accessor": "kv_519cc253", "mount_class": "secret", "client_token": auth["client_token"], "client_token_accessor": auth["accessor"],
		"remote_address": "10.0.0.1", "remote_port": 4711.0, "headers": map[string]any{"user-agent": []any{"Go-http-client/1.1"}, "x-forwarded-for": []any{hashed("10.1.1.1")}},
		"data": map[string]any{"data": map[string]any{"password": hashed("s3cret"), "n": 12.0, "on": true, "none": nil}},
	}
	want := map[string]any{"time": "2026-11-24T15:18:55.224977564Z", "type": "request", "auth": auth, "request": request}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("request:\n%v\nwant\n%v", got, want)
	}

	got = decode(t, r.record(nil, x, resp, "went wrong", at))
	var data any
	if err := json.Unmarshal(resp.Data, &data); err != nil {
		t.Fatal(err)
	}
	want["type"], want["error"] = "response", "went wrong"
	want["response"] = map[string]any{
		"mount_point": "secret/", "mount_type": "kv", "mount_accessor": "kv_519cc253", "mount_class": "secret", "warnings": []any{"careful"},
		"secret": map[string]any{"lease_id": "secret/lease/1"}, "data": model(data, "", nil),
		"auth": map[string]any{"client_token": hashed("hvs.new"), "accessor": hashed("new-accessor"), "num_uses": 3.0},
		"wrap_info": map[string]any{"token": hashed("hvs.wrap"), "accessor": hashed("wrap-accessor"), "wrapped_accessor": hashed("wrapped"),
			"creation_path": "secret/data/app/db", "creation_time": "2026-11-24T15:18:55.224977564Z", "ttl": 60.0},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("response:\n%v\nwant\n%v", got, want)
	}
}

func TestRecordOptions(t *testing.T) {
	at := time.Unix(1e9, 0)
	list := func(change func(*settings), operation, data string) (line string, response any) {
		x, resp := sample()
		x.Request.Operation, resp.Data = operation, []byte(data)
		b := testRecorder(change).record(nil, x, resp, "", at)
		return string(b), decode(t, bytes.TrimPrefix(b, []byte("@cee: ")))["response"].(map[string]any)["data"]
	}
	elide := func(s *settings) { s.elideLists = true }
	for data, want := range map[string]map[string]any{
		`{"keys":["a,b","c\"]",{"x":[1,2]}],"key_info":{"a":{"x":1,"y":2}, "b":{}}}`: {"keys": 3.0, "key_info": 2.0},
		`{"keys":[],"key_info":{ }}`:                 {"keys": 0.0, "key_info": 0.0},
		`{"keys":"no list","deeper":{"keys":["a"]}}`: {"keys": hashed("no list"), "deeper": map[string]any{"keys": []any{hashed("a")}}},
	} {
		for operation, elided := range map[string]bool{"list": true, "scan": true, "read": false} {
			_, got := list(elide, operation, data)
			if reflect.DeepEqual(got, any(want)) != elided && !strings.Contains(data, "no list") {
				t.Errorf("%s of %s: %v", operation, data, got)
			}
		}
	}
	line, _ := list(func(s *settings) { s.prefix = "@cee: " }, "read", `{}`)
	if !strings.HasPrefix(line, `@cee: {"time":`) {
		t.Errorf("without its prefix: %s", line)
	}
	line, got := list(func(s *settings) { s.raw = true }, "read", `{"a":"in clear\n"}`)
	if !strings.Contains(line, `"client_token":"hvs.0123456789abcdefghijABCD"`) || got.(map[string]any)["a"] != "in clear\n" {
		t.Errorf("log_raw: %s", line)
	}
	line, _ = list(func(s *settings) { s.hashAccessor = false }, "read", `{}`)
	if !strings.Contains(line, `"accessor":"0123456789abcdefghijABCD"`) || strings.Contains(line, "hvs.") {
		t.Errorf("hmac_accessor=false: %s", line)
	}
	x, resp := sample()
	resp.Raw = &Raw{Status: 200, ContentType: "text/plain", Body: []byte("a raw secret")}
	line = string(testRecorder(nil).record(nil, x, resp, "", at))
	if !strings.Contains(line, `"data":{"http_content_type":"text/plain","http_status_code":200,"http_raw_body":"`+hashed("a raw secret")+`"}`) {
		t.Errorf("a raw answer: %s", line)
	}
}

// randomJSON makes a value whose texts are markers, now and then with what needs quoting.
func randomJSON(r *rand.Rand, deep int) any {
	switch n := r.IntN(8); {
	case n < 2 && deep > 0:
		m := map[string]any{}
		for range r.IntN(4) {
			m[[]string{"data", "name", "plain", "k\"e\\y", "schlüssel", "keys"}[r.IntN(6)]] = randomJSON(r, deep-1)
		}
		return m
	case n < 4 && deep > 0:
		l := []any{}
		for range r.IntN(4) {
			l = append(l, randomJSON(r, deep-1))
		}
		return l
	case n == 4:
		return float64(r.IntN(1000)) / 8
	case n == 5:
		return []any{true, false, nil}[r.IntN(3)]
	}
	return fmt.Sprintf("MARKER%d%s", r.Uint32(), []string{"", "\n", "\"q\"", "ü", "\\", "\u2028", "a,b", " "}[r.IntN(8)])
}

// Whatever the JSON, no text of it is in a record, and the record holds exactly
// what the model says.
func TestLessonNoSecretInAnyRecord(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		body := map[string]any{"data": randomJSON(r, 5), "plain": randomJSON(r, 2), "extra": randomJSON(r, 1)}
		answer := map[string]any{"data": randomJSON(r, 5)}
		query := map[string][]string{"q": {fmt.Sprintf("MARKERquery%d", r.Uint32())}}
		plain := []string{}
		if r.IntN(2) == 0 {
			plain = []string{"plain"}
		}
		asked := hiddenTexts(body, "", plain)
		x, resp := sample()
		x.Request.Plain, x.Request.Query, resp.Plain = plain, query, plain
		x.Request.Body, _ = json.MarshalIndent(body, "", "\t") // our own values
		resp.Data, _ = json.Marshal(answer)
		fault := "field \"x\": cannot take " + fmt.Sprintf("%q and %s", pick(r, asked), pick(r, asked))
		dev := testRecorder(nil)
		lines := [][]byte{dev.record(nil, x, nil, fault, time.Unix(1, 0)), dev.record(nil, x, resp, fault, time.Unix(2, 0))}
		want := model(map[string]any(body), "", plain).(map[string]any)
		for name, values := range query {
			want[name] = hashed(values[0])
		}
		for _, line := range lines {
			got := decode(t, line)
			if data := got["request"].(map[string]any)["data"]; !reflect.DeepEqual(data, any(want)) {
				t.Fatalf("of %s\ngot  %v\nwant %v", x.Request.Body, data, want)
			}
			if p, ok := got["response"].(map[string]any); ok && !reflect.DeepEqual(p["data"], model(map[string]any(answer), "", plain)) {
				t.Fatalf("of %s got %v", resp.Data, p["data"])
			}
			secrets := append(hiddenTexts(body, "", plain), hiddenTexts(answer, "", plain)...)
			for _, s := range append(secrets, "hvs.0123456789abcdefghijABCD", "0123456789abcdefghijABCD", query["q"][0]) {
				core := strings.TrimRight(s, "\n\"q\\ \u2028,abü")
				if strings.Contains(string(line), core) {
					t.Fatalf("%q is in %s", s, line)
				}
			}
		}
	}
}

// hiddenTexts are the texts in v that are not in plain.
func hiddenTexts(v any, name string, plain []string) (out []string) {
	switch v := v.(type) {
	case string:
		if !slices.Contains(plain, name) {
			return []string{v}
		}
	case []any:
		for _, e := range v {
			out = append(out, hiddenTexts(e, name, plain)...)
		}
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			out = append(out, hiddenTexts(v[k], k, plain)...)
		}
	}
	return out
}

func pick(r *rand.Rand, texts []string) string {
	if len(texts) == 0 {
		return "nothing"
	}
	return texts[r.IntN(len(texts))]
}

// An error that quotes what it was given shows its hash, in whatever case.
func TestLessonErrorsInRecordsDoNotEcho(t *testing.T) {
	x := &Exchange{Request: Request{Path: "sys/policy/x", Body: []byte(`{"policy":"path Secret-One {","list":"Secret-Two, three","plain":"Plain-Text","n":"abc"}`),
		Plain: []string{"plain"}, Query: map[string][]string{"q": {"Secret-Three"}}, ClientToken: "hvs.SecretFour", Headers: http.Header{}}}
	fault := `bad "path Secret-One {", secret-two, SECRET "secret-three" hvs.SecretFour Plain-Text abc`
	got := decode(t, testRecorder(nil).record(nil, x, nil, fault, time.Unix(1, 0)))["error"].(string)
	want := fmt.Sprintf(`bad "%s", %s, SECRET "%s" %s Plain-Text abc`, hashed("path Secret-One {"), hashed("Secret-Two"), hashed("Secret-Three"), hashed("hvs.SecretFour"))
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// A body that is no JSON object leaves no trace, and an answer that a bug made
// invalid does not break the log.
func TestRecordOfWhatIsNoJSON(t *testing.T) {
	for _, body := range []string{`not json: MARKER`, `"MARKER"`, `["MARKER"]`, `{"a":"MARKER"`, `{"a":"MARKER"} MARKER`, "{\"a\":\"MAR\nKER\"}", ""} {
		x, _ := sample()
		x.Request.Body = []byte(body)
		line := testRecorder(nil).record(nil, x, nil, "", time.Unix(1, 0))
		if got := decode(t, line)["request"].(map[string]any); got["data"] != nil || bytes.Contains(line, []byte("MAR")) {
			t.Errorf("%q: %s", body, line)
		}
	}
	for _, data := range []string{`{`, `{"a"`, `{"a":`, `{"a":"b`, `[1,`, `}`, `{"a":1]`, `[1}`, `"a\`, `{}{}`, `,`, `{"a" 1}`, `{a:1}`, `tru e`} {
		x, resp := sample()
		resp.Data = []byte(data)
		line := testRecorder(func(s *settings) { s.elideLists = true }).record(nil, x, resp, "", time.Unix(1, 0))
		if got := decode(t, line)["response"].(map[string]any); got["data"] != nil {
			t.Errorf("%q: %s", data, line)
		}
	}
}

func FuzzRecord(f *testing.F) {
	f.Add([]byte(`{"a":["b",{"c":"d\u0041"}],"keys":[1]}`), "list")
	f.Add([]byte(`{"a":"\ud800","b":1e9,"c":{}}`), "read")
	f.Fuzz(func(t *testing.T, data []byte, operation string) {
		x, resp := sample()
		x.Request.Operation, x.Request.Path, x.Request.Body, resp.Data = operation, operation, data, data
		line := testRecorder(func(s *settings) { s.elideLists = true }).record(nil, x, resp, operation, time.Unix(1, 0))
		if json.Valid(data) && !json.Valid(line) {
			t.Errorf("%q made %q", data, line)
		}
		if bytes.IndexByte(line, '\n') != len(line)-1 && json.Valid(data) {
			t.Errorf("%q made more than one line: %q", data, line)
		}
	})
}
