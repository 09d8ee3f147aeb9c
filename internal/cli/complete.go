package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"
)

// completePatience bounds what a person who has pressed the tabulator waits for a server.
const completePatience = 2 * time.Second

// complete prints what the last word of a command line may become, one a line, as shells ask by COMP_LINE. It never complains: a shell would
// print that into what is being typed.
func complete(ctx context.Context, sys IO, root *command, line string, asked []string) int {
	if at, err := strconv.Atoi(sys.env("COMP_POINT")); err == nil && at >= 0 && at < len(line) {
		line = line[:at]
	}
	words := strings.Fields(line)
	if len(words) == 0 {
		return exitOK
	}
	last := ""
	if !strings.HasSuffix(line, " ") {
		words, last = words[:len(words)-1], words[len(words)-1]
	}
	if len(words) == 0 {
		return exitOK
	}
	found, path, rest := root.find(words[1:])
	there := "" // what of last the shell leaves alone: bash parts words at = too, and says by its second argument which part it means
	if len(asked) == 3 && strings.HasSuffix(last, asked[1]) {
		there = strings.TrimSuffix(last, asked[1])
	}
	for _, candidate := range found.candidates(ctx, sys, path, rest, last) {
		if strings.HasPrefix(candidate, last) {
			fmt.Fprintln(sys.Stdout, strings.TrimPrefix(candidate, there))
		}
	}
	return exitOK
}

// candidates are what may stand at the place of last: commands, flags, values of a flag, or names that the server knows.
func (c *command) candidates(ctx context.Context, sys IO, path, before []string, last string) []string {
	if c.setup == nil {
		var names []string
		for _, sub := range c.sub {
			if !sub.absent && len(before) == 0 {
				names = append(names, sub.name)
			}
		}
		return names
	}
	flags := flag.NewFlagSet(c.name, flag.ContinueOnError)
	c.setup(flags)
	standard := flag.NewFlagSet(c.name, flag.ContinueOnError)
	opts := newOptions(sys)
	opts.declare(standard, c.output)
	if strings.HasPrefix(last, "-") {
		if name, _, ok := strings.Cut(last, "="); ok {
			return prefixed(name+"=", flagValues(strings.TrimLeft(name, "-")))
		}
		var names []string
		note := func(f *flag.Flag) { names = append(names, "-"+f.Name) }
		flags.VisitAll(note)
		standard.VisitAll(note)
		slices.Sort(names)
		return slices.Compact(names)
	}
	if len(before) > 0 {
		if name := strings.TrimLeft(before[len(before)-1], "-"); name != before[len(before)-1] {
			if values := flagValues(name); values != nil {
				return values
			}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, completePatience)
	defer cancel()
	quiet := sys
	quiet.Stderr = io.Discard
	client, err := (&call{IO: quiet, options: opts}).client()
	if err != nil || opts.address == "" {
		return nil
	}
	client.SetMaxRetries(0)
	return known(ctx, client, strings.Join(path, " "), last)
}

func flagValues(name string) []string {
	switch name {
	case "format":
		return []string{"json", "pretty", "table", "yaml"}
	case "method":
		return []string{"approle", "cert", "jwt", "kubernetes", "oidc", "patch", "rw", "token", "userpass"}
	case "log-level":
		return []string{"trace", "debug", "info", "warn", "error"}
	case "type":
		return []string{"batch", "service"}
	case "target":
		return debugTargets()
	}
	return nil
}

func prefixed(prefix string, texts []string) []string {
	all := make([]string, 0, len(texts))
	for _, text := range texts {
		all = append(all, prefix+text)
	}
	return all
}

// known are names of the server's that complete last in a command.
func known(ctx context.Context, client *api.Client, command, last string) []string {
	folder := last[:strings.LastIndex(last, "/")+1]
	switch first, second, _ := strings.Cut(command, " "); first {
	case "policy":
		if second == "read" || second == "delete" || second == "write" {
			names, _ := client.Sys().ListPoliciesWithContext(ctx)
			return names
		}
	case "secrets":
		if second == "disable" || second == "tune" || second == "move" {
			return mountNames(ctx, client, "secret", "")
		}
	case "auth":
		if second == "disable" || second == "tune" || second == "move" || second == "help" {
			return mountNames(ctx, client, "auth", "")
		}
	case "kv", "read", "write", "list", "delete", "patch", "scan", "path-help":
		if folder == "" || folder == "auth/" {
			return append(mountNames(ctx, client, "secret", ""), mountNames(ctx, client, "auth", "auth/")...)
		}
		path := cleanPath(folder)
		if first == "kv" {
			target, err := (&call{}).kvTarget(ctx, client, "", path)
			if err != nil {
				return nil
			}
			path = target.path("metadata")
		}
		secret, err := client.Logical().ListWithContext(ctx, path)
		if err != nil || secret == nil {
			return nil
		}
		return prefixed(folder, texts(secret.Data["keys"]))
	}
	return nil
}

// mountNames are the paths of the mounts of a kind that the token may know of.
func mountNames(ctx context.Context, client *api.Client, kind, prefix string) []string {
	secret, err := client.Logical().ReadWithContext(ctx, "sys/internal/ui/mounts")
	if err != nil || secret == nil {
		return nil
	}
	mounts, _ := secret.Data[kind].(map[string]any)
	return prefixed(prefix, sortedKeys(mounts))
}

// installCompletion adds the lines that make shells ask this program to their start-up files, or takes them out again. A shell that has no
// such file is not used here.
func installCompletion(sys IO, program string, install bool) error {
	home := sys.env("HOME")
	if home == "" {
		return usagef("Error finding the shells' start-up files: HOME is not set")
	}
	self, err := os.Executable()
	if err != nil {
		return usagef("Error finding this program: %w", err)
	}
	done := 0
	for _, shell := range []struct{ file, line string }{
		{".bashrc", "complete -C " + quote(self) + " " + program},
		{".bash_profile", "complete -C " + quote(self) + " " + program},
		{".zshrc", "autoload -U +X bashcompinit && bashcompinit && complete -o nospace -C " + quote(self) + " " + program},
	} {
		changed, err := editLine(filepath.Join(home, shell.file), shell.line, install)
		if err != nil {
			return usagef("Error changing %s: %w", shell.file, err)
		}
		if changed {
			done++
		}
	}
	changed, err := fishCompletion(home, self, program, install)
	if err != nil {
		return usagef("Error changing fish's completions: %w", err)
	}
	if changed {
		done++
	}
	if done == 0 && install {
		return usagef("Nothing was installed: it is there already, or there is no ~/.bashrc, ~/.bash_profile, ~/.zshrc or ~/.config/fish")
	}
	return nil
}

// quote is text as one word of a shell.
func quote(text string) string {
	if !strings.ContainsAny(text, " '\"\\$`&|;<>()*?[]#~!{}\t\n") {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// editLine has line in a file that is there, once, or not at all, and says whether that was news.
func editLine(path, line string, want bool) (changed bool, err error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	lines := strings.Split(string(text), "\n")
	if has := slices.Contains(lines, line); has == want {
		return false, nil
	}
	if !want {
		lines = slices.DeleteFunc(lines, func(l string) bool { return l == line })
		return true, os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o644) //nolint:gosec // it exists, and keeps its mode
	}
	end := ""
	if len(text) > 0 && text[len(text)-1] != '\n' {
		end = "\n"
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return false, err
	}
	_, err = file.WriteString(end + line + "\n")
	return true, errors.Join(err, file.Close())
}

// fishCompletion is the same for fish, which has a folder of files for it.
func fishCompletion(home, self, program string, install bool) (changed bool, err error) {
	dir := filepath.Join(home, ".config", "fish")
	if _, err := os.Stat(dir); err != nil {
		return false, nil
	}
	dir = filepath.Join(dir, "completions")
	path := filepath.Join(dir, program+".fish")
	if !install {
		err := os.Remove(path)
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		return err == nil, err
	}
	if _, err := os.Stat(path); err == nil {
		return false, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return false, err
	}
	text := "function __complete_" + program + "\n    set -lx COMP_LINE (commandline -cp)\n    test -z (commandline -ct)\n    and set COMP_LINE \"$COMP_LINE \"\n    " +
		quote(self) + "\nend\ncomplete -f -c " + program + " -a \"(__complete_" + program + ")\"\n"
	return true, os.WriteFile(path, []byte(text), 0o644)
}
