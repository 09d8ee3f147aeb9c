package compat

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/go-hclog"

	"strongroom/engine"
	"strongroom/internal/openapi"
	"strongroom/internal/openapi/openapitest"
	"strongroom/internal/sys"
)

// described is the OpenAPI document of the mounts that every server has.
var described = sync.OnceValues(func() (*openapitest.Document, error) {
	doc := openapi.New("")
	for path, kind := range map[string]string{"sys/": "system", "auth/token/": "token", "identity/": "identity", "cubbyhole/": "cubbyhole"} {
		e, err := (&sys.Deps{}).Types()[kind].Factory(engine.Env{Mount: engine.Mount{Path: path, Type: kind}, Logger: hclog.NewNullLogger()})
		if err != nil {
			return nil, err
		}
		for _, r := range e.Routes() {
			doc.Add(openapi.Place{Path: path, Tag: kind}, r)
		}
	}
	b, err := json.Marshal(doc.Object())
	if err != nil {
		return nil, err
	}
	return openapitest.Parse(b)
})

// watched holds what a server answers a stock client against the document.
type watched struct {
	t    *testing.T
	next http.RoundTripper
}

func (w watched) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := w.next.RoundTrip(req)
	if err != nil || resp.Header.Get("Content-Type") != "application/json" {
		return resp, err // a stream is the caller's to read
	}
	doc, err := described()
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(body))
	if err != nil {
		return resp, err
	}
	asked := strings.TrimPrefix(req.URL.Path, "/v1/") + "?" + req.URL.RawQuery
	if err := doc.Check(req.Method, asked, resp.StatusCode, resp.Header, body); err != nil && req.Header.Get("X-Vault-Namespace") == "" && w.t.Context().Err() == nil {
		w.t.Error(err)
	}
	return resp, nil
}
