package server

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"strongroom/engine"
	"strongroom/internal/gateway"
	"strongroom/internal/node"
)

// prepareDev initializes and unseals a development server, enables KV version 2
// at secret/ and shows its key and root token.
func (s *running) prepareDev(ctx context.Context, opts Options, stdout io.Writer) error {
	res, err := s.node.Init(ctx, node.InitRequest{Shares: 1, Threshold: 1})
	if err != nil {
		return err
	}
	share := base64.StdEncoding.EncodeToString(res.Shares[0])
	if err := s.node.Unseal(ctx, res.Shares[0], false); err != nil {
		return err
	}
	root := string(res.RootToken)
	if !opts.DevNoKV {
		session := s.node.Session()
		if session == nil {
			return errors.New("the development server did not become active: see its log")
		}
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		_, err := session.Serve(ctx, &gateway.Request{ID: "dev", Operation: engine.Update, Path: "sys/mounts/secret", Token: root,
			Body: []byte(`{"type":"kv","description":"key/value secret storage","options":{"version":"2"}}`)})
		if err != nil {
			return fmt.Errorf("enable secret/: %w", err)
		}
	}
	if !opts.DevNoStoreToken {
		if err := storeToken(root); err != nil {
			s.logger.Warn("the root token could not be stored for the CLI", "error", err)
		}
	}
	DevBanner(stdout, opts, share, root)
	return nil
}

// storeToken puts the token where the CLI looks for it.
func storeToken(token string) error {
	home, err := os.UserHomeDir()
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(home, ".vault-token"), []byte(token), 0o600)
}
