package compat

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// nodeModules is a folder with what node/package-lock.json names, in the user's cache; npm fills it when the lock is new.
func nodeModules(t *testing.T) string {
	t.Helper()
	lock, err := os.ReadFile("node/package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(lock)
	dir := filepath.Join(cache, "strongroom", "compat-node", hex.EncodeToString(sum[:6]))
	modules := filepath.Join(dir, "node_modules")
	if _, err := os.Stat(modules); err == nil {
		return modules
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	temp, err := os.MkdirTemp(filepath.Dir(dir), "install-") // renamed when complete: an interrupted install is never taken for one
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(temp)
	for _, name := range []string{"package.json", "package-lock.json", ".npmrc"} {
		content, err := os.ReadFile(filepath.Join("node", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(temp, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	npm := exec.CommandContext(t.Context(), "npm", "ci", "--ignore-scripts", "--prefer-offline")
	npm.Dir = temp
	if out, err := npm.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v; this test needs Node and npm, and a registry once\n%s", err, out)
	}
	if err := os.Rename(temp, dir); err != nil && !os.IsExist(err) {
		if _, there := os.Stat(modules); there != nil { // another test run was first
			t.Fatal(err)
		}
	}
	return modules
}

// The stock Node client against a server nobody has initialized: node/client.js.
func TestNodeClient(t *testing.T) {
	modules := nodeModules(t)
	s := startFile(t, "")
	cmd := exec.CommandContext(t.Context(), "node", "node/client.js")
	cmd.Env = append(os.Environ(), "VAULT_ADDR="+s.addr, "NODE_PATH="+modules)
	out, err := cmd.CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "ok" {
		t.Errorf("node-vault: %v\n%s", err, out)
	}
}
