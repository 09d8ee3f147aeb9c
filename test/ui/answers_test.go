package ui_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"testing"

	"strongroom/internal/openapi/openapitest"
)

// line is one of what the browser writes down: what a page was answered, or, after each step, the OpenAPI document as it then is.
type line struct {
	Method, URL, Type, Body string
	Status                  int
	Document                json.RawMessage
}

// checkAnswers holds what the pages were answered, by real servers, against the document that their types are made of, and says how many
// answers the document described.
func checkAnswers(t *testing.T, file string) (described int) {
	t.Helper()
	in, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	var waiting []line
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var l line
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			t.Fatal(err)
		}
		if l.Document == nil {
			waiting = append(waiting, l)
			continue
		}
		doc, err := openapitest.Parse(l.Document)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range waiting {
			u, err := url.Parse(w.URL)
			if err != nil {
				t.Fatal(err)
			}
			asked := u.Path[len("/v1/"):]
			if u.RawQuery != "" {
				asked += "?" + u.RawQuery
			}
			checked, err := doc.Checked(w.Method, asked, w.Status, http.Header{"Content-Type": {w.Type}}, []byte(w.Body))
			if err != nil {
				t.Error(err)
			}
			if checked {
				described++
			}
		}
		waiting = nil
	}
	if lines.Err() != nil {
		t.Fatal(lines.Err())
	}
	return described
}
