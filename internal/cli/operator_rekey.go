package cli

import (
	"context"
	"flag"
	"fmt"
	"strings"

	"github.com/hashicorp/vault/api"
)

// rekey is the flags of `operator rekey`.
type rekey struct {
	start, status, cancel, verify, retrieve, remove bool
	nonce, target                                   string
	keys                                            list
	request                                         api.RekeyInitRequest
}

func rekeyCommand() *command {
	return &command{
		name: "rekey", synopsis: "Generate new unseal keys",
		usage: "[options] [KEY]", max: 1, output: formatted,
		help: `
Replaces the unseal keys (with -target=recovery the recovery keys), with the consent of as many of their holders
as unseal the server. It goes on serving meanwhile. One of them begins it; each then gives a key, on any node;
the last one is shown the new keys. No token is needed, except for the copy that -backup keeps.

    $ {cmd} -init -key-shares=5 -key-threshold=3 -verify
    $ {cmd}
    Unseal Key (will be hidden):

With -verify the new keys only come into force when enough of them have been given back:

    $ {cmd} -verify -nonce=VERIFICATION_NONCE`,
		setup: func(f *flag.FlagSet) action {
			r := rekey{target: "barrier"}
			f.BoolVar(&r.start, "init", false, "Begin a rekey.")
			f.BoolVar(&r.status, "status", false, "Print how many keys have been given, and do nothing else. With -verify, of the verification.")
			f.BoolVar(&r.cancel, "cancel", false, "Forget the keys given so far and end the rekey. With -verify, begin the verification anew.")
			f.BoolVar(&r.verify, "verify", false, "With -init, ask for a verification; otherwise, give a new key for it.")
			f.BoolVar(&r.retrieve, "backup-retrieve", false, "Print the copy of the encrypted keys that -backup kept.")
			f.BoolVar(&r.remove, "backup-delete", false, "Delete the copy of the encrypted keys that -backup kept.")
			f.BoolVar(&r.request.Backup, "backup", false, "With -init and -pgp-keys, keep a copy of the encrypted keys in the server.")
			f.StringVar(&r.nonce, "nonce", "", "Nonce of the rekey, or of its verification, as it was printed. It is looked up if it is missing.")
			f.StringVar(&r.target, "target", "barrier", "Which keys: \"barrier\" or \"recovery\".")
			f.IntVar(&r.request.SecretShares, "key-shares", 5, "Number of keys to make. The short form is -n.")
			f.IntVar(&r.request.SecretShares, "n", 5, "")
			f.IntVar(&r.request.SecretThreshold, "key-threshold", 3, "Number of keys that open the server. The short form is -t.")
			f.IntVar(&r.request.SecretThreshold, "t", 3, "")
			f.Var(&r.keys, "pgp-keys", "Comma-separated `files` with PGP public keys, one a share, that the new keys are encrypted for.")
			return request(r.run).action()
		},
	}
}

// rekeyAPI is what the client offers for one of the two targets.
type rekeyAPI struct {
	init         func(context.Context, *api.RekeyInitRequest) (*api.RekeyStatusResponse, error)
	status       func(context.Context) (*api.RekeyStatusResponse, error)
	cancel       func(context.Context) error
	update       func(context.Context, string, string) (*api.RekeyUpdateResponse, error)
	verifyStatus func(context.Context) (*api.RekeyVerificationStatusResponse, error)
	verifyCancel func(context.Context) error
	verify       func(context.Context, string, string) (*api.RekeyVerificationUpdateResponse, error)
	retrieve     func(context.Context) (*api.RekeyRetrieveResponse, error)
	remove       func(context.Context) error
}

func (r *rekey) api(client *api.Client) (rekeyAPI, error) {
	s := client.Sys()
	switch strings.ToLower(strings.TrimSpace(r.target)) {
	case "barrier":
		return rekeyAPI{s.RekeyInitWithContext, s.RekeyStatusWithContext, s.RekeyCancelWithContext, s.RekeyUpdateWithContext, s.RekeyVerificationStatusWithContext,
			s.RekeyVerificationCancelWithContext, s.RekeyVerificationUpdateWithContext, s.RekeyRetrieveBackupWithContext, s.RekeyDeleteBackupWithContext}, nil
	case "recovery", "hsm":
		return rekeyAPI{s.RekeyRecoveryKeyInitWithContext, s.RekeyRecoveryKeyStatusWithContext, s.RekeyRecoveryKeyCancelWithContext, s.RekeyRecoveryKeyUpdateWithContext, s.RekeyRecoveryKeyVerificationStatusWithContext,
			s.RekeyRecoveryKeyVerificationCancelWithContext, s.RekeyRecoveryKeyVerificationUpdateWithContext, s.RekeyRetrieveRecoveryBackupWithContext, s.RekeyDeleteRecoveryBackupWithContext}, nil
	}
	return rekeyAPI{}, usagef("Unknown target: %s (valid: barrier, recovery)", r.target)
}

func (r *rekey) run(ctx context.Context, c *call, client *api.Client) error {
	do, err := r.api(client)
	if err != nil {
		return err
	}
	switch {
	case r.remove:
		if err := do.remove(ctx); err != nil {
			return apiError("Error deleting backed-up keys", err)
		}
		c.println("Success! Delete backup keys (if they existed)")
		return nil
	case r.retrieve:
		stored, err := do.retrieve(ctx)
		if err != nil {
			return apiError("Error retrieving rekey stored keys", err)
		}
		return c.print(stored, func() string { return backupText(stored) })
	case r.cancel:
		cancel := do.cancel
		if r.verify && !r.start {
			cancel = do.verifyCancel
		}
		if err := cancel(ctx); err != nil {
			return apiError("Error canceling rekey", err)
		}
		c.println("Success! Canceled rekeying (if it was started)")
		return nil
	case r.start:
		return r.begin(ctx, c, do)
	case r.status && r.verify:
		st, err := do.verifyStatus(ctx)
		if err != nil {
			return apiError("Error reading rekey verification status", err)
		}
		return c.print(st, func() string { return verifyText(st) })
	case r.status:
		st, err := do.status(ctx)
		if err != nil {
			return apiError("Error reading rekey status", err)
		}
		return c.print(st, func() string { return rekeyText(st) })
	case r.verify:
		return r.provideNew(ctx, c, do)
	}
	return r.provide(ctx, c, do)
}

func (r *rekey) begin(ctx context.Context, c *call, do rekeyAPI) error {
	var err error
	if r.request.PGPKeys, err = pgpKeys(r.keys); err != nil {
		return err
	}
	r.request.RequireVerification = r.verify
	st, err := do.init(ctx, &r.request)
	if err != nil {
		return apiError("Error initializing rekey", err)
	}
	if c.isTable() && len(r.keys) == 0 {
		c.warnings([]string{"If you lose the keys after they are returned, there is no recovery. Consider canceling this operation and re-initializing with the -pgp-keys flag to protect the returned unseal keys along with -backup to allow recovery of the encrypted keys in case of emergency."})
	}
	return c.print(st, func() string { return rekeyText(st) })
}

// provide gives one of the present keys.
func (r *rekey) provide(ctx context.Context, c *call, do rekeyAPI) error {
	nonce := r.nonce
	if nonce == "" {
		st, err := do.status(ctx)
		switch {
		case err != nil:
			return apiError("Error getting rekey status", err)
		case !st.Started:
			return usagef("No rekey is in progress. Start a rekey process by running \"vault operator rekey -init\".")
		}
		nonce = st.Nonce
	}
	key, err := c.secretArg(ctx, 0, "Unseal Key")
	if err != nil {
		return err
	}
	res, err := do.update(ctx, key, nonce)
	if err != nil {
		return apiError("Error posting unseal key", err)
	}
	if res.Complete {
		return c.print(res, func() string { return r.newKeys(res) })
	}
	st, err := do.status(ctx)
	if err != nil {
		return apiError("Error getting rekey status", err)
	}
	return c.print(st, func() string { return rekeyText(st) })
}

// provideNew gives one of the new keys, for the verification.
func (r *rekey) provideNew(ctx context.Context, c *call, do rekeyAPI) error {
	nonce := r.nonce
	if nonce == "" {
		st, err := do.verifyStatus(ctx)
		switch {
		case err != nil:
			return apiError("Error getting rekey verification status", err)
		case !st.Started:
			return usagef("No rekey verification is in progress: begin a rekey with -init -verify, and give it the present keys first.")
		}
		nonce = st.Nonce
	}
	key, err := c.secretArg(ctx, 0, "Rekey Verification Key")
	if err != nil {
		return err
	}
	res, err := do.verify(ctx, key, nonce)
	if err != nil {
		return apiError("Error posting verification key", err)
	}
	if res.Complete {
		return c.print(res, func() string {
			return "Success! Rekey verification completed. The new keys are in force, and the old ones open nothing any more."
		})
	}
	st, err := do.verifyStatus(ctx)
	if err != nil {
		return apiError("Error getting rekey verification status", err)
	}
	return c.print(st, func() string { return verifyText(st) })
}

func progress(n, of int) string { return fmt.Sprintf("%d/%d", n, of) }

func rekeyText(st *api.RekeyStatusResponse) string {
	rows := []string{row("Nonce", st.Nonce), row("Started", st.Started)}
	if st.Started {
		if st.Progress == st.Required || st.VerificationNonce != "" {
			rows = append(rows, row("Verification Nonce", st.VerificationNonce))
		} else {
			rows = append(rows, row("Rekey Progress", progress(st.Progress, st.Required)))
		}
		rows = append(rows, row("New Shares", st.N), row("New Threshold", st.T), row("Verification Required", st.VerificationRequired))
	}
	if len(st.PGPFingerprints) > 0 {
		rows = append(rows, row("PGP Fingerprints", st.PGPFingerprints), row("Backup", st.Backup))
	}
	return keyValue(rows...)
}

func verifyText(st *api.RekeyVerificationStatusResponse) string {
	return keyValue(row("Nonce", st.Nonce), row("Started", st.Started), row("New Shares", st.N), row("New Threshold", st.T), row("Verification Progress", progress(st.Progress, st.T)))
}

// newKeys is what a person sees, once.
func (r *rekey) newKeys(res *api.RekeyUpdateResponse) string {
	var b strings.Builder
	for i, key := range res.KeysB64 {
		if len(res.PGPFingerprints) > 0 {
			fmt.Fprintf(&b, "Key %d fingerprint: %s; value: %s\n", i+1, res.PGPFingerprints[i], key)
		} else {
			fmt.Fprintf(&b, "Key %d: %s\n", i+1, key)
		}
	}
	fmt.Fprintf(&b, "\nOperation nonce: %s\n", res.Nonce)
	if len(res.PGPFingerprints) > 0 && res.Backup {
		b.WriteString("\nThe encrypted unseal keys are backed up in the server. Remove them with\n\"vault operator rekey -backup-delete\" when their holders have them.\n")
	}
	if res.VerificationRequired {
		fmt.Fprintf(&b, "\nVault has created new keys, but they are not in force yet. Give enough of them\nback to have them take the place of the present ones:\n\n"+
			"    vault operator rekey -target=%s -verify -nonce=%s\n\nUntil then the present keys stay valid.", r.target, res.VerificationNonce)
		return b.String()
	}
	b.WriteString("\nVault rekeyed. The keys above are in force from now on, and the old ones open\nnothing any more. Please securely distribute the key shares printed above.")
	return b.String()
}

func backupText(stored *api.RekeyRetrieveResponse) string {
	rows := []string{row("Nonce", stored.Nonce)}
	for _, fingerprint := range sortedKeys(stored.KeysB64) {
		for _, key := range stored.KeysB64[fingerprint] {
			rows = append(rows, row(fingerprint, key))
		}
	}
	return keyValue(rows...)
}
