package vaultclient

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"

	vault "github.com/hashicorp/vault/api"
)

// In is the same login, asking in another namespace of the server; "" is the login's own.
func (c *Client) In(namespace string) *Client {
	if namespace == "" || namespace == c.login.Namespace {
		return c
	}
	other := *c
	other.vault = c.vault.WithNamespace(namespace)
	return &other
}

// ReadWith is Read with a query.
func (c *Client) ReadWith(ctx context.Context, path string, query url.Values) (*vault.Secret, error) {
	return c.parse(c.raw(ctx, path, query))
}

// raw is the body of what a GET answers: nil without one. It comes with the error of a 404.
func (c *Client) raw(ctx context.Context, path string, query url.Values) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, c.login.timeout())
	defer cancel()
	response, err := c.vault.Logical().ReadRawWithDataWithContext(ctx, path, query)
	if response != nil && response.Body != nil {
		defer func() { _ = response.Body.Close() }()
	}
	problem := classify(c.login.Address, err)
	if problem != nil && (response == nil || response.StatusCode != http.StatusNotFound) {
		return nil, problem
	}
	body, err := io.ReadAll(response.Body)
	if problem == nil && err != nil {
		return nil, classify(c.login.Address, err)
	}
	return body, problem
}

// parse makes what Read returns of what raw does.
func (c *Client) parse(body []byte, problem error) (*vault.Secret, error) {
	if body == nil {
		return nil, problem
	}
	secret, err := vault.ParseSecret(bytes.NewReader(body))
	if problem == nil && err != nil {
		return nil, unreachable(c.login.Address, "its answer is not JSON, or too long")
	}
	return secret, problem
}

// Write answers a PUT of a path of the API with a body; nil without an answer's body. Errors are *Refused, or Problems
// of the connection.
func (c *Client) Write(ctx context.Context, path string, body map[string]any) (*vault.Secret, error) {
	ctx, cancel := context.WithTimeout(ctx, c.login.timeout())
	defer cancel()
	secret, err := c.vault.Logical().WriteWithContext(ctx, path, body)
	if err != nil {
		return nil, classify(c.login.Address, err)
	}
	return secret, nil
}

// List answers a LIST of a path of the API: the names there, folders with a slash at the end; none where there is
// nothing. Errors are *Refused, or Problems of the connection.
func (c *Client) List(ctx context.Context, path string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, c.login.timeout())
	defer cancel()
	secret, err := c.vault.Logical().ListWithContext(ctx, path)
	if err != nil {
		return nil, classify(c.login.Address, err)
	}
	if secret == nil {
		return nil, nil
	}
	keys, _ := secret.Data["keys"].([]any)
	names := make([]string, 0, len(keys))
	for _, key := range keys {
		if name, ok := key.(string); ok {
			names = append(names, name)
		}
	}
	return names, nil
}

// Delete answers a DELETE of a path of the API. Errors are *Refused, or Problems of the connection.
func (c *Client) Delete(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, c.login.timeout())
	defer cancel()
	_, err := c.vault.Logical().DeleteWithContext(ctx, path)
	return classify(c.login.Address, err)
}
