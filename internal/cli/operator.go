package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/hashicorp/vault/api"
)

func operatorGroup() *command {
	return &command{
		name: "operator", synopsis: "Perform operator-specific tasks",
		help: "Sets a server up and keeps it running: initialise, unseal, seal, and look after the cluster.",
		sub: []*command{
			operatorInitCommand(), keyStatusCommand(), membersCommand(), raftGroup(), sealCommand(), stepDownCommand(),
			unsealCommand(), rekeyCommand(), rotateCommand(), generateRootCommand(),
			absent("diagnose"), absent("import"), absent("migrate"), absent("usage"), absent("utilization"),
		},
	}
}

func sealCommand() *command {
	return &command{
		name: "seal", synopsis: "Seal the server",
		usage: "[options]", output: plain,
		help: `
Seals the server: it forgets the root key and answers nothing but status until it is unsealed again. Use it
when someone may have broken in. It needs a token with root, or sudo on sys/seal.`,
		setup: noFlags(func(ctx context.Context, c *call, client *api.Client) error {
			if err := client.Sys().SealWithContext(ctx); err != nil {
				return apiError("Error sealing", err)
			}
			c.println("Success! Vault is sealed.")
			return nil
		}),
	}
}

func stepDownCommand() *command {
	return &command{
		name: "step-down", synopsis: "Make the active node give up its role",
		usage: "[options]", output: plain,
		help: `
Makes the active node hand its role to another, for instance before it is stopped. A standby takes over
within seconds.`,
		setup: noFlags(func(ctx context.Context, c *call, client *api.Client) error {
			if err := client.Sys().StepDownWithContext(ctx); err != nil {
				return apiError("Error stepping down", err)
			}
			c.printf("Success! Stepped down: %s", client.Address())
			return nil
		}),
	}
}

func keyStatusCommand() *command {
	return &command{
		name: "key-status", synopsis: "Print the state of the encryption key",
		usage: "[options]", output: formatted,
		help: `
Prints the term of the key that encrypts new data, when it was made, and how many values it has encrypted.`,
		setup: noFlags(func(ctx context.Context, c *call, client *api.Client) error {
			return c.keyStatus(ctx, client, "")
		}),
	}
}

func membersCommand() *command {
	return &command{
		name: "members", synopsis: "List the nodes of the cluster",
		usage: "[options]", output: formatted,
		help: "Lists the active node and the standbys it has heard from since it became active.",
		setup: noFlags(func(ctx context.Context, c *call, client *api.Client) error {
			status, err := client.Sys().HAStatusWithContext(ctx)
			if err != nil {
				return apiError("Error reading HA status", err)
			}
			return c.print(status, func() string {
				rows := []string{row("Host Name", "API Address", "Cluster Address", "Active Node", "Version",
					"Upgrade Version", "Redundancy Zone", "Last Echo")}
				for _, node := range status.Nodes {
					echo := ""
					if node.LastEcho != nil {
						echo = node.LastEcho.Format(time.RFC3339)
					}
					rows = append(rows, row(node.Hostname, node.APIAddress, node.ClusterAddress, node.ActiveNode,
						node.Version, node.UpgradeVersion, node.RedundancyZone, echo))
				}
				return table(rows)
			})
		}),
	}
}

func listPeersCommand() *command {
	return &command{
		name: "list-peers", synopsis: "List the nodes of the Raft cluster",
		usage: "[options]", output: formatted,
		help: "Lists the nodes that keep the data, which of them leads, and which have a vote.",
		setup: noFlags(func(ctx context.Context, c *call, client *api.Client) error {
			secret, err := client.Logical().ReadWithContext(ctx, "sys/storage/raft/configuration")
			if err != nil {
				return apiError("Error reading the raft cluster configuration", err)
			}
			if secret == nil {
				return answerf("No raft cluster configuration found")
			}
			peers, err := raftPeers(secret.Data)
			if err != nil {
				return err
			}
			return c.print(secret, func() string {
				rows := []string{row("Node", "Address", "State", "Voter")}
				for _, peer := range peers {
					state := "follower"
					if peer.Leader {
						state = "leader"
					}
					rows = append(rows, row(peer.NodeID, peer.Address, state, peer.Voter))
				}
				return table(rows)
			})
		}),
	}
}

type raftPeer struct {
	NodeID  string `json:"node_id"`
	Address string `json:"address"`
	Leader  bool   `json:"leader"`
	Voter   bool   `json:"voter"`
}

func raftPeers(data map[string]any) ([]raftPeer, error) {
	var answer struct {
		Config struct {
			Servers []raftPeer `json:"servers"`
		} `json:"config"`
	}
	text, err := json.Marshal(data)
	if err == nil {
		err = json.Unmarshal(text, &answer)
	}
	if err != nil {
		return nil, apiError("Error reading the raft cluster configuration", fmt.Errorf("unexpected answer: %w", err))
	}
	return answer.Config.Servers, nil
}
