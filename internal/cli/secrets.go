package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"time"

	"github.com/hashicorp/vault/api"
)

func secretsGroup() *command {
	return &command{
		name: "secrets", synopsis: "Interact with secrets engines",
		help: "Secrets engines keep or make secrets, each under a path of its own.",
		sub: []*command{
			secretsDisableCommand(), secretsEnableCommand(), secretsListCommand(), secretsMoveCommand(), secretsTuneCommand(),
		},
	}
}

func secretsEnableCommand() *command {
	return &command{
		name: "enable", synopsis: "Enable a secrets engine",
		usage: "[options] TYPE", min: 1, max: 1, output: plain,
		help: `
Enables a secrets engine at a path, its type unless -path says otherwise.

    $ {cmd} -path=secret kv-v2`,
		setup: func(f *flag.FlagSet) action {
			var m mountFlags
			m.declareEnable(f, "secrets engine")
			return request(func(ctx context.Context, c *call, client *api.Client) error {
				kind := c.args[0]
				path := mountPath(m.path)
				if path == "/" {
					if path = mountPath(kind); kind == "plugin" {
						path = mountPath(m.pluginName)
					}
				}
				label := kind
				if kind == "kv-v2" { // an alias: the engine is kv
					kind, m.version = "kv", 2
				}
				input := m.input(kind)
				if err := client.Sys().MountWithContext(ctx, cleanPath(path), input); err != nil {
					return apiError("Error enabling", err)
				}
				what := "the " + label + " secrets engine"
				if c.args[0] == "plugin" {
					what = "the " + m.pluginName + " plugin"
				}
				c.printf("Success! Enabled %s at: %s", what, path)
				return nil
			}).action()
		},
	}
}

func secretsDisableCommand() *command {
	return &command{
		name: "disable", synopsis: "Disable a secrets engine",
		usage: "[options] PATH", min: 1, max: 1, output: plain,
		help: "Disables the secrets engine at a path, revokes what it handed out and deletes all its data.",
		setup: noFlags(func(ctx context.Context, c *call, client *api.Client) error {
			path := mountPath(c.args[0])
			if err := client.Sys().UnmountWithContext(ctx, cleanPath(path)); err != nil {
				return apiError(fmt.Sprintf("Error disabling secrets engine at %s", path), err)
			}
			c.printf("Success! Disabled the secrets engine (if it existed) at: %s", path)
			return nil
		}),
	}
}

func secretsListCommand() *command {
	return &command{
		name: "list", synopsis: "List enabled secrets engines",
		usage: "[options]", output: formatted,
		help: "Lists the secrets engines and where they are. A TTL of \"system\" is the server's default.",
		setup: func(f *flag.FlagSet) action {
			var detailed bool
			f.BoolVar(&detailed, "detailed", false, "Print more about each, such as its TTLs and options.")
			return request(func(ctx context.Context, c *call, client *api.Client) error {
				mounts, err := client.Sys().ListMountsWithContext(ctx)
				if err != nil {
					return apiError("Error listing secrets engines", err)
				}
				heads, cells := row("Path", "Type", "Accessor", "Description"), secretsRow
				if detailed {
					heads, cells = row("Path", "Plugin", "Accessor", "Default TTL", "Max TTL", "Force No Cache", "Replication",
						"Seal Wrap", "External Entropy Access", "Options", "Description", "UUID", "Version",
						"Running Version", "Running SHA256", "Deprecation Status"), secretsDetails
				}
				return c.printMounts(mounts, heads, cells)
			}).action()
		},
	}
}

func secretsRow(path string, m *api.MountOutput) string {
	return row(path, m.Type, m.Accessor, m.Description)
}

func secretsDetails(path string, m *api.MountOutput) string {
	return row(path, m.Type, m.Accessor, mountTTL(m.Type, m.Config.DefaultLeaseTTL), mountTTL(m.Type, m.Config.MaxLeaseTTL),
		m.Config.ForceNoCache, replication(m), m.SealWrap, m.ExternalEntropyAccess, mountOptions(m), m.Description, m.UUID,
		m.PluginVersion, m.RunningVersion, m.RunningSha256, m.DeprecationStatus)
}

func secretsTuneCommand() *command {
	return &command{
		name: "tune", synopsis: "Tune a secrets engine configuration",
		usage: "[options] PATH", min: 1, max: 1, output: plain,
		help: `
Changes the settings of the secrets engine at a path. What is not named stays as it is.

    $ {cmd} -default-lease-ttl=72h database/`,
		setup: func(f *flag.FlagSet) action {
			var m mountFlags
			m.declareTune(f, "secrets engine")
			return request(func(ctx context.Context, c *call, client *api.Client) error {
				path := mountPath(c.args[0])
				if err := client.Sys().TuneMountAllowNilWithContext(ctx, cleanPath(path), m.changes(c)); err != nil {
					return apiError("Error tuning secrets engine "+path, err)
				}
				c.printf("Success! Tuned the secrets engine at: %s", path)
				return nil
			}).action()
		},
	}
}

func secretsMoveCommand() *command {
	return &command{
		name: "move", synopsis: "Move a secrets engine to a new path",
		usage: "[options] SOURCE DESTINATION", min: 2, max: 2, output: plain,
		help: `
Moves a secrets engine with its data and settings to a new path. Leases it handed out are revoked, because they
name the old one.

    $ {cmd} database/ db-prod/`,
		setup: noFlags(func(ctx context.Context, c *call, client *api.Client) error {
			return c.move(ctx, client, "secrets engine", mountPath(c.args[0]), mountPath(c.args[1]))
		}),
	}
}

// move moves what is mounted at a path and waits until it has arrived.
func (c *call) move(ctx context.Context, client *api.Client, what, from, to string) error {
	started, err := client.Sys().StartRemountWithContext(ctx, from, to)
	if err != nil {
		return apiError(fmt.Sprintf("Error moving %s %s to %s", what, from, to), err)
	}
	c.printf("Started moving %s %s to %s, with migration ID %s", what, from, to, started.MigrationID)
	if err := awaitMove(ctx, client, started.MigrationID); err != nil {
		return apiError(fmt.Sprintf("Failure! Error encountered moving %s %s to %s, with migration ID %s", what, from, to, started.MigrationID), err)
	}
	c.printf("Success! Finished moving %s %s to %s, with migration ID %s", what, from, to, started.MigrationID)
	return nil
}

// awaitMove asks every second until the move has ended one way or the other.
func awaitMove(ctx context.Context, client *api.Client, id string) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		status, err := client.Sys().RemountStatusWithContext(ctx, id)
		if err != nil {
			return err
		}
		if status.MigrationInfo == nil {
			return errors.New("the server told no status")
		}
		switch status.MigrationInfo.MigrationStatus {
		case "success":
			return nil
		case "failure":
			return errors.New("the server could not move it; its log says why")
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
