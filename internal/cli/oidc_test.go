package cli

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// browserServer answers as the server does, and is the user's browser too: once
// it has said where to log in, it goes back with what answers says.
func browserServer(t *testing.T, authURL string, visits []url.Values) (address string, pages chan string, asked chan url.Values) {
	t.Helper()
	pages, asked = make(chan string, len(visits)), make(chan url.Values, 1)
	nonce := ""
	mux := http.NewServeMux()
	mux.HandleFunc("/v1/auth/sso/oidc/auth_url", func(w http.ResponseWriter, r *http.Request) {
		var body map[string]string
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		nonce = body["client_nonce"]
		json.NewEncoder(w).Encode(map[string]any{"data": map[string]any{"auth_url": authURL}})
		go func() {
			for _, q := range visits {
				resp, err := http.Get(body["redirect_uri"] + "?" + q.Encode())
				if err != nil {
					t.Error(err)
					return
				}
				page, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				pages <- string(page)
			}
		}()
	})
	mux.HandleFunc("/v1/auth/sso/oidc/callback", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if len(q.Get("client_nonce")) < 20 || q.Get("client_nonce") != nonce {
			t.Errorf("client_nonce %q, began with %q", q.Get("client_nonce"), nonce)
		}
		q.Del("client_nonce")
		asked <- q
		if q.Get("code") != "good" {
			w.WriteHeader(400)
			io.WriteString(w, `{"errors":["Vault login failed."]}`)
			return
		}
		io.WriteString(w, methodLogin)
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL, pages, asked
}

func TestLoginOIDC(t *testing.T) {
	const authURL = "https://login.example.com/authorize?state=s1"
	for name, c := range map[string]struct {
		visits []url.Values
		code   int
		want   string // in stdout or stderr
		page   string // the last
	}{
		"good":      {[]url.Values{{"state": {"s1"}, "code": {"good"}}}, 0, methodTable, "Signed in"},
		"forged":    {[]url.Values{{"state": {"x"}, "code": {"evil"}}, {"code": {"evil"}}, {"state": {"s1"}, "code": {"good"}}}, 0, methodTable, "Signed in"},
		"refused":   {[]url.Values{{"state": {"s1"}, "code": {"<b>bad"}}}, 2, "Vault login failed.", "The login failed"},
		"no access": {[]url.Values{{"state": {"s1"}, "error": {"access_denied"}}}, 2, "Vault login failed.", "The login failed"},
	} {
		t.Run(name, func(t *testing.T) {
			address, pages, asked := browserServer(t, authURL, c.visits)
			term := newTerminal(t, nil)
			term.env["VAULT_ADDR"] = address
			delete(term.env, "VAULT_TOKEN")
			r := term.run("login", "-method=oidc", "-path=sso", "-no-store", "port=0", "skip_browser=true", "role=dev", "listenaddress=127.0.0.1", "callbackhost=127.0.0.1")
			if r.code != c.code || !strings.Contains(r.stdout+r.stderr, c.want) || !strings.Contains(r.stderr, "    "+authURL+"\n") {
				t.Errorf("code %d\n%s\n%s", r.code, r.stdout, r.stderr)
			}
			last := ""
			for range c.visits {
				if last = <-pages; strings.Contains(last, "evil") || strings.Contains(last, "bad") {
					t.Errorf("a page repeats what it was given: %s", last)
				}
			}
			if !strings.Contains(last, c.page) {
				t.Errorf("the browser shows %q", last)
			}
			if q := <-asked; q.Get("state") != "s1" {
				t.Errorf("the server was asked with %v", q)
			}
		})
	}
}

func TestLoginOIDCRefuses(t *testing.T) {
	for want, answerURL := range map[string]string{"Unable to authorize role": "", "no web page": "file:///etc/passwd?state=s1"} {
		address, _, _ := browserServer(t, answerURL, nil)
		term := newTerminal(t, nil)
		term.env["VAULT_ADDR"] = address
		if r := term.run("login", "-method=oidc", "-path=sso", "port=0", "skip_browser=true"); r.code != 2 || !strings.Contains(r.stderr, want) {
			t.Errorf("%d, %s", r.code, r.stderr)
		}
	}
	term := newTerminal(t, nil)
	for _, args := range [][]string{{"skip_browser=maybe"}, {"colour=red"}, {"port=none"}} {
		if r := term.run(append([]string{"login", "-method=oidc"}, args...)...); r.code != 1 {
			t.Errorf("%v: %d, %s", args, r.code, r.stderr)
		}
	}
}
