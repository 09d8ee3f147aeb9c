package cli

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// tokenFile is the path of the file that keeps the token between commands: ~/.vault-token, which Vault's
// CLI and libraries read too.
type tokenFile string

func tokenFileIn(home string) tokenFile {
	return tokenFile(filepath.Join(home, ".vault-token"))
}

// read returns the kept token, or "" if there is none.
func (f tokenFile) read() (string, error) {
	content, err := os.ReadFile(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", usagef("Error getting the token: %w; correct its permissions, or set VAULT_TOKEN", err)
	}
	return strings.TrimSpace(string(content)), nil
}

// write keeps token, readable by its owner alone. The new file replaces the old in one step, so a crash
// leaves one of the two whole, and a wider mode of the old file is not inherited.
func (f tokenFile) write(token string) (err error) {
	temp, err := os.CreateTemp(filepath.Dir(string(f)), ".vault-token-*") // CreateTemp's mode is 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(temp.Name())
		}
	}()
	_, err = temp.WriteString(token)
	if err == nil {
		err = temp.Sync()
	}
	if closed := temp.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	return os.Rename(temp.Name(), string(f))
}
