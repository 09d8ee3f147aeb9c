package cli

import (
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"strings"

	"github.com/hashicorp/vault/api"

	"strongroom/engine/transit/keywrap"
)

func transitGroup() *command {
	return &command{
		name: "transit", synopsis: "Interact with the transit secrets engine",
		help: "Brings keys of your own into a transit engine, wrapped on the way.",
		sub: []*command{
			transitImportCommand("import", "import", "Import a key into transit", `
Imports a key under a new name: PATH is MOUNT/keys/NAME. KEY is the base64 of a raw symmetric key, or of a private
key in PKCS #8 (DER); @file takes it from a file, - from stdin. It leaves this machine wrapped for the engine only.

    $ {cmd} transit/keys/app @key.b64 type=rsa-2048`),
			transitImportCommand("import-version", "import_version", "Import a new version of an imported key", `
Imports a key as the next version of one that was imported before: PATH is MOUNT/keys/NAME. KEY is the base64 of a
raw symmetric key, or of a private key in PKCS #8 (DER); @file takes it from a file, - from stdin.

    $ {cmd} transit/keys/app @key.b64`),
		},
	}
}

func transitImportCommand(name, endpoint, synopsis, help string) *command {
	return &command{
		name: name, synopsis: synopsis, help: help,
		usage: "[options] PATH KEY [K=V...]", min: 2, max: -1, output: plain,
		setup: noFlags(func(ctx context.Context, c *call, client *api.Client) error {
			return c.importKey(ctx, client, endpoint)
		}),
	}
}

// importKey wraps the key of the command line for the engine of its path, and sends it.
func (c *call) importKey(ctx context.Context, client *api.Client, endpoint string) error {
	path := cleanPath(c.args[0])
	mount, name, ok := strings.Cut(path, "/keys/")
	if !ok || name == "" || strings.Contains(name, "/") {
		return usagef("PATH must be MOUNT/keys/NAME, such as transit/keys/app, not %q", path)
	}
	data, err := c.data(2)
	if err != nil {
		return err
	}
	for _, field := range []string{"ciphertext", "hash_function"} {
		if data[field] != nil {
			return usagef("%s cannot be given: this command makes it", field)
		}
	}
	parser := kvParser{stdin: c.Stdin}
	encoded, err := parser.value(c.args[1])
	if err != nil {
		return usagef("Failed to read KEY: %w", err)
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	if err != nil || len(key) == 0 {
		return usagef("KEY must be the base64 of a key; for one in a file, write @ and the file's name")
	}
	defer clear(key)
	c.println("Retrieving transit wrapping key.")
	to, err := wrappingKey(ctx, client, mount)
	if err != nil {
		return apiError("Error reading "+mount+"/wrapping_key", err)
	}
	c.println("Wrapping source key with ephemeral key.\nEncrypting ephemeral key with transit wrapping key.")
	box, err := keywrap.Seal(to, sha256.New, key)
	if err != nil {
		return usagef("Failed to wrap the key: %w", err)
	}
	data["ciphertext"], data["hash_function"] = base64.StdEncoding.EncodeToString(box), "SHA256"
	c.println("Submitting wrapped key to Vault transit.")
	if _, err := client.Logical().WriteWithContext(ctx, path+"/"+endpoint, data); err != nil {
		return apiError("Error importing "+path, err)
	}
	c.println("Success!")
	return nil
}

// wrappingKey is the key that keys are wrapped for on their way to a mount.
func wrappingKey(ctx context.Context, client *api.Client, mount string) (*rsa.PublicKey, error) {
	secret, err := client.Logical().ReadWithContext(ctx, mount+"/wrapping_key")
	if err != nil {
		return nil, err
	}
	if secret == nil {
		return nil, errors.New("there is no transit engine")
	}
	text, _ := secret.Data["public_key"].(string)
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("the server's answer holds no public key")
	}
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := public.(*rsa.PublicKey)
	if !ok {
		return nil, errors.New("the server's wrapping key is not of RSA")
	}
	return key, nil
}
