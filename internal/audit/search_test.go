package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"strongroom/internal/storage"
)

// searched is a journal with one file device, and its file.
func searched(t testing.TB, options map[string]string) (*Journal, storage.Store, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "audit.log")
	all := map[string]string{"file_path": path}
	for k, v := range options {
		all[k] = v
	}
	j, store := journal(t, Options{Node: "node-1"}, Spec{Path: "main", Type: "file", Options: all})
	return j, store, path
}

func search(t testing.TB, j *Journal, store storage.Store, q Query) *Page {
	t.Helper()
	p, err := j.Search(t.Context(), storage.Begin(store), q)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// ids are the request ids of a page's records.
func ids(t testing.TB, p *Page) (out []string) {
	t.Helper()
	for _, r := range p.Records {
		var h head
		if err := json.Unmarshal(r, &h); err != nil {
			t.Fatal(err)
		}
		out = append(out, h.Request.ID)
	}
	return out
}

func TestSearchFilters(t *testing.T) {
	j, store, _ := searched(t, map[string]string{"prefix": "@cee: "})
	if p := search(t, j, store, Query{}); len(p.Records) != 0 || p.Next != "" || p.Device != "main/" || p.Node != "node-1" {
		t.Errorf("an empty log: %+v", p)
	}
	devices, err := j.Devices(t.Context(), storage.Begin(store))
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range []struct{ path, operation, name, fault string }{
		{"secret/data/a", "read", "alice", ""}, {"secret/data/b", "update", "bob", ""}, {"sys/mounts", "read", "alice", "permission denied"}, {"auth/x/login", "update", "", ""},
	} {
		x, resp := sample()
		x.Request.ID, x.Request.Path, x.Request.Operation, x.Auth.DisplayName = fmt.Sprint(i), s.path, s.operation, s.name
		if s.name == "" {
			x.Auth, resp.Auth = nil, &Auth{EntityID: "entity-7", Metadata: map[string]string{"user": "Carol"}}
		}
		x.Defer(s.fault)
		if err := devices.Response(t.Context(), x, resp, s.fault); err != nil {
			t.Fatal(err)
		}
	}
	hour := time.Now().Add(time.Hour)
	for want, q := range map[string]Query{
		"3 3 2 2 1 1 0 0": {}, "3 2 1 0": {Type: "response"}, "2 2 0 0": {Name: "ALI"}, "3": {Name: "carol"}, "3 ": {Name: "entity-7"}, "2 2": {ErrorsOnly: true},
		"3 3 1 1": {Operation: "update"}, "1 1 0 0": {PathPrefix: "secret/data/"}, "1 1": {Request: "1"}, "3 3": {Limit: 2}, "0": {Name: "alice", Type: "request", Operation: "read", PathPrefix: "secret/"},
		"": {From: hour}, " ": {To: hour.Add(-2 * time.Hour)}, "3 3 2 2 1 1 0 0 ": {From: hour.Add(-2 * time.Hour), To: hour}, "3 2 1 0 ": {Type: "response", Device: "/main"},
	} {
		if got := strings.Join(ids(t, search(t, j, store, q)), " "); got != strings.TrimSpace(want) {
			t.Errorf("%+v: got %q, want %q", q, got, want)
		}
	}
}

// Pages put together are the file, backwards, whatever their size, and one call
// reads no more than it may.
func TestSearchPages(t *testing.T) {
	j, store, path := searched(t, nil)
	var all []string
	var file bytes.Buffer
	for i := range 20_000 {
		id := fmt.Sprint(i)
		all = append(all, id)
		fmt.Fprintf(&file, `{"time":"2026-01-02T15:04:05Z","type":"request","request":{"id":%q,"path":%q}}`+"\n", id, strings.Repeat("p", i%700))
		switch i {
		case 5:
			file.WriteString("torn {\n\n")
		case 7:
			file.WriteString(strings.Repeat("x", maxRecord+searchGap) + "\n")
		}
	}
	file.WriteString(`{"time":"2026-01-02T15:04:05Z","type":"request","req`) // being written
	if err := os.WriteFile(path, file.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	var got []string
	cursor, skipped := "", 0
	for calls := 0; ; calls++ {
		p := search(t, j, store, Query{Limit: 997, Cursor: cursor})
		if p.Scanned > maxScan+maxRecord+searchGap {
			t.Fatalf("one call looked at %d bytes", p.Scanned)
		}
		got, skipped = append(got, ids(t, p)...), skipped+p.Skipped
		if cursor = p.Next; cursor == "" {
			break
		}
		if calls > 100 {
			t.Fatal("it does not end")
		}
	}
	slices.Reverse(all)
	if !slices.Equal(got, all) || skipped != 1 {
		t.Errorf("found %d of %d, %d skipped", len(got), len(all), skipped)
	}
	// Nothing matches: each call ends all the same, with where to go on.
	p := search(t, j, store, Query{Name: "nobody"})
	if p.Next == "" || p.Scanned < maxScan || len(p.Records) != 0 {
		t.Errorf("without a match: %+v", p)
	}
	// What is older than wanted is not read at all.
	p = search(t, j, store, Query{From: time.Date(2026, 1, 3, 0, 0, 0, 0, time.UTC)})
	if p.Next != "" || p.Scanned > 10_000 {
		t.Errorf("of the future: %+v", p)
	}
	first := search(t, j, store, Query{Limit: 1})
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if p := search(t, j, store, Query{}); len(p.Records) != 0 {
		t.Errorf("the file is gone: %+v", p)
	}
	if err := os.WriteFile(path, []byte("{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{first.Next, "x", "-1", "1-", "1--1", "1-g", "01-1", "1-1-1", strings.Repeat("f", 40) + "-1"} {
		if _, err := j.Search(t.Context(), storage.Begin(store), Query{Cursor: bad}); err == nil || !strings.Contains(err.Error(), "cursor is") {
			t.Errorf("cursor %q: %v", bad, err)
		}
	}
}

// Raw logs are not for the API, nor are devices that are no files.
func TestSearchRefuses(t *testing.T) {
	j, store, _ := searched(t, map[string]string{"log_raw": "true"})
	none, empty := journal(t, Options{})
	for _, c := range []struct {
		j     *Journal
		store storage.Store
		q     Query
		want  string
	}{
		{j, store, Query{Device: "main"}, "log_raw"}, {j, store, Query{}, "no file audit device to search"}, {j, store, Query{Device: "other"}, "no file audit device of this node is at other/"},
		{j, store, Query{Device: "../x"}, "invalid audit device path"}, {none, empty, Query{}, "no file audit device to search"},
	} {
		if _, err := c.j.Search(t.Context(), storage.Begin(c.store), c.q); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c.q, err)
		}
	}
	j, store, _ = searched(t, nil)
	for _, limit := range []int{-1, maxFound + 1} {
		if _, err := j.Search(t.Context(), storage.Begin(store), Query{Limit: limit}); err == nil {
			t.Errorf("limit %d is taken", limit)
		}
	}
}

func FuzzCursor(f *testing.F) {
	f.Add("1f-200")
	f.Add("-")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parsePosition(text)
		if err == nil && (p.String() != text || p.offset < 0) {
			t.Errorf("%q is %+v", text, p)
		}
	})
}

// Lines read backwards are the lines read forwards.
func FuzzBackwards(f *testing.F) {
	f.Add([]byte("a\nbb\n\nccc"))
	f.Add([]byte("\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var want []string
		lines := strings.SplitAfter(string(data), "\n")
		for _, l := range lines {
			if whole, ok := strings.CutSuffix(l, "\n"); ok {
				want = append(want, whole)
			} else if l != "" {
				want = append(want, "") // is being written
			}
		}
		b := &backwards{from: bytes.NewReader(data), offset: int64(len(data))}
		var got []string
		for {
			line, err := b.line()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, string(line))
		}
		slices.Reverse(got)
		if !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", data, got, want)
		}
		q := Query{Name: "x"}
		for _, l := range got {
			q.matches([]byte(l))
		}
	})
}
