package cli

import (
	"context"
	"time"

	"github.com/hashicorp/vault/api"
)

func rotateCommand() *command {
	return &command{
		name: "rotate", synopsis: "Rotate the encryption key",
		usage: "[options]", output: formatted,
		help: `
Makes a new key that encrypts what is written from now on. Older keys go on decrypting what they encrypted, so
nothing is read or written for it, and unseal keys stay as they are. It needs a token with sudo on sys/rotate.
The server also rotates by itself, as sys/rotate/config says.`,
		setup: noFlags(func(ctx context.Context, c *call, client *api.Client) error {
			if err := client.Sys().RotateWithContext(ctx); err != nil {
				return apiError("Error rotating key", err)
			}
			return c.keyStatus(ctx, client, "Success! Rotated key\n\n")
		}),
	}
}

// keyStatus prints the active key, after what a person reads first.
func (c *call) keyStatus(ctx context.Context, client *api.Client, before string) error {
	status, err := client.Sys().KeyStatusWithContext(ctx)
	if err != nil {
		return apiError("Error reading key status", err)
	}
	return c.print(status, func() string {
		return before + columns([]string{
			row("Key Term", status.Term),
			row("Install Time", status.InstallTime.UTC().Format(time.RFC822)),
			row("Encryption Count", status.Encryptions),
		})
	})
}
