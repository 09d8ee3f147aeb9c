package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
)

// maxTyped bounds what is read from stdin as a token, share or password.
const maxTyped = 1 << 20

// secretInput gets one secret that was not given as an argument: typed without echo on a terminal, or
// read from stdin. what names it ("Token", "Unseal Key").
func (c *call) secretInput(ctx context.Context, what string) (string, error) {
	if c.ReadPassword == nil {
		return c.pipedSecret(what)
	}
	if c.options.nonInteractive {
		return "", usagef("%s is missing, and -non-interactive forbids asking for it: give it as an argument, or pipe it in", what)
	}
	fmt.Fprintf(c.Stderr, "%s (will be hidden): ", what)
	typed, err := c.ReadPassword(ctx)
	fmt.Fprintln(c.Stderr)
	if err != nil {
		return "", usagef("Error reading the %s: %w", strings.ToLower(what), err)
	}
	return strings.TrimSpace(string(typed)), nil
}

// pipedSecret reads a secret from stdin up to its end.
func (c *call) pipedSecret(what string) (string, error) {
	content, err := io.ReadAll(io.LimitReader(c.Stdin, maxTyped))
	if err != nil {
		return "", usagef("Error reading the %s from stdin: %w", strings.ToLower(what), err)
	}
	secret := strings.TrimSpace(string(content))
	if secret == "" {
		return "", usagef("%s is missing: stdin is no terminal and holds nothing. Give it as an argument, or pipe it in", what)
	}
	return secret, nil
}
