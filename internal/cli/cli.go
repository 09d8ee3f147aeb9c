// Package cli owns the command line: the names, flags, texts, layouts and exit codes of the program
// that operators call `strongroom` or `vault`. Behaviour follows Vault's documented CLI
// (https://developer.hashicorp.com/vault/docs/commands), so scripts written for one run on the other.
//
// It talks to a server through github.com/hashicorp/vault/api alone, never to the server's own packages,
// and it keeps nothing between commands but the token file.
package cli

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/hashicorp/vault/api"
	"golang.org/x/term"
)

// Exit codes. `status` and `operator init -status` give 2 a meaning of their own.
const (
	exitOK      = 0
	exitUsage   = 1 // the command line, a local file or the terminal is at fault
	exitAPI     = 2 // the server could not be reached, refused, or has no such thing
	exitUnknown = 127
)

// IO is the process as a command sees it. Everything a command reads or writes goes through it, so a
// test can run any command in process.
type IO struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// LookupEnv reads the environment, as os.LookupEnv does.
	LookupEnv func(name string) (string, bool)
	// ReadPassword reads one line from the terminal without echo, and gives up when ctx ends. Nil means that
	// stdin is no terminal: commands then read secrets from stdin instead of asking.
	ReadPassword func(ctx context.Context) ([]byte, error)
	// OutIsTerminal and ErrIsTerminal allow a closing newline after -field, and colours.
	OutIsTerminal, ErrIsTerminal bool
}

// ProcessIO is the IO of the running process.
func ProcessIO() IO {
	sys := IO{
		Stdin:         os.Stdin,
		Stdout:        os.Stdout,
		Stderr:        os.Stderr,
		LookupEnv:     os.LookupEnv,
		OutIsTerminal: term.IsTerminal(int(os.Stdout.Fd())),
		ErrIsTerminal: term.IsTerminal(int(os.Stderr.Fd())),
	}
	if fd := int(os.Stdin.Fd()); term.IsTerminal(fd) {
		sys.ReadPassword = func(ctx context.Context) ([]byte, error) { return readPassword(ctx, fd) }
	}
	return sys
}

// readPassword turns the echo on again when ctx ends, which an interrupted read would not: a shell without
// echo is a poor thing to come back to.
func readPassword(ctx context.Context, fd int) ([]byte, error) {
	before, err := term.GetState(fd)
	if err != nil {
		return nil, err
	}
	type line struct {
		text []byte
		err  error
	}
	read := make(chan line, 1)
	go func() { // ends with the line, or with the process, which an ended ctx is about to end
		text, err := term.ReadPassword(fd)
		read <- line{text, err}
	}()
	select {
	case l := <-read:
		return l.text, l.err
	case <-ctx.Done():
		_ = term.Restore(fd, before)
		return nil, ctx.Err()
	}
}

func (sys IO) env(name string) string {
	value, _ := sys.LookupEnv(name)
	return value
}

// Program is a command that is no client of a server, and so is brought from outside: args are those after its name. It returns the exit code.
type Program func(ctx context.Context, args []string) int

// Build says which program this is; `version` prints it.
type Build struct {
	Version  string // without the leading v: "1.0.0"
	Revision string // the commit, may be empty
	Date     string // RFC 3339, may be empty
}

func (b Build) String() string {
	text := "Strongroom v" + strings.TrimPrefix(b.Version, "v")
	if b.Revision != "" {
		text += " (" + b.Revision + ")"
	}
	if b.Date != "" {
		text += ", built " + b.Date
	}
	return text
}

// Run carries out one command line and returns the exit code: 0 done, 1 wrong usage or a local fault,
// 2 an answer from the server that is an error, 127 no such command. args are os.Args, args[0] included:
// its base name is what help texts call the program. ctx ends requests and questions under way; it should end
// on an interrupt, so that a prompt without echo leaves the terminal as it found it. programs are the commands
// `server`, `tls` and `kubectl`, by name.
func Run(ctx context.Context, args []string, sys IO, build Build, programs map[string]Program) int {
	program, rest := "vault", []string(nil)
	if len(args) > 0 {
		program, rest = filepath.Base(args[0]), args[1:]
	}
	if len(rest) == 1 {
		switch rest[0] {
		case "-v", "-version", "--version":
			rest = []string{"version"}
		}
	}
	root := commands(program, build)
	if line, completing := sys.LookupEnv("COMP_LINE"); completing {
		return complete(ctx, sys, root, line, rest)
	}
	if len(rest) == 1 {
		switch strings.TrimLeft(rest[0], "-") {
		case "autocomplete-install":
			return report(sys, installCompletion(sys, program, true))
		case "autocomplete-uninstall":
			return report(sys, installCompletion(sys, program, false))
		}
	}
	found, words, rest := root.find(rest)
	path := strings.Join(append([]string{program}, words...), " ")
	switch {
	case found.program:
		run := programs[found.name]
		if run == nil {
			fmt.Fprintf(sys.Stderr, "This build has no %s in it.\n", found.name)
			return exitUsage
		}
		return run(ctx, rest)
	case found.absent:
		fmt.Fprintf(sys.Stderr, "%q is a Vault command that this release does not have yet.\n", path)
		return exitUsage
	case found.setup == nil:
		return found.group(sys, path, rest)
	}
	return found.run(ctx, sys, path, rest)
}

// failure is an error with the exit code it earns. A nil err ends the command silently.
type failure struct {
	code int
	err  error
}

func (f *failure) Error() string {
	if f.err == nil {
		return fmt.Sprintf("exit %d", f.code)
	}
	return f.err.Error()
}

func (f *failure) Unwrap() error { return f.err }

// usagef is a fault on this side: exit code 1.
func usagef(format string, args ...any) error {
	return &failure{exitUsage, fmt.Errorf(format, args...)}
}

// answerf is a fault of the server's answer that is no API error, such as a missing value: exit code 2.
func answerf(format string, args ...any) error {
	return &failure{exitAPI, fmt.Errorf(format, args...)}
}

// apiError says what was attempted and why the server did not do it: exit code 2.
func apiError(attempt string, err error) error {
	if err == nil {
		return nil
	}
	var already *failure
	if errors.As(err, &already) {
		return err
	}
	return &failure{exitAPI, fmt.Errorf("%s: %w", attempt, err)}
}

// silent ends the command with code and no further text.
func silent(code int) error { return &failure{code: code} }

// report prints err and returns the exit code. -output-curl-string and -output-policy arrive here as
// errors of the client, because the request was described instead of sent.
func report(sys IO, err error) int {
	if err == nil {
		return exitOK
	}
	var curl *api.OutputStringError
	var policy *api.OutputPolicyError
	switch {
	case errors.As(err, &curl):
		return describe(sys, curl.CurlString)
	case errors.As(err, &policy):
		return describe(sys, policy.HCLString)
	}
	code := exitAPI
	var failed *failure
	if errors.As(err, &failed) {
		code = failed.code
		if failed.err == nil {
			return code
		}
	}
	sys.complain(ansiRed, err.Error()+hint(err))
	return code
}

// hint says what to do about the errors that everybody meets on the first day.
func hint(err error) string {
	var authority x509.UnknownAuthorityError
	switch {
	case errors.As(err, &authority):
		return "\n\nThe server's certificate is not signed by an authority this machine knows: name its CA with -ca-cert or VAULT_CACERT."
	case strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return "\n\nThe server speaks plain HTTP: give its address as http://, with -address or VAULT_ADDR."
	case errors.Is(err, syscall.ECONNREFUSED):
		return "\n\nNothing listens there: start the server, or give its address with -address or VAULT_ADDR."
	}
	return ""
}

func describe(sys IO, text func() (string, error)) int {
	line, err := text()
	if err != nil {
		sys.complain(ansiRed, fmt.Sprintf("Error describing the request: %v", err))
		return exitUsage
	}
	fmt.Fprintln(sys.Stdout, line)
	return exitOK
}

const (
	ansiRed    = "\x1b[31m"
	ansiYellow = "\x1b[33m"
	ansiReset  = "\x1b[0m"
)

// complain writes a line to stderr, coloured only for a person who has not declined colours.
func (sys IO) complain(colour, text string) {
	if !sys.ErrIsTerminal || sys.env("VAULT_CLI_NO_COLOR") != "" || sys.env("NO_COLOR") != "" {
		fmt.Fprintln(sys.Stderr, text)
		return
	}
	fmt.Fprintln(sys.Stderr, colour+text+ansiReset)
}
