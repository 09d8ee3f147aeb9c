package cli

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

// TestEventsSubscribe: events come out line by line, and an end by the server is an error that says why.
func TestEventsSubscribe(t *testing.T) {
	var asked []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.RequestURI()+" "+r.Header.Get("X-Vault-Token")+" "+r.Header.Get("X-Vault-Namespace"))
		if strings.HasSuffix(r.URL.Path, "/denied") {
			w.WriteHeader(403)
			w.Write([]byte(`{"errors":["1 error occurred:\n\t* permission denied\n\n"]}`))
			return
		}
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		for _, event := range []string{`{"id":"1"}`, `{"id":"2"}`} {
			if err := conn.Write(r.Context(), websocket.MessageText, []byte(event)); err != nil {
				t.Error(err)
			}
		}
		if strings.HasSuffix(r.URL.Path, "/endless") {
			_, _, _ = conn.Read(r.Context()) // until the client goes
			return
		}
		conn.Close(websocket.StatusServiceRestart, "another node is active")
	}))
	t.Cleanup(s.Close)
	term := newTerminal(t, &fakeServer{t: t, url: s.URL})
	term.env["VAULT_TOKEN"] = "hvs.x"
	const both = "{\"id\":\"1\"}\n{\"id\":\"2\"}\n"
	for _, tc := range []struct {
		args           []string
		code           int
		stdout, stderr string
		asked          string
	}{
		{[]string{"-namespaces=a", "-namespaces=b/*", "-filter=operation == write", "kv*"}, 2, both,
			"Error subscribing to events: the server ended the subscription (1012): another node is active\n",
			"GET /v1/sys/events/subscribe/kv%2A?filter=operation+%3D%3D+write&json=true&namespaces=a&namespaces=b%2F%2A hvs.x "},
		{[]string{"-timeout=1s", "-namespace=team", "kv/endless"}, 0, both, "", "GET /v1/sys/events/subscribe/kv/endless?json=true hvs.x team"},
		{[]string{"denied"}, 2, "", "Error subscribing to events: Error making API request.\n\nURL: GET " + s.URL +
			"/v1/sys/events/subscribe/denied?json=true\nCode: 403. Errors:\n\n* 1 error occurred:\n\t* permission denied\n\n\n",
			"GET /v1/sys/events/subscribe/denied?json=true hvs.x "},
		{[]string{}, 1, "", "Not enough arguments (expected 1, got 0)\n", ""},
	} {
		asked = nil
		got := term.run(append([]string{"events", "subscribe"}, tc.args...)...)
		if got.code != tc.code || got.stdout != tc.stdout || got.stderr != tc.stderr || strings.Join(asked, "\n") != tc.asked {
			t.Errorf("%q: exit %d\n%s\n%s\nasked %q", tc.args, got.code, got.stdout, got.stderr, asked)
		}
	}
	if got := term.run("events", "subscribe", "-output-policy", "kv-v2/data-write"); got.code != 0 ||
		!strings.Contains(got.stdout, `path "sys/events/subscribe/kv-v2/data-write"`) || !strings.Contains(got.stdout, `"read"`) {
		t.Errorf("-output-policy: %+v", got)
	}
}
