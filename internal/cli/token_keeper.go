package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl"
	"github.com/hashicorp/vault/api"
)

// tokenKeeper keeps the token between commands.
type tokenKeeper interface {
	read() (string, error) // "" if none is kept
	write(token string) error
}

// tokenKeeper is the helper that the configuration names, or else the token file.
func (c *call) tokenKeeper() (tokenKeeper, error) {
	home := c.env("HOME")
	if home == "" {
		var err error
		if home, err = os.UserHomeDir(); err != nil {
			return nil, usagef("Error finding the token file: %w; set HOME, or VAULT_TOKEN", err)
		}
	}
	path := filepath.Join(home, ".vault")
	if other := c.env("VAULT_CONFIG_PATH"); other != "" {
		path = other
	}
	helper, err := configuredHelper(path)
	if err != nil {
		return nil, err
	}
	if helper == "" {
		return tokenFileIn(home), nil
	}
	return tokenHelper{helper, c.options.address}, nil
}

// configuredHelper reads token_helper from the CLI's own configuration, which need not exist.
func configuredHelper(path string) (string, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", usagef("Error reading %s: %w", path, err)
	}
	var config map[string]any
	if err := hcl.Decode(&config, string(text)); err != nil {
		return "", usagef("Error reading %s: %w", path, err)
	}
	helper, _ := config["token_helper"].(string)
	delete(config, "token_helper")
	if len(config) > 0 {
		return "", usagef("Error reading %s: it knows token_helper only, not %s", path, strings.Join(sortedKeys(config), ", "))
	}
	if helper != "" && !filepath.IsAbs(helper) {
		// What a relative path finds depends on where the user stands.
		return "", usagef("Error reading %s: token_helper must be an absolute path, not %q", path, helper)
	}
	return helper, nil
}

// tokenHelper is a program that keeps the token
// (https://developer.hashicorp.com/vault/docs/commands/token-helper). It is told what to do by its argument, and which server it is about by
// VAULT_ADDR; the token goes through a pipe, never by an argument, which other users could read.
type tokenHelper struct{ program, address string }

func (h tokenHelper) run(verb, stdin string) (string, error) {
	cmd := exec.Command(h.program, verb)
	cmd.Stdin = strings.NewReader(stdin)
	if h.address != "" {
		cmd.Env = append(os.Environ(), api.EnvVaultAddress+"="+h.address)
	}
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%q: %w %s", h.program+" "+verb, err, strings.TrimSpace(complaint.String()))
	}
	return out.String(), nil
}

func (h tokenHelper) read() (string, error) {
	token, err := h.run("get", "")
	if err != nil {
		return "", usagef("Error getting the token from the token helper: %w", err)
	}
	return strings.TrimSpace(token), nil
}

func (h tokenHelper) write(token string) error {
	_, err := h.run("store", token)
	return err
}
