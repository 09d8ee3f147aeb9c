package transit

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"strongroom/engine"
	"strongroom/engine/enginetest"
	"strongroom/internal/storage"
)

// mount is a transit engine on a store of its own.
func mount(tb testing.TB) *enginetest.Mounted { return mountOn(tb, storage.NewMem()) }

// mountOn is a transit engine on store.
func mountOn(tb testing.TB, store storage.Store) *enginetest.Mounted {
	return enginetest.New(tb, store, "transit/", Factory, nil)
}

// call is one request with a body of JSON; "PUT" is a create if the key is not there.
func call(m *enginetest.Mounted, request, body string) (*engine.Response, error) {
	method, path, _ := strings.Cut(request, " ")
	path, rawQuery, _ := strings.Cut(path, "?")
	query := map[string][]string{}
	if k, v, ok := strings.Cut(rawQuery, "="); ok {
		query[k] = []string{v}
	}
	op := map[string]engine.Operation{"GET": engine.Read, "PUT": engine.Update, "NEW": engine.Create, "DELETE": engine.Delete, "LIST": engine.List}[method]
	var in any
	if body != "" {
		in = json.RawMessage(body)
	}
	return m.DoQuery(op, path, in, query)
}

// must is call that succeeds; it gives the data.
func must(tb testing.TB, m *enginetest.Mounted, request, body string) map[string]any {
	tb.Helper()
	resp, err := call(m, request, body)
	if err != nil {
		tb.Fatalf("%s %s: %v", request, body, err)
	}
	if resp == nil {
		return nil
	}
	return data(tb, resp)
}

func data(tb testing.TB, resp *engine.Response) map[string]any {
	tb.Helper()
	var out map[string]any
	if err := json.Unmarshal([]byte(enginetest.JSON(tb, resp)), &out); err != nil {
		tb.Fatal(err)
	}
	return out
}

// refused is call that fails, by the caller's fault, with a text that holds want.
func refused(tb testing.TB, m *enginetest.Mounted, request, body, want string) {
	tb.Helper()
	fails(tb, m, engine.Invalid, request, body, want)
}

// fails is call that fails with a kind of error and a text that holds want.
func fails(tb testing.TB, m *enginetest.Mounted, kind engine.Kind, request, body, want string) {
	tb.Helper()
	resp, err := call(m, request, body)
	if err == nil || !strings.Contains(err.Error(), want) {
		tb.Errorf("%s %s: %v, %v; want an error that says %q", request, body, resp, err, want)
	} else if got := engine.KindOf(err); got != kind {
		tb.Errorf("%s %s: an error of kind %d, not %d", request, body, got, kind)
	}
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// with is a JSON object of names and texts in turn.
func with(pairs ...any) string {
	out := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		out[pairs[i].(string)] = pairs[i+1]
	}
	b, err := json.Marshal(out)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// field is one field of data, as text.
func field(data map[string]any, name string) string { return fmt.Sprint(data[name]) }
