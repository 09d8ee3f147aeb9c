package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// The test's program is its own children too.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && strings.HasPrefix(os.Args[1], "-role=") {
		main()
		return
	}
	os.Exit(m.Run())
}

// A run too short to mean anything, so that the benchmark does not rot unseen.
func TestRun(t *testing.T) {
	var out, log bytes.Buffer
	if err := run(t.Context(), options{dir: t.TempDir(), length: 30 * time.Millisecond, asJSON: true, log: &log}, &out); err != nil {
		t.Fatalf("%v\n%s", err, &log)
	}
	var rep report
	if err := json.Unmarshal(out.Bytes(), &rep); err != nil {
		t.Fatal(err)
	}
	// Nine workloads in three settings; a standby's reads besides.
	if rep.SyncsPerS <= 0 || len(rep.Rows) != (3*9+1)*len(connections) {
		t.Errorf("%d rows, %f fsyncs/s", len(rep.Rows), rep.SyncsPerS)
	}
	for _, row := range rep.Rows {
		for _, f := range []figures{row.Limit, row.Server} {
			if f.Requests == 0 || f.P50 <= 0 || f.P99 < f.P50 {
				t.Errorf("%s, %s, %d connections: %+v", row.Workload, row.Servers, row.Conns, f)
			}
		}
	}
	for _, row := range rep.Rows {
		entries, want := row.Server.Entries, 0.0
		if slices.Contains(oneEntry, row.Workload) {
			want = 1
		}
		// One client's entries hold nobody else's, but the server writes by itself now and then.
		if off := entries - want; row.Conns == 1 && (off < 0 || off > 0.2) {
			t.Errorf("%s, %s: %.2f entries a request, want %v", row.Workload, row.Servers, entries, want)
		}
	}
	if len(rep.Raft) != 2 {
		t.Errorf("%d rows of raw Raft", len(rep.Raft))
	}
	for _, r := range rep.Raft {
		if r.Entry < 100 || r.Entry > 10_000 || r.Limit <= 0 || r.Server <= 0 {
			t.Errorf("raw Raft: %+v", r)
		}
	}
	var table bytes.Buffer
	rep.markdown(&table)
	if lines := strings.Count(table.String(), "\n| "); lines != len(rep.Rows)+len(rep.Raft)+2 { // and the heads
		t.Errorf("%d lines:\n%s", lines, &table)
	}
}

func TestScale(t *testing.T) {
	var out, log bytes.Buffer
	if err := run(t.Context(), options{dir: t.TempDir(), leases: 1000, log: &log}, &out); err != nil {
		t.Fatalf("%v\n%s", err, &log)
	}
	if n := strings.Count(out.String(), " MiB |\n"); n != 2 {
		t.Errorf("%d rows:\n%s", n, &out)
	}
}

func TestChurn(t *testing.T) {
	var out, log bytes.Buffer
	if err := run(t.Context(), options{dir: t.TempDir(), churn: 300, length: time.Millisecond, log: &log}, &out); err != nil {
		t.Fatalf("%v\n%s", err, &log)
	}
	if n := strings.Count(out.String(), " MiB |\n"); n != 4 {
		t.Errorf("%d rows:\n%s", n, &out)
	}
}

func TestReadAnswer(t *testing.T) {
	for _, tc := range []struct{ answer, err string }{
		{"HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 2\r\n\r\n{}", ""},
		{"HTTP/1.1 204 No Content\r\n\r\n", ""},
		{"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno", "status 403: no"},
		{"HTTP/1.1 200 OK\r\n\r\n", "status 200 without a Content-Length"},
		{"junk\n", `not HTTP: "junk\n"`},
		{"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", "EOF"},
	} {
		err := readAnswer(bufio.NewReader(strings.NewReader(tc.answer)))
		if tc.err == "" && err != nil || tc.err != "" && (err == nil || err.Error() != tc.err) {
			t.Errorf("%q: %v, want %q", tc.answer, err, tc.err)
		}
	}
}

// A length that is over before any request begins is not one without figures.
func TestLoadLastsUntilMeasured(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("{}")) }))
	defer s.Close()
	addr := s.Listener.Addr().String()
	const conns = 8
	f, err := load{addr: addr, conns: conns, cpu: func() (time.Duration, error) { return 0, nil },
		requests: func(int) [][]byte { return [][]byte{rawRequest(http.MethodGet, addr, "x", "", nil)} }}.run(t.Context())
	if err != nil || f.Requests < fewest {
		t.Errorf("%+v, %v, want at least %d requests", f, err, fewest)
	}
}
