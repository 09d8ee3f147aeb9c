package server

import (
	"fmt"
	"io"
	"os"

	"github.com/hashicorp/go-hclog"
)

// NewLogger makes the server's log, written to out and, where one is configured, appended to a file. close closes that file.
func NewLogger(l Logging, out io.Writer) (_ hclog.Logger, close func() error, err error) {
	close = func() error { return nil }
	if l.File != "" {
		f, err := os.OpenFile(l.File, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, nil, fmt.Errorf("log_file: %w: it names a file this server may append to", err)
		}
		out, close = io.MultiWriter(out, f), f.Close
	}
	return hclog.New(&hclog.LoggerOptions{Level: hclog.LevelFromString(l.Level), JSONFormat: l.Format == "json", Output: out}), close, nil
}
