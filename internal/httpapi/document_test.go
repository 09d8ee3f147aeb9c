package httpapi_test

import (
	"net/http"
	"sync"
	"testing"

	"github.com/hashicorp/go-hclog"

	"strongroom/internal/httpapi"
	"strongroom/internal/openapi/openapitest"
)

// document is the OpenAPI document of a server with nothing but its own mounts.
type document struct {
	once   sync.Once
	parsed *openapitest.Document
}

// described is the one document, which every answer of the tests is held against.
var described document

func (d *document) check(t testing.TB, method, path string, code int, header http.Header, body []byte) {
	t.Helper()
	d.once.Do(func() {
		s := alone(t, httpapi.Config{}, hclog.NewNullLogger())
		w := s.ask("GET", "sys/internal/specs/openapi", s.root, "")
		var err error
		if d.parsed, err = openapitest.Parse(w.Body.Bytes()); err != nil {
			t.Fatal(err)
		}
	})
	if d.parsed == nil {
		t.Fatal("there is no OpenAPI document")
	}
	if err := d.parsed.Check(method, path, code, header, body); err != nil {
		t.Error(err)
	}
}
