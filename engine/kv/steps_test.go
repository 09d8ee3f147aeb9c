package kv

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"strongroom/engine"
	"strongroom/engine/enginetest"
)

// The bubble of testing/synctest begins at midnight, 2000-01-01.
const t0 = "2000-01-01T00:00:00Z"

func mountV2(tb testing.TB) (*enginetest.Mounted, *counted) {
	s := newStore()
	return enginetest.New(tb, s, "secret/", Factory, map[string]string{"version": "2"}), s
}

// step is one call: "PUT data/a?version=1", its body, and what it answers: the
// JSON, "204", or "error <kind>: <text>". "404 " before JSON is Missing.
type step struct {
	call string
	body string
	want string
	wait time.Duration // before the call
}

var operations = map[string]engine.Operation{
	"GET": engine.Read, "PUT": engine.Update, "DELETE": engine.Delete, "LIST": engine.List, "PATCH": engine.Patch, "SCAN": engine.Scan,
}

func do(m *enginetest.Mounted, call, body string) string {
	method, path, _ := strings.Cut(call, " ")
	path, rawQuery, _ := strings.Cut(path, "?")
	query := map[string][]string{}
	for pair := range strings.SplitSeq(rawQuery, "&") {
		if k, v, ok := strings.Cut(pair, "="); ok {
			query[k] = []string{v}
		}
	}
	var in any
	if body != "" {
		in = json.RawMessage(body)
	}
	resp, err := m.DoQuery(operations[method], path, in, query)
	return show(resp, err)
}

func show(resp *engine.Response, err error) string {
	if err != nil {
		return fmt.Sprintf("error %d: %v", engine.KindOf(err), err)
	}
	if resp == nil {
		return "204"
	}
	b, err := json.Marshal(resp.Data) // fails if a RawMessage is not JSON
	if err != nil {
		return err.Error()
	}
	out := string(b)
	if resp.Missing {
		out = "404 " + out
	}
	for _, w := range resp.Warnings {
		out += " ! " + w
	}
	return out
}

// canon sorts the members of JSON in a step's text.
func canon(s string) string {
	i, j := strings.IndexByte(s, '{'), strings.LastIndexByte(s, '}')
	if i < 0 || strings.HasPrefix(s, "error") {
		return s
	}
	var v any
	if json.Unmarshal([]byte(s[i:j+1]), &v) != nil {
		return s
	}
	b, _ := json.Marshal(v)
	return s[:i] + string(b) + s[j+1:]
}

func run(t *testing.T, m *enginetest.Mounted, steps []step) {
	t.Helper()
	for i, s := range steps {
		time.Sleep(s.wait)
		if got := do(m, s.call, s.body); canon(got) != canon(s.want) {
			t.Errorf("step %d, %s %s\n got %s\nwant %s", i, s.call, s.body, got, s.want)
		}
	}
}

// meta is the metadata of a version; at is the second of its creation.
func meta(version, at int, deletion string, destroyed bool, custom string) string {
	return fmt.Sprintf(`{"created_time":%q,"custom_metadata":%s,"deletion_time":%q,"destroyed":%t,"version":%d}`,
		clock(at), custom, deletion, destroyed, version)
}

func clock(second int) string {
	return time.Date(2000, 1, 1, 0, 0, second, 0, time.UTC).Format(time.RFC3339Nano)
}

func data(d, meta string) string { return fmt.Sprintf(`{"data":%s,"metadata":%s}`, d, meta) }

func many(n int) string {
	m := map[string]string{}
	for i := range n {
		m[fmt.Sprint("k", i)] = "v"
	}
	b, _ := json.Marshal(m)
	return string(b)
}
