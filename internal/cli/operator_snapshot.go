package cli

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"

	"strongroom/internal/snapshot"
)

func snapshotGroup() *command {
	return &command{
		name: "snapshot", synopsis: "Save, restore and look at snapshots",
		help: "A snapshot holds all data of a cluster, encrypted as it is stored.",
		sub:  []*command{snapshotInspectCommand(), snapshotRestoreCommand(), snapshotSaveCommand()},
	}
}

func snapshotSaveCommand() *command {
	return &command{
		name: "save", synopsis: "Save a snapshot of the cluster to a file",
		usage: "[options] FILE", min: 1, max: 1, output: plain,
		help: `
Saves all data of the cluster, encrypted as it is stored, to a file. The file gets its name when all of it
has arrived and been checked; one of that name is replaced.

    $ {cmd} backup.snap`,
		setup: noFlags(func(ctx context.Context, c *call, client *api.Client) error {
			return saveSnapshot(c.args[0], func(w io.Writer) error {
				return apiError("Error taking the snapshot", client.Sys().RaftSnapshotWithContext(ctx, w))
			})
		}),
	}
}

// saveSnapshot has take write a snapshot, and gives it its name when it is good.
func saveSnapshot(name string, take func(io.Writer) error) (err error) {
	if target, err := filepath.EvalSymlinks(name); err == nil {
		name = target // the file is replaced, not the link to it
	}
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		return usagef("Error saving the snapshot: %s is no regular file", name)
	}
	file, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*") // mode 0600
	if err != nil {
		return usagef("Error saving the snapshot: %w", err)
	}
	defer func() {
		file.Close()
		if err != nil {
			os.Remove(file.Name())
		}
	}()
	if err := take(file); err != nil {
		return err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return usagef("Error checking the snapshot: %w", err)
	}
	if _, err := snapshot.Check(file, nil); err != nil {
		return answerf("Error checking the snapshot, which was not kept: %w", err)
	}
	if err := errors.Join(file.Sync(), file.Close(), os.Rename(file.Name(), name)); err != nil {
		return usagef("Error saving the snapshot: %w", err)
	}
	return nil
}

func snapshotRestoreCommand() *command {
	return &command{
		name: "restore", synopsis: "Replace all data of the cluster by a snapshot",
		usage: "[options] FILE", min: 1, max: 1, output: plain,
		help: `
Replaces all data of the cluster, tokens included, by those of a snapshot. The server checks the whole file
before it changes anything, and takes only snapshots that its own keys made.

    $ {cmd} backup.snap

-force takes a snapshot of another cluster too. Every node is sealed afterwards, and is unsealed with the
keys of the cluster that the snapshot was made of.`,
		setup: func(f *flag.FlagSet) action {
			force := f.Bool("force", false, "Restore a snapshot though this cluster's keys did not make it.")
			return request(func(ctx context.Context, c *call, client *api.Client) error {
				file, err := os.Open(c.args[0])
				if err != nil {
					return usagef("Error opening the snapshot: %w", err)
				}
				defer file.Close()
				if err := client.Sys().RaftSnapshotRestoreWithContext(ctx, file, *force); err != nil {
					return apiError("Error installing the snapshot", err)
				}
				status, err := client.Sys().SealStatusWithContext(ctx)
				if err == nil && status.Sealed { // the restore itself is done, whatever the status
					c.complain(ansiYellow, "WARNING! The snapshot was made under other keys, so the server is sealed now: unseal every node with the\n"+
						"keys of the cluster that the snapshot was made of, and use that cluster's tokens.")
				}
				return nil
			}).action()
		},
	}
}

// inspection is the JSON of `operator raft snapshot inspect`.
type inspection struct {
	Meta       snapshot.Meta
	Stats      []keyStats
	TotalCount int
	TotalSize  int64 // bytes
}

// keyStats are the keys that begin alike.
type keyStats struct {
	Name  string
	Count int
	Size  int64 // bytes of all values
}

func snapshotInspectCommand() *command {
	return &command{
		name: "inspect", synopsis: "Print what a snapshot file holds",
		usage: "[options] FILE", min: 1, max: 1, output: local,
		help: `
Checks a snapshot file and prints what it holds, by the beginnings of the keys. It needs no server and no
token, and opens no value. Whether the file is of a certain cluster only that cluster can tell: its restore
checks it.

    $ {cmd} -depth=3 backup.snap`,
		setup: func(f *flag.FlagSet) action {
			details := f.Bool("details", true, "Print the number and the size of the keys.")
			depth := f.Int("depth", 2, "How many segments of a key make a group.")
			filter := f.String("filter", "", "Count only the keys that begin with this.")
			format := f.String("format", "", "How to print: \"table\", \"json\" or \"yaml\" (VAULT_FORMAT).")
			return func(_ context.Context, c *call) error {
				if c.options.format = cmp.Or(*format, c.env("VAULT_FORMAT"), "table"); !slices.Contains([]string{"table", "json", "yaml"}, c.options.format) {
					return usagef("Invalid output format: %s (valid: table, json, yaml)", c.options.format)
				}
				if *depth < 1 {
					return usagef("-depth must be at least 1")
				}
				found, err := inspectSnapshot(c.args[0], *depth, *filter)
				if err != nil {
					return usagef("Error reading the snapshot: %w", err)
				}
				if !*details {
					found.Stats = nil
				}
				return c.print(found, func() string { return found.table(*details) })
			}
		},
	}
}

// inspectSnapshot checks a file and adds up its keys.
func inspectSnapshot(name string, depth int, filter string) (*inspection, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	out := &inspection{}
	groups := map[string]*keyStats{}
	checked, err := snapshot.Check(file, func(key string, size int) error {
		if !strings.HasPrefix(key, filter) {
			return nil
		}
		segments := strings.SplitN(key, "/", depth+1)
		group := strings.Join(segments[:min(depth, len(segments))], "/")
		if groups[group] == nil {
			groups[group] = &keyStats{Name: group}
		}
		groups[group].Count++
		groups[group].Size += int64(size)
		out.TotalCount++
		out.TotalSize += int64(size)
		return nil
	})
	if err != nil {
		return nil, err
	}
	out.Meta = checked.Meta
	for _, group := range groups {
		out.Stats = append(out.Stats, *group)
	}
	slices.SortFunc(out.Stats, func(a, b keyStats) int {
		return cmp.Or(cmp.Compare(b.Size, a.Size), cmp.Compare(a.Name, b.Name))
	})
	return out, nil
}

func (i *inspection) table(details bool) string {
	m := i.Meta
	text := columns([]string{
		row("ID", m.ID), row("Size", m.Size), row("Index", m.Index), row("Term", m.Term), row("Version", m.Version),
		row("Created", m.Created.Format(time.RFC3339)), row("Cluster Name", m.ClusterName), row("Cluster ID", m.ClusterID), row("Server Version", m.ServerVersion),
	})
	if !details {
		return text
	}
	rows := []string{row("Key Name", "Count", "Size")}
	for _, s := range i.Stats {
		rows = append(rows, row(s.Name, s.Count, byteSize(s.Size)))
	}
	rows = append(rows, row("----", "----", "----"), row("Total", i.TotalCount, byteSize(i.TotalSize)))
	return text + "\n\n" + table(rows)
}

// byteSize is n bytes for people: "236 B", "26.1 KB".
func byteSize(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	value, units := float64(n)/1024, []string{"KB", "MB", "GB", "TB"}
	for value >= 1024 && len(units) > 1 {
		value, units = value/1024, units[1:]
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", value), ".0") + " " + units[0]
}
