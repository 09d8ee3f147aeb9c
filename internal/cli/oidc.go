package cli

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"runtime"
	"strconv"
	"time"

	"github.com/hashicorp/vault/api"
)

// oidcPatience is how long the server remembers a login by browser.
const oidcPatience = 5 * time.Minute

// oidcLogin is a login by browser: the provider sends the browser back to a
// listener on this machine, which only takes the answer to the question asked.
type oidcLogin struct {
	client      *api.Client
	path        string // of the method: "auth/oidc/"
	state       string
	clientNonce string
	done        chan oidcResult // of one
}

type oidcResult struct {
	secret *api.Secret
	err    error
}

// oidcOptions are the key=value arguments of -method=oidc.
type oidcOptions struct {
	role, listen, port, scheme, host, callbackPort string
	mode                                           string // client, or direct: the browser goes to the server
	skipBrowser                                    bool
}

func oidcArguments(data map[string]any) (oidcOptions, error) {
	text := func(name, otherwise string) string {
		s, _ := data[name].(string)
		delete(data, name)
		return cmp.Or(s, otherwise)
	}
	o := oidcOptions{
		role: text("role", ""), listen: text("listenaddress", "localhost"), port: text("port", "8250"),
		mode: text("callbackmode", "client"), scheme: text("callbackmethod", ""), host: text("callbackhost", ""), callbackPort: text("callbackport", ""),
	}
	if o.mode != "client" && o.mode != "direct" {
		return o, usagef("callbackmode must be client or direct, not %q", o.mode)
	}
	var err error
	if o.skipBrowser, err = strconv.ParseBool(text("skip_browser", "false")); err != nil {
		return o, usagef("skip_browser must be true or false")
	}
	for _, ignored := range []string{"mount", "show_qr", "abort_on_error"} {
		delete(data, ignored)
	}
	for name := range data {
		return o, usagef("-method=oidc has no argument %q: it takes role, port, listenaddress, callbackmode, callbackhost, callbackport, callbackmethod and skip_browser", name)
	}
	return o, nil
}

// withOIDC logs in by browser.
func (l *login) withOIDC(ctx context.Context, c *call, client *api.Client) (*api.Secret, error) {
	data, err := c.data(0)
	if err != nil {
		return nil, err
	}
	o, err := oidcArguments(data)
	if err != nil {
		return nil, err
	}
	f := &oidcLogin{client: client, path: "auth/" + l.path + "/oidc/", clientNonce: rand.Text(), done: make(chan oidcResult, 1)}
	if o.mode == "direct" {
		return f.direct(ctx, c, o)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(o.listen, o.port))
	if err != nil {
		return nil, usagef("the browser's answer cannot be awaited: %w; free the port, or add port=NUMBER", err)
	}
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		return nil, err
	}
	redirect := cmp.Or(o.scheme, "http") + "://" + net.JoinHostPort(cmp.Or(o.host, "localhost"), cmp.Or(o.callbackPort, port)) + "/oidc/callback"
	where, interval, err := f.begin(ctx, o.role, redirect)
	if err != nil {
		return nil, err
	}
	if interval > 0 {
		return nil, usagef("the role is for logins in direct mode: add callbackmode=direct")
	}
	f.open(ctx, c, where, o.skipBrowser)
	return f.await(ctx, listener)
}

// begin asks the server where to send the browser, and in direct mode how often to ask for the outcome.
func (f *oidcLogin) begin(ctx context.Context, role, redirect string) (where string, interval time.Duration, err error) {
	secret, err := f.client.Logical().WriteWithContext(ctx, f.path+"auth_url", map[string]any{"role": role, "redirect_uri": redirect, "client_nonce": f.clientNonce})
	if err != nil {
		return "", 0, err
	}
	if secret != nil {
		where, _ = secret.Data["auth_url"].(string)
		if n, ok := secret.Data["poll_interval"].(json.Number); ok {
			seconds, _ := n.Int64()
			interval = time.Duration(max(seconds, 1)) * time.Second
		}
	}
	if where == "" {
		return "", 0, answerf("Unable to authorize role %q with redirect_uri %q. Check Vault logs for more information: the role's allowed_redirect_uris must hold it", role, redirect)
	}
	u, err := url.Parse(where)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") {
		return "", 0, answerf("the server sends the browser to something that is no web page")
	}
	f.state = u.Query().Get("state")
	return where, interval, nil
}

// open shows where to log in, and goes there.
func (f *oidcLogin) open(ctx context.Context, c *call, where string, byHand bool) {
	if byHand {
		fmt.Fprintf(c.Stderr, "Complete the login via your OIDC provider. Open the following link in your browser:\n\n    %s\n\n\n", where)
		return
	}
	fmt.Fprintf(c.Stderr, "Complete the login via your OIDC provider. Launching browser to:\n\n    %s\n\n\n", where)
	if err := browse(ctx, where); err != nil {
		fmt.Fprintf(c.Stderr, "Error attempting to automatically open browser: '%s'.\nPlease visit the authorization URL manually.\n", err)
	}
}

// browse opens a web page in the user's browser. It is an argument of a program,
// never of a shell, and begins with http.
func browse(ctx context.Context, page string) error {
	switch runtime.GOOS {
	case "darwin":
		return exec.CommandContext(ctx, "open", page).Run()
	case "windows":
		return exec.CommandContext(ctx, "rundll32", "url.dll,FileProtocolHandler", page).Run()
	}
	return exec.CommandContext(ctx, "xdg-open", page).Run()
}

// await serves the browser until it brings the answer.
func (f *oidcLogin) await(ctx context.Context, listener net.Listener) (*api.Secret, error) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /oidc/callback", f.callback)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go server.Serve(listener) // ends with Shutdown
	ctx, cancel := context.WithTimeout(ctx, oidcPatience)
	defer cancel()
	select {
	case r := <-f.done:
		last, cancel := context.WithTimeout(ctx, time.Second) // the browser is still reading its page
		defer cancel()
		_ = server.Shutdown(last)
		return r.secret, r.err
	case <-ctx.Done():
		server.Close()
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return nil, answerf("Timed out waiting for response from provider")
		}
		return nil, ctx.Err()
	}
}

// callback takes what the browser brings from the provider to the server. Its
// page is plain text, without anything of what it was given.
func (f *oidcLogin) callback(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	q := r.URL.Query()
	if f.state == "" || q.Get("state") != f.state {
		w.WriteHeader(http.StatusBadRequest)
		io.WriteString(w, "This is not the answer to the login that is under way.\n")
		return
	}
	data := map[string][]string{"client_nonce": {f.clientNonce}}
	for _, name := range []string{"state", "code", "id_token", "error", "error_description"} {
		if v := q.Get(name); v != "" {
			data[name] = []string{v}
		}
	}
	secret, err := f.client.Logical().ReadWithDataWithContext(r.Context(), f.path+"callback", data)
	if err == nil && secret == nil {
		err = answerf("Vault returned an empty secret")
	}
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		io.WriteString(w, "The login failed: the terminal says why. You can close this window.\n")
	} else {
		io.WriteString(w, "Signed in via your OIDC provider. You can now close this window and start using Vault.\n")
	}
	select {
	case f.done <- oidcResult{secret, err}:
	default: // answered before
	}
}
