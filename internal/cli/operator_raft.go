package cli

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/hashicorp/vault/api"
)

func raftGroup() *command {
	return &command{
		name: "raft", synopsis: "Look after the Raft storage",
		help: "Looks after the nodes that keep the data between them.",
		sub: []*command{
			autopilotGroup(), joinCommand(), listPeersCommand(), removePeerCommand(), rotateCACommand(), snapshotGroup(),
		},
	}
}

func joinCommand() *command {
	return &command{
		name: "join", synopsis: "Let a node join a cluster",
		usage: "[options] [LEADER_API_ADDR | AUTO_JOIN]", max: 1, output: formatted,
		help: `
Makes the node that -address names, which has no data yet, join the cluster of another node. With unseal keys
the node is a member once it has been unsealed with the keys of that cluster.

    $ {cmd} -leader-ca-cert=@ca.pem https://vault-0.example.com:8200
    $ {cmd} 'provider=k8s namespace=vault label_selector="app.kubernetes.io/name=vault"'`,
		setup: func(f *flag.FlagSet) action {
			var request api.RaftJoinRequest
			f.StringVar(&request.LeaderCACert, "leader-ca-cert", "", "`PEM` of the CA that signed the leader's certificate, or @ and a file's name.")
			f.StringVar(&request.LeaderClientCert, "leader-client-cert", "", "`PEM` of the certificate to show the leader, or @ and a file's name.")
			f.StringVar(&request.LeaderClientKey, "leader-client-key", "", "`PEM` of its private key, or @ and a file's name.")
			f.BoolVar(&request.Retry, "retry", false, "Let the node go on trying if it cannot join now.")
			f.BoolVar(&request.NonVoter, "non-voter", false, "Join for good without a vote: the node gets all data, and serves reads.")
			f.StringVar(&request.AutoJoinScheme, "auto-join-scheme", "", "Scheme of the addresses that AUTO_JOIN finds, https or http.")
			f.UintVar(&request.AutoJoinPort, "auto-join-port", 0, "Port of the addresses that AUTO_JOIN finds; 0 is 8200.")
			return joinAction(&request)
		},
	}
}

func joinAction(request *api.RaftJoinRequest) action {
	return func(ctx context.Context, c *call) error {
		client, err := c.client()
		if err != nil {
			return err
		}
		for _, text := range []*string{&request.LeaderCACert, &request.LeaderClientCert, &request.LeaderClientKey} {
			if *text, err = pemArg(*text); err != nil {
				return err
			}
		}
		if len(c.args) > 0 {
			if strings.Contains(c.args[0], "provider=") {
				request.AutoJoin = c.args[0]
			} else {
				request.LeaderAPIAddr = c.args[0]
			}
		}
		answer, err := client.Sys().RaftJoinWithContext(ctx, request)
		if err != nil {
			return apiError("Error joining the node to the Raft cluster", err)
		}
		return c.print(answer, func() string { return table([]string{row("Key", "Value"), row("Joined", answer.Joined)}) })
	}
}

// pemArg is PEM as given, or the file that "@name" names.
func pemArg(text string) (string, error) {
	name, isFile := strings.CutPrefix(text, "@")
	if !isFile {
		return text, nil
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return "", usagef("Error reading a certificate or key: %w", err)
	}
	return string(b), nil
}

func removePeerCommand() *command {
	return &command{
		name: "remove-peer", synopsis: "Remove a node from the Raft cluster",
		usage: "[options] SERVER_ID", min: 1, max: 1, output: plain,
		help: `
Removes a node, running or dead, and shuts it out. It can join again as a new node, with an empty storage folder.

    $ {cmd} vault-2`,
		setup: func(f *flag.FlagSet) action {
			f.String("dr-token", "", "Taken and ignored: it is for Enterprise's DR secondaries.")
			return request(func(ctx context.Context, c *call, client *api.Client) error {
				if _, err := client.Logical().WriteWithContext(ctx, "sys/storage/raft/remove-peer", map[string]any{"server_id": c.args[0]}); err != nil {
					return apiError("Error removing the peer from raft", err)
				}
				c.println("Peer removed successfully!")
				return nil
			}).action()
		},
	}
}

func rotateCACommand() *command {
	return &command{
		name: "rotate-ca", synopsis: "Replace the CA of the port between nodes",
		usage: "[options]", output: formatted,
		help: `
Replaces, without an interruption, the CA whose certificates the nodes show each other. It takes a few seconds
when all nodes run, and waits for those that are down; -status shows how far it is.`,
		setup: func(f *flag.FlagSet) action {
			status := f.Bool("status", false, "Show how things stand, and begin nothing.")
			return request(func(ctx context.Context, c *call, client *api.Client) error {
				var secret *api.Secret
				var err error
				if *status {
					secret, err = client.Logical().ReadWithContext(ctx, "sys/storage/raft/cluster-ca")
				} else {
					secret, err = client.Logical().WriteWithContext(ctx, "sys/storage/raft/cluster-ca/rotate", nil)
				}
				if err != nil {
					return apiError("Error replacing the CA of the cluster port", err)
				}
				if secret == nil {
					return answerf("The server said nothing of its CA")
				}
				return c.printSecret(secret)
			}).action()
		},
	}
}

func autopilotGroup() *command {
	return &command{
		name: "autopilot", synopsis: "See and set how the cluster looks after itself",
		help: "Autopilot watches the nodes, gives new ones their vote and, if it is told to, removes dead ones.",
		sub:  []*command{autopilotGetCommand(), autopilotSetCommand(), autopilotStateCommand()},
	}
}

func autopilotStateCommand() *command {
	return &command{
		name: "state", synopsis: "Show the cluster as autopilot sees it", usage: "[options]", output: formatted,
		help: "Shows whether the cluster is healthy, how many nodes it can lose, and how each node does.",
		setup: noFlags(func(ctx context.Context, c *call, client *api.Client) error {
			state, err := client.Sys().RaftAutopilotStateWithContext(ctx)
			if err != nil {
				return apiError("Error checking autopilot state", err)
			}
			if state == nil {
				return answerf("No autopilot state found")
			}
			return c.print(state, func() string { return autopilotText(state) })
		}),
	}
}

func autopilotText(state *api.AutopilotState) string {
	var b strings.Builder
	line := func(indent int, width int, name string, value any) {
		fmt.Fprintf(&b, "%s%-*s%v\n", strings.Repeat(" ", indent), width, name+":", value)
	}
	members := func(name string, ids []string) {
		if len(ids) == 0 {
			return
		}
		fmt.Fprintf(&b, "%s:\n", name)
		for _, id := range ids {
			fmt.Fprintf(&b, "   %s\n", id)
		}
	}
	line(0, 33, "Healthy", state.Healthy)
	line(0, 33, "Failure Tolerance", state.FailureTolerance)
	line(0, 33, "Leader", state.Leader)
	members("Voters", state.Voters)
	members("Non Voters", state.NonVoters)
	b.WriteString("Servers:\n")
	for _, id := range append(append([]string{}, state.Voters...), state.NonVoters...) {
		s := state.Servers[id]
		if s == nil {
			continue
		}
		fmt.Fprintf(&b, "   %s\n", id)
		for _, f := range []struct {
			name  string
			value any
		}{{"Name", s.Name}, {"Address", s.Address}, {"Status", s.Status}, {"Node Status", s.NodeStatus}, {"Healthy", s.Healthy},
			{"Last Contact", s.LastContact}, {"Last Term", s.LastTerm}, {"Last Index", s.LastIndex}, {"Version", s.Version}, {"Node Type", s.NodeType}} {
			line(6, 20, f.name, f.value)
		}
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func autopilotGetCommand() *command {
	return &command{
		name: "get-config", synopsis: "Show what autopilot may do", usage: "[options]", output: formatted,
		help: "Shows the configuration of autopilot.",
		setup: noFlags(func(ctx context.Context, c *call, client *api.Client) error {
			config, err := client.Sys().RaftAutopilotConfigurationWithContext(ctx)
			if err != nil {
				return apiError("Error reading the autopilot configuration", err)
			}
			if config == nil {
				return answerf("No autopilot configuration found")
			}
			return c.print(config, func() string {
				return table([]string{row("Key", "Value"),
					row("Cleanup Dead Servers", config.CleanupDeadServers), row("Last Contact Threshold", config.LastContactThreshold),
					row("Dead Server Last Contact Threshold", config.DeadServerLastContactThreshold),
					row("Server Stabilization Time", config.ServerStabilizationTime), row("Min Quorum", config.MinQuorum),
					row("Max Trailing Logs", config.MaxTrailingLogs), row("Disable Upgrade Migration", config.DisableUpgradeMigration)})
			})
		}),
	}
}

func autopilotSetCommand() *command {
	return &command{
		name: "set-config", synopsis: "Change what autopilot may do", usage: "[options]", output: plain,
		help: `
Changes the settings that are given and leaves the others.

    $ {cmd} -cleanup-dead-servers=true -min-quorum=3`,
		setup: func(f *flag.FlagSet) action {
			f.Bool("cleanup-dead-servers", false, "Remove nodes that are silent for -dead-server-last-contact-threshold.")
			f.String("last-contact-threshold", "", "How long ago a healthy node has heard the leader at most, as a `duration`.")
			f.String("dead-server-last-contact-threshold", "", "How long a node is silent before it is dead, as a `duration`; at least 1m.")
			f.Uint64("max-trailing-logs", 0, "How many log entries a healthy node may lack.")
			f.Uint("min-quorum", 0, "How many voters cleanup leaves at least.")
			f.String("server-stabilization-time", "", "How long a new node is healthy before it gets a vote, as a `duration`.")
			f.Bool("disable-upgrade-migration", false, "Taken for Vault's sake; upgrades are not migrated here.")
			f.String("dr-token", "", "Taken and ignored: it is for Enterprise's DR secondaries.")
			return request(func(ctx context.Context, c *call, client *api.Client) error {
				data := map[string]any{}
				for _, name := range []string{"cleanup-dead-servers", "last-contact-threshold", "dead-server-last-contact-threshold",
					"max-trailing-logs", "min-quorum", "server-stabilization-time", "disable-upgrade-migration"} {
					if c.given(name) {
						data[strings.ReplaceAll(name, "-", "_")] = c.flags.Lookup(name).Value.String()
					}
				}
				if _, err := client.Logical().WriteWithContext(ctx, "sys/storage/raft/autopilot/configuration", data); err != nil {
					return apiError("Error updating the autopilot configuration", err)
				}
				c.println("Success! Autopilot is configured.")
				return nil
			}).action()
		},
	}
}
