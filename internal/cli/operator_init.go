package cli

import (
	"context"
	"encoding/base64"
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/hashicorp/vault/api"
)

func operatorInitCommand() *command {
	return &command{
		name: "init", synopsis: "Initialize a server",
		usage: "[options]", output: formatted,
		help: `
Prepares the storage of a new server and prints, this once, the unseal keys and the initial root token. Keep
the keys with different people: any threshold of them opens the server.

    $ {cmd} -key-shares=5 -key-threshold=3

-status tells by its exit code whether that has been done: 0 yes, 1 error, 2 no.`,
		setup: func(f *flag.FlagSet) action {
			request := api.InitRequest{}
			var keys, recoveryKeys list
			var status bool
			f.IntVar(&request.SecretShares, "key-shares", 5, "Number of unseal keys to make. The short form is -n.")
			f.IntVar(&request.SecretShares, "n", 5, "")
			f.IntVar(&request.SecretThreshold, "key-threshold", 3, "Number of unseal keys that open the server. The short form is -t.")
			f.IntVar(&request.SecretThreshold, "t", 3, "")
			f.Var(&keys, "pgp-keys", "Comma-separated `files` with PGP public keys, one a share, that the unseal keys are encrypted for.")
			f.StringVar(&request.RootTokenPGPKey, "root-token-pgp-key", "", "`File` with the PGP public key that the root token is encrypted for.")
			f.IntVar(&request.RecoveryShares, "recovery-shares", 5, "Number of recovery keys to make, where the server unseals itself.")
			f.IntVar(&request.RecoveryThreshold, "recovery-threshold", 3, "Number of recovery keys that count as consent.")
			f.Var(&recoveryKeys, "recovery-pgp-keys", "As -pgp-keys, for the recovery keys.")
			f.BoolVar(&status, "status", false, "Print whether the server is initialized, and do nothing else.")
			return func(ctx context.Context, c *call) error {
				client, err := c.client()
				if err != nil {
					return err
				}
				if status {
					return c.initStatus(ctx, client)
				}
				if err := c.fitToSeal(ctx, client, &request); err != nil {
					return err
				}
				if request.PGPKeys, err = pgpKeys(keys); err != nil {
					return err
				}
				if request.RecoveryPGPKeys, err = pgpKeys(recoveryKeys); err != nil {
					return err
				}
				if request.RootTokenPGPKey != "" {
					if request.RootTokenPGPKey, err = pgpKey(request.RootTokenPGPKey); err != nil {
						return err
					}
				}
				return c.initialize(ctx, client, &request)
			}
		},
	}
}

// fitToSeal leaves in request the shares its kind of seal has. A server that unseals itself has no unseal
// keys to share, and one that does not has no recovery keys.
func (c *call) fitToSeal(ctx context.Context, client *api.Client, request *api.InitRequest) error {
	if c.options.curl || c.options.policy {
		request.RecoveryShares, request.RecoveryThreshold = 0, 0
		return nil
	}
	status, err := client.Sys().SealStatusWithContext(ctx)
	if err != nil {
		return apiError("Error making API request for the seal status", err)
	}
	if status.RecoverySeal {
		if !c.given("key-shares", "n") {
			request.SecretShares = 0
		}
		if !c.given("key-threshold", "t") {
			request.SecretThreshold = 0
		}
		return nil
	}
	if !c.given("recovery-shares") {
		request.RecoveryShares = 0
	}
	if !c.given("recovery-threshold") {
		request.RecoveryThreshold = 0
	}
	return nil
}

func (c *call) initStatus(ctx context.Context, client *api.Client) error {
	initialized, err := client.Sys().InitStatusWithContext(ctx)
	if err != nil {
		return statusError("Error checking initialization status", err)
	}
	if !c.isTable() {
		if err := c.print(map[string]bool{"Initialized": initialized}, nil); err != nil {
			return err
		}
	} else if initialized {
		c.println("Vault is initialized")
	} else {
		c.println("Vault is not initialized")
	}
	if !initialized {
		return silent(2)
	}
	return nil
}

// initResult is the JSON of `operator init`; its keys are what scripts read.
type initResult struct {
	UnsealKeysB64     []string `json:"unseal_keys_b64"`
	UnsealKeysHex     []string `json:"unseal_keys_hex"`
	UnsealShares      int      `json:"unseal_shares"`
	UnsealThreshold   int      `json:"unseal_threshold"`
	RecoveryKeysB64   []string `json:"recovery_keys_b64"`
	RecoveryKeysHex   []string `json:"recovery_keys_hex"`
	RecoveryShares    int      `json:"recovery_keys_shares"`
	RecoveryThreshold int      `json:"recovery_keys_threshold"`
	RootToken         string   `json:"root_token"`
}

func (c *call) initialize(ctx context.Context, client *api.Client, request *api.InitRequest) error {
	answer, err := client.Sys().InitWithContext(ctx, request)
	if err != nil {
		return apiError("Error initializing", err)
	}
	result := initResult{
		UnsealKeysB64:     nonNil(answer.KeysB64),
		UnsealKeysHex:     nonNil(answer.Keys),
		UnsealShares:      request.SecretShares,
		UnsealThreshold:   request.SecretThreshold,
		RecoveryKeysB64:   nonNil(answer.RecoveryKeysB64),
		RecoveryKeysHex:   nonNil(answer.RecoveryKeys),
		RecoveryShares:    request.RecoveryShares,
		RecoveryThreshold: request.RecoveryThreshold,
		RootToken:         answer.RootToken,
	}
	return c.print(result, func() string { return result.text(len(request.PGPKeys) > 0) })
}

func nonNil(texts []string) []string {
	if texts == nil {
		return []string{}
	}
	return texts
}

// text is what a person sees, once. Scripts find the keys by the words before them.
func (r *initResult) text(encrypted bool) string {
	var b strings.Builder
	for i, key := range r.UnsealKeysB64 {
		fmt.Fprintf(&b, "Unseal Key %d: %s\n", i+1, key)
	}
	for i, key := range r.RecoveryKeysB64 {
		fmt.Fprintf(&b, "Recovery Key %d: %s\n", i+1, key)
	}
	fmt.Fprintf(&b, "\nInitial Root Token: %s\n", r.RootToken)
	if len(r.UnsealKeysB64) == 0 {
		fmt.Fprintf(&b, "\nSuccess! Vault is initialized\n\nRecovery key initialized with %d key shares and a key threshold of %d. Please\n"+
			"securely distribute the key shares printed above.", r.RecoveryShares, r.RecoveryThreshold)
		return b.String()
	}
	fmt.Fprintf(&b, "\nVault initialized with %d key shares and a key threshold of %d. Please securely\n"+
		"distribute the key shares printed above. When the Vault is re-sealed,\n"+
		"restarted, or stopped, you must supply at least %d of these keys to unseal it\n"+
		"before it can start servicing requests.\n\n"+
		"Vault does not store the generated root key. Without at least %d keys to\n"+
		"reconstruct the root key, Vault will remain permanently sealed!\n\n"+
		"It is possible to generate new unseal keys, provided you have a quorum of\n"+
		"existing unseal keys shares. See \"vault operator rekey\" for more information.",
		r.UnsealShares, r.UnsealThreshold, r.UnsealThreshold, r.UnsealThreshold)
	if encrypted {
		b.WriteString("\n\nThe unseal keys above are encrypted with the PGP keys that were given: their holders decrypt them.")
	}
	return b.String()
}

func pgpKeys(files []string) ([]string, error) {
	var keys []string
	for _, file := range files {
		key, err := pgpKey(file)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// pgpKey reads a PGP public key as the API takes it: base64 of the binary form. A file may hold that, or the
// binary form itself; an armoured key is sent on for the server to judge.
func pgpKey(file string) (string, error) {
	if strings.HasPrefix(file, "keybase:") {
		return "", usagef("Error reading PGP key %q: Keybase is not supported; save the key in a file and name that", file)
	}
	content, err := os.ReadFile(strings.TrimPrefix(file, "@"))
	if err != nil {
		return "", usagef("Error reading PGP key: %w", err)
	}
	text := strings.TrimSpace(string(content))
	if _, err := base64.StdEncoding.DecodeString(text); err == nil {
		return text, nil
	}
	return base64.StdEncoding.EncodeToString(content), nil
}
