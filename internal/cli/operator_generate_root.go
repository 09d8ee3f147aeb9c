package cli

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"flag"
	"math/big"
	"strings"

	"github.com/hashicorp/vault/api"
)

// generateRoot is the flags of `operator generate-root`.
type generateRoot struct {
	start, status, cancel, makeOTP bool
	otp, pgpKey, nonce, encoded    string
}

func generateRootCommand() *command {
	return &command{
		name: "generate-root", synopsis: "Generate a new root token",
		usage: "[options] [KEY]", max: 1, output: formatted,
		help: `
Makes a new root token, with the consent of as many holders of unseal keys (or recovery keys) as unseal the
server. One of them begins it, and keeps the one-time password it prints; each then gives a key; the token comes
out encoded with that password. No token is needed.

    $ {cmd} -init
    $ {cmd}
    Unseal Key (will be hidden):
    $ {cmd} -decode=ENCODED_TOKEN -otp=OTP`,
		setup: func(f *flag.FlagSet) action {
			var g generateRoot
			f.BoolVar(&g.start, "init", false, "Begin the generation of a root token.")
			f.BoolVar(&g.status, "status", false, "Print how many keys have been given, and do nothing else.")
			f.BoolVar(&g.cancel, "cancel", false, "Forget the keys given so far and end the generation.")
			f.BoolVar(&g.makeOTP, "generate-otp", false, "Print a one-time password that -init takes.")
			f.StringVar(&g.encoded, "decode", "", "Decode this encoded `token`, with -otp; \"-\" reads it from stdin.")
			f.StringVar(&g.otp, "otp", "", "One-time `password` for -init or -decode.")
			f.StringVar(&g.pgpKey, "pgp-key", "", "`File` with the PGP public key that the token is encrypted for, instead of -otp.")
			f.StringVar(&g.nonce, "nonce", "", "Nonce of the generation, as -init printed it. It is looked up if it is missing.")
			return request(g.run).action()
		},
	}
}

func (g *generateRoot) run(ctx context.Context, c *call, client *api.Client) error {
	sys := client.Sys()
	switch {
	case g.makeOTP:
		return g.printOTP(ctx, c, client)
	case g.encoded != "":
		return g.decode(c)
	case g.cancel:
		if err := sys.GenerateRootCancelWithContext(ctx); err != nil {
			return apiError("Error canceling root token generation", err)
		}
		c.println("Success! Root token generation canceled (if it was started)")
		return nil
	case g.status:
		st, err := sys.GenerateRootStatusWithContext(ctx)
		if err != nil {
			return apiError("Error getting root generation status", err)
		}
		return c.printRoot(st)
	case g.start:
		return g.begin(ctx, c, client)
	}
	return g.provide(ctx, c, client)
}

// printOTP makes a password as long as the server's tokens are.
func (g *generateRoot) printOTP(ctx context.Context, c *call, client *api.Client) error {
	st, err := client.Sys().GenerateRootStatusWithContext(ctx)
	if err != nil {
		return apiError("Error getting root generation status", err)
	}
	const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	otp := make([]byte, st.OTPLength)
	for i := range otp {
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(alphabet))))
		if err != nil {
			return usagef("Error making a one-time password: %w", err)
		}
		otp[i] = alphabet[n.Int64()]
	}
	return c.print(map[string]any{"otp": string(otp), "otp_length": st.OTPLength}, func() string { return string(otp) })
}

func (g *generateRoot) decode(c *call) error {
	if g.otp == "" {
		return usagef("Missing otp: use -otp to supply the password of -init")
	}
	encoded := g.encoded
	if encoded == "-" {
		var err error
		if encoded, err = c.pipedSecret("Encoded token"); err != nil {
			return err
		}
	}
	raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(encoded, "="))
	if err != nil {
		return usagef("Error decoding base64'd token: %w", err)
	}
	if len(raw) != len(g.otp) {
		return usagef("Error decoding the token: it has %d characters and the otp %d, which must be the same", len(raw), len(g.otp))
	}
	for i := range raw {
		raw[i] ^= g.otp[i]
	}
	return c.print(map[string]string{"token": string(raw)}, func() string { return string(raw) })
}

func (g *generateRoot) begin(ctx context.Context, c *call, client *api.Client) error {
	key := ""
	if g.pgpKey != "" {
		var err error
		if key, err = pgpKey(g.pgpKey); err != nil {
			return err
		}
	}
	st, err := client.Sys().GenerateRootInitWithContext(ctx, g.otp, key)
	if err != nil {
		return apiError("Error initializing root generation", err)
	}
	return c.printRoot(st)
}

func (g *generateRoot) provide(ctx context.Context, c *call, client *api.Client) error {
	st, err := client.Sys().GenerateRootStatusWithContext(ctx)
	if err != nil && !described(err) {
		return apiError("Error getting root generation status", err)
	}
	nonce := g.nonce
	if nonce == "" && err == nil {
		if !st.Started {
			return usagef("No root generation is in progress. Start a root generation by running \"vault operator generate-root -init\"")
		}
		nonce = st.Nonce
		if c.isTable() {
			c.complain("", "Operation nonce: "+nonce)
		}
	}
	share, err := c.secretArg(ctx, 0, "Unseal Key")
	if err != nil {
		return err
	}
	if st, err = client.Sys().GenerateRootUpdateWithContext(ctx, share, nonce); err != nil {
		return apiError("Error posting unseal key", err)
	}
	return c.printRoot(st)
}

func (c *call) printRoot(st *api.GenerateRootStatusResponse) error {
	return c.print(st, func() string {
		rows := []string{row("Nonce", st.Nonce), row("Started", st.Started), row("Progress", progress(st.Progress, st.Required)), row("Complete", st.Complete)}
		if st.PGPFingerprint != "" {
			rows = append(rows, row("PGP Fingerprint", st.PGPFingerprint))
		}
		switch {
		case st.EncodedToken != "":
			rows = append(rows, row("Encoded Token", st.EncodedToken))
		case st.EncodedRootToken != "":
			rows = append(rows, row("Encoded Root Token", st.EncodedRootToken))
		}
		if st.OTP != "" {
			rows = append(rows, row("OTP", st.OTP))
		}
		if st.OTPLength != 0 {
			rows = append(rows, row("OTP Length", st.OTPLength))
		}
		return columns(rows)
	})
}
