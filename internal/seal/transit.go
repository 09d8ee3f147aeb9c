package seal

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"strongroom/internal/secret"
)

// Transit is a seal that is a key in the transit engine of another
// Vault-compatible server. Its client is net/http alone: it needs three calls of
// the API, and the CLI's client would bring its retries, rate limiter and
// environment into every server.
type Transit struct {
	config TransitConfig
	client *http.Client
}

// TransitConfig says where the key is.
type TransitConfig struct {
	Address        string // URL of the server
	Token          secret.Bytes
	KeyName        string
	MountPath      string
	Namespace      string      // "" is none
	DisableRenewal bool        // the token is somebody else's to renew
	TLS            *tls.Config // nil: the system's roots
}

const (
	transitTimeout = 10 * time.Second // of one call
	maxTransit     = 1 << 20          // bytes of an answer
)

// NewTransit makes the seal; it does not call the server yet.
func NewTransit(c TransitConfig) (*Transit, error) {
	u, err := url.Parse(c.Address)
	switch {
	case c.Address == "" || len(c.Token) == 0 || c.KeyName == "" || c.MountPath == "":
		return nil, errors.New("address, token, key_name and mount_path are needed (or VAULT_ADDR, VAULT_TOKEN, VAULT_TRANSIT_SEAL_KEY_NAME and VAULT_TRANSIT_SEAL_MOUNT_PATH)")
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "":
		return nil, errors.New("address: a full address is needed, such as https://vault.example.com:8200")
	}
	c.Address, c.MountPath = strings.TrimSuffix(c.Address, "/"), strings.Trim(c.MountPath, "/")
	transport := &http.Transport{TLSClientConfig: c.TLS, Proxy: http.ProxyFromEnvironment, MaxIdleConns: 1, IdleConnTimeout: time.Minute}
	return &Transit{c, &http.Client{Timeout: transitTimeout, Transport: transport, CheckRedirect: follow}}, nil
}

// follow goes where a standby sends its clients, but takes the token out of TLS for nobody.
func follow(to *http.Request, via []*http.Request) error {
	if len(via) > 3 || via[0].URL.Scheme == "https" && to.URL.Scheme != "https" {
		return errors.New("the server redirects too often, or out of TLS")
	}
	return nil
}

// Type implements Auto.
func (t *Transit) Type() string { return "transit" }

// transitError is an answer that is not 200, with the server's own words.
type transitError struct {
	status int
	texts  []string
}

func (e *transitError) Error() string {
	text := strings.Join(e.texts, "; ")
	switch e.status {
	case http.StatusForbidden:
		return "the server refuses the token: see that it is valid and that its policy has update on the key's encrypt and decrypt (" + text + ")"
	case http.StatusServiceUnavailable:
		return "the server is sealed or not ready (" + text + ")"
	}
	return fmt.Sprintf("the server answered %d (%s)", e.status, text)
}

// Wrap implements Seal.
func (t *Transit) Wrap(ctx context.Context, key []byte) ([]byte, error) {
	var out struct {
		Data struct {
			Ciphertext string `json:"ciphertext"`
		} `json:"data"`
	}
	plain := base64.StdEncoding.EncodeToString(key)
	if err := t.call(ctx, t.keyPath("encrypt"), map[string]string{"plaintext": plain}, &out); err != nil {
		return nil, fmt.Errorf("seal: transit: encrypt: %w", err)
	}
	if _, ok := transitVersion([]byte(out.Data.Ciphertext)); !ok {
		return nil, errors.New("seal: transit: encrypt: the server's answer holds no ciphertext")
	}
	return []byte(out.Data.Ciphertext), nil
}

// Unwrap implements Seal. The server's 400 is secret.ErrOpen: it has the key, and
// the key does not open this.
func (t *Transit) Unwrap(ctx context.Context, wrapped []byte) ([]byte, error) {
	if _, ok := transitVersion(wrapped); !ok {
		return nil, secret.ErrOpen
	}
	var out struct {
		Data struct {
			Plaintext []byte `json:"plaintext"`
		} `json:"data"`
	}
	err := t.call(ctx, t.keyPath("decrypt"), map[string]string{"ciphertext": string(wrapped)}, &out)
	var answer *transitError
	switch {
	case errors.As(err, &answer) && answer.status == http.StatusBadRequest:
		return nil, fmt.Errorf("seal: transit: decrypt: %w: %w", err, secret.ErrOpen)
	case err != nil:
		return nil, fmt.Errorf("seal: transit: decrypt: %w", err)
	}
	return out.Data.Plaintext, nil
}

// Stale implements Auto: it asks which version of the key is the newest by having something of no worth encrypted.
func (t *Transit) Stale(ctx context.Context, wrapped []byte) (bool, error) {
	have, ok := transitVersion(wrapped)
	if !ok {
		return false, secret.ErrOpen
	}
	sample, err := t.Wrap(ctx, make([]byte, secret.KeySize))
	if err != nil {
		return false, err
	}
	newest, _ := transitVersion(sample)
	return newest != have, nil
}

// transitVersion is the N of "vault:vN:…", which names the key's version.
func transitVersion(ciphertext []byte) (string, bool) {
	parts := strings.SplitN(string(ciphertext), ":", 3)
	if len(parts) != 3 || !strings.HasPrefix(parts[1], "v") || parts[2] == "" {
		return "", false
	}
	return parts[1], true
}

// Renew keeps the token alive until ctx ends; report is told what goes wrong and
// is retried. A token that cannot be renewed is somebody else's to replace.
func (t *Transit) Renew(ctx context.Context, report func(error)) {
	if t.config.DisableRenewal {
		return
	}
	for wait := time.Duration(0); ; {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		var out struct {
			Auth struct {
				Duration  int64 `json:"lease_duration"` // seconds
				Renewable bool  `json:"renewable"`
			} `json:"auth"`
		}
		err := t.call(ctx, "auth/token/renew-self", struct{}{}, &out)
		var answer *transitError
		switch {
		case ctx.Err() != nil:
			return
		case errors.As(err, &answer) && answer.status == http.StatusBadRequest: // a root token, or one made not renewable
			report(errors.New("the token cannot be renewed; replace it before it expires: " + err.Error()))
			return
		case err != nil:
			report(fmt.Errorf("the token was not renewed; trying again: %w", err))
			wait = min(cmp.Or(2*wait, time.Second), time.Minute)
			continue
		case !out.Auth.Renewable || out.Auth.Duration <= 0:
			return
		}
		wait = max(time.Duration(out.Auth.Duration)*time.Second/2, time.Second)
	}
}

func (t *Transit) keyPath(operation string) string {
	return t.config.MountPath + "/" + operation + "/" + url.PathEscape(t.config.KeyName)
}

// call posts in to path and decodes the answer into out.
func (t *Transit) call(ctx context.Context, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, t.config.Address+"/v1/"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Vault-Request", "true")
	req.Header.Set("X-Vault-Token", string(t.config.Token))
	if t.config.Namespace != "" {
		req.Header.Set("X-Vault-Namespace", t.config.Namespace)
	}
	resp, err := t.client.Do(req)
	if err != nil {
		return fmt.Errorf("the server cannot be reached: %w", err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxTransit))
	if err != nil {
		return fmt.Errorf("the server's answer broke off: %w", err)
	}
	defer clear(answer)
	if resp.StatusCode != http.StatusOK {
		var failed struct {
			Errors []string `json:"errors"`
		}
		json.Unmarshal(answer, &failed)
		return &transitError{resp.StatusCode, failed.Errors}
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return errors.New("the server's answer is not of this API")
	}
	return nil
}
