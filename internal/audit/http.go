package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// poster sends what waits as the body of one POST: a JSON object a line.
type poster struct {
	uri     string
	headers http.Header
	client  *http.Client
	failed  time.Time
}

func httpSink(o *options, trusted bool) sink {
	p := &poster{headers: http.Header{}, client: &http.Client{Transport: http.DefaultTransport.(*http.Transport).Clone(),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	p.uri = o.reference("uri", o.text("uri", ""), trusted)
	if u, err := url.Parse(p.uri); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		o.fail("uri must be the full address that records are posted to, such as https://logs.example.com/audit")
	}
	var headers map[string][]string
	if err := json.Unmarshal([]byte(o.text("headers", "{}")), &headers); err != nil {
		o.fail(`headers must be a JSON object of lists of texts, such as {"Authorization": ["Bearer …"]}`)
	}
	for name, values := range headers {
		for _, v := range values {
			p.headers.Add(name, o.reference("headers", v, trusted))
		}
	}
	return p
}

// reference resolves env://NAME and file://PATH, which only the configuration
// may use: whoever enables a device over the API would read what the server can.
func (o *options) reference(name, value string, trusted bool) string {
	kind, at, ok := strings.Cut(value, "://")
	if !ok || kind != "env" && kind != "file" {
		return value
	}
	if !trusted {
		o.fail("%s refers to the server's %s, which only its configuration may", name, kind)
		return ""
	}
	if kind == "env" {
		return os.Getenv(at)
	}
	text, err := os.ReadFile(at)
	if err != nil {
		o.fail("%s: %w", name, err)
	}
	return strings.TrimSpace(string(text))
}

func (p *poster) write(records []byte, _ []int, deadline time.Time) error {
	if time.Since(p.failed) < pause {
		return errors.New("the HTTP server could not be reached a moment ago")
	}
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.uri, bytes.NewReader(records))
	if err != nil {
		return errors.New("uri cannot be posted to")
	}
	req.Header = p.headers.Clone()
	if req.Header.Get("Content-Type") == "" {
		req.Header.Set("Content-Type", "application/x-ndjson")
	}
	resp, err := p.client.Do(req)
	if err != nil {
		p.failed = time.Now()
		if u, ok := errors.AsType[*url.Error](err); ok { // without the URL, which may hold a password
			err = u.Err
		}
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // to use the connection again
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("the HTTP server answered %s", resp.Status)
	}
	return nil
}

// reopen gives up idle connections.
func (p *poster) reopen() { p.client.CloseIdleConnections() }

func (p *poster) close() error {
	p.reopen()
	return nil
}
