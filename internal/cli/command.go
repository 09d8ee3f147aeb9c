package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/hashicorp/vault/api"
)

// command is one row of the command table: a group (sub), a command (setup), the name of a Program, or of something
// Vault has and this release has not (absent).
type command struct {
	name     string
	synopsis string // one line, shown in the group's list
	usage    string // what follows the name, such as "[options] PATH"
	help     string // paragraphs and examples; "{cmd}" stands for the full name, "{program}" for the binary
	min, max int    // how many positional arguments; max < 0 is any number
	output   output // which of the standard flags it has
	setup    func(f *flag.FlagSet) action
	sub      []*command
	absent   bool
	program  bool
}

// action is the body of a command; the flags its setup declared are parsed by then.
type action func(ctx context.Context, c *call) error

// output says which standard flags a command takes.
type output int

const (
	local     output = iota // no flags: nothing is sent
	plain                   // the HTTP flags
	formatted               // and -format
	fielded                 // and -field
)

// call is one command under way.
type call struct {
	IO
	args    []string
	options *options
	flags   *flag.FlagSet
}

// given tells whether one of the flags stood on the command line, rather than having its default.
func (c *call) given(names ...string) bool {
	found := false
	c.flags.Visit(func(f *flag.Flag) { found = found || slices.Contains(names, f.Name) })
	return found
}

// request is an action that needs the client.
type request func(ctx context.Context, c *call, client *api.Client) error

func (r request) action() action {
	return func(ctx context.Context, c *call) error {
		client, err := c.client()
		if err != nil {
			return err
		}
		return r(ctx, c, client)
	}
}

// noFlags is the setup of a command that sends something and has no flags of its own.
func noFlags(r request) func(*flag.FlagSet) action {
	return func(*flag.FlagSet) action { return r.action() }
}

// find follows words down the table as far as they are names, and returns the rest.
func (c *command) find(args []string) (found *command, words, rest []string) {
	if len(args) > 0 {
		for _, sub := range c.sub {
			if sub.name == args[0] {
				found, words, rest = sub.find(args[1:])
				return found, append([]string{sub.name}, words...), rest
			}
		}
	}
	return c, nil, args
}

func isHelp(arg string) bool {
	return arg == "-h" || arg == "-help" || arg == "--help"
}

// group answers for a word that only holds commands: its help, on stdout if it was asked for.
func (c *command) group(sys IO, path string, args []string) int {
	top := c.name == ""
	for _, arg := range args {
		if isHelp(arg) || (top && arg == "help") {
			fmt.Fprintln(sys.Stdout, c.groupHelp(path))
			return exitOK
		}
	}
	code := exitUsage
	if top {
		code = exitUnknown
	}
	if len(args) > 0 {
		sys.complain(ansiRed, fmt.Sprintf("Unknown command: %s %s\n", path, args[0]))
	}
	fmt.Fprintln(sys.Stderr, c.groupHelp(path))
	return code
}

func (c *command) groupHelp(path string) string {
	var b strings.Builder
	if c.name == "" {
		fmt.Fprintf(&b, "Usage: %s <command> [args]\n", path)
	} else {
		fmt.Fprintf(&b, "Usage: %s <subcommand> [options] [args]\n", path)
	}
	if c.help != "" {
		fmt.Fprintf(&b, "\n%s\n", indent(expand(c.help, path)))
	}
	b.WriteString("\n")
	if c.name == "" {
		b.WriteString("Commands:\n")
	} else {
		b.WriteString("Subcommands:\n")
	}
	width := 0
	for _, sub := range c.sub {
		width = max(width, len(sub.name))
	}
	for _, sub := range c.sub {
		if !sub.absent {
			fmt.Fprintf(&b, "    %-*s    %s\n", width, sub.name, sub.synopsis)
		}
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// run parses the flags and arguments of one command and carries it out.
func (c *command) run(ctx context.Context, sys IO, path string, args []string) int {
	flags := flag.NewFlagSet(c.name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	own := flag.NewFlagSet(c.name, flag.ContinueOnError)
	body := c.setup(own)
	opts := newOptions(sys)
	standard := flag.NewFlagSet(c.name, flag.ContinueOnError)
	opts.declare(standard, c.output)
	own.VisitAll(func(f *flag.Flag) { flags.Var(f.Value, f.Name, f.Usage) })
	standard.VisitAll(func(f *flag.Flag) {
		if flags.Lookup(f.Name) == nil {
			flags.Var(f.Value, f.Name, f.Usage)
		}
	})

	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(sys.Stdout, c.commandHelp(path, own, standard))
			return exitOK
		}
		return report(sys, usagef("%w", err))
	}
	if late := lateFlags(flags, flags.Args()); len(late) > 0 {
		sys.complain(ansiYellow, fmt.Sprintf("Command flags must be provided before positional arguments. "+
			"The following arguments will not be parsed as flags: [%s]", strings.Join(late, ",")))
	}
	if err := c.checkArgs(flags.NArg()); err != nil {
		return report(sys, err)
	}
	if err := opts.check(c.output); err != nil {
		return report(sys, err)
	}
	return report(sys, body(ctx, &call{IO: sys, args: flags.Args(), options: opts, flags: flags}))
}

func (c *command) checkArgs(n int) error {
	switch {
	case n < c.min && c.max == c.min:
		return usagef("Not enough arguments (expected %d, got %d)", c.min, n)
	case n < c.min && c.max < 0:
		return usagef("Not enough arguments (expected %d+, got %d)", c.min, n)
	case n < c.min:
		return usagef("Not enough arguments (expected %d-%d, got %d)", c.min, c.max, n)
	case c.max >= 0 && n > c.max && c.max == c.min:
		return usagef("Too many arguments (expected %d, got %d)", c.max, n)
	case c.max >= 0 && n > c.max:
		return usagef("Too many arguments (expected %d-%d, got %d)", c.min, c.max, n)
	}
	return nil
}

// lateFlags lists the arguments that look like one of the command's flags but stand behind a positional
// argument, where they are taken as data. It names only flags the command knows: "-5" or a lone "-" is data.
func lateFlags(flags *flag.FlagSet, args []string) []string {
	var late []string
	for _, arg := range args {
		name, isFlag := strings.CutPrefix(arg, "-")
		name = strings.TrimPrefix(name, "-")
		name, _, _ = strings.Cut(name, "=")
		if isFlag && flags.Lookup(name) != nil {
			late = append(late, arg)
		}
	}
	return late
}

func (c *command) commandHelp(path string, own, standard *flag.FlagSet) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Usage: %s %s\n\n%s\n", path, c.usage, indent(expand(c.help, path)))
	helpFlags(&b, "Command Options", own, func(string) bool { return true })
	helpFlags(&b, "HTTP Options", standard, func(name string) bool { return name != "format" && name != "field" })
	helpFlags(&b, "Output Options", standard, func(name string) bool { return name == "format" || name == "field" })
	return strings.TrimSuffix(b.String(), "\n")
}

func helpFlags(b *strings.Builder, title string, flags *flag.FlagSet, include func(name string) bool) {
	flags.VisitAll(func(f *flag.Flag) {
		if f.Usage == "" || !include(f.Name) { // an alias has no text of its own
			return
		}
		if title != "" {
			fmt.Fprintf(b, "\n%s:\n", title)
			title = ""
		}
		kind, usage := flag.UnquoteUsage(f)
		if _, ok := f.Value.(*ttl); ok {
			kind = "duration"
		}
		if kind != "" {
			kind = "=<" + strings.ToLower(kind) + ">"
		}
		fmt.Fprintf(b, "\n  -%s%s\n", f.Name, kind)
		for line := range strings.Lines(wrap(usage, 72)) {
			fmt.Fprintf(b, "      %s", line)
		}
		b.WriteString("\n")
	})
}

func expand(text, path string) string {
	program, _, _ := strings.Cut(path, " ")
	return strings.NewReplacer("{cmd}", path, "{program}", program).Replace(strings.TrimSpace(text))
}

func indent(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if line != "" {
			lines[i] = "  " + line
		}
	}
	return strings.Join(lines, "\n")
}

// wrap breaks text at spaces so that no line is longer than width, unless one word is.
func wrap(text string, width int) string {
	var b strings.Builder
	column := 0
	for _, word := range strings.Fields(text) {
		switch {
		case column == 0:
		case column+1+len(word) > width:
			b.WriteString("\n")
			column = 0
		default:
			b.WriteString(" ")
			column++
		}
		b.WriteString(word)
		column += len(word)
	}
	return b.String()
}
