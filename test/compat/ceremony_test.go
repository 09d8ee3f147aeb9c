package compat

import (
	"bytes"
	"encoding/base64"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/hashicorp/vault/api"
)

// The stock client rekeys with verification, and the old shares are refused after.
func TestRekeyClient(t *testing.T) {
	s := startFile(t, "")
	c, old := s.unsealed(t)
	sys := c.Sys()
	st := must[*api.RekeyStatusResponse](t)(sys.RekeyInit(&api.RekeyInitRequest{SecretShares: 3, SecretThreshold: 2, RequireVerification: true}))
	if !st.Started || st.N != 3 || st.T != 2 || st.Required != 3 || !st.VerificationRequired {
		t.Errorf("begun: %+v", st)
	}
	var res *api.RekeyUpdateResponse
	for _, share := range old[:3] {
		res = must[*api.RekeyUpdateResponse](t)(sys.RekeyUpdate(share, st.Nonce))
	}
	if !res.Complete || len(res.KeysB64) != 3 || res.VerificationNonce == "" {
		t.Fatalf("the shares are in: %+v", res)
	}
	v := must[*api.RekeyVerificationStatusResponse](t)(sys.RekeyVerificationStatus())
	if !v.Started || v.Nonce != res.VerificationNonce {
		t.Errorf("verification: %+v", v)
	}
	var done *api.RekeyVerificationUpdateResponse
	for _, share := range res.KeysB64[:2] {
		done = must[*api.RekeyVerificationUpdateResponse](t)(sys.RekeyVerificationUpdate(share, v.Nonce))
	}
	if !done.Complete {
		t.Errorf("verified: %+v", done)
	}
	if err := sys.Seal(); err != nil {
		t.Fatal(err)
	}
	if _, err := sys.Unseal(old[0]); err != nil {
		t.Fatal(err)
	}
	_, err := sys.Unseal(old[1])
	refused(t, err, 400, "unseal failed")
	for _, share := range res.KeysB64[1:] {
		if _, err := sys.Unseal(share); err != nil {
			t.Fatal(err)
		}
	}
	if st := must[*api.RekeyStatusResponse](t)(sys.RekeyStatus()); st.Started {
		t.Errorf("still under way: %+v", st)
	}
}

// Shares for PGP keys, with a copy kept in the server.
func TestRekeyPGP(t *testing.T) {
	s := startFile(t, "")
	c, old := s.unsealed(t)
	sys := c.Sys()
	holder, err := openpgp.NewEntity("holder", "", "holder@example.com", nil)
	if err != nil {
		t.Fatal(err)
	}
	var key bytes.Buffer
	if err := holder.Serialize(&key); err != nil {
		t.Fatal(err)
	}
	st := must[*api.RekeyStatusResponse](t)(sys.RekeyInit(&api.RekeyInitRequest{SecretShares: 1, SecretThreshold: 1, PGPKeys: []string{base64.StdEncoding.EncodeToString(key.Bytes())}, Backup: true}))
	if len(st.PGPFingerprints) != 1 || !st.Backup {
		t.Errorf("begun: %+v", st)
	}
	var res *api.RekeyUpdateResponse
	for _, share := range old[:3] {
		res = must[*api.RekeyUpdateResponse](t)(sys.RekeyUpdate(share, st.Nonce))
	}
	kept := must[*api.RekeyRetrieveResponse](t)(sys.RekeyRetrieveBackup())
	if got := kept.KeysB64[st.PGPFingerprints[0]]; len(got) != 1 || got[0] != res.KeysB64[0] || kept.Nonce != st.Nonce {
		t.Errorf("kept %+v", kept)
	}
	box, err := base64.StdEncoding.DecodeString(kept.KeysB64[st.PGPFingerprints[0]][0])
	if err != nil {
		t.Fatal(err)
	}
	md, err := openpgp.ReadMessage(bytes.NewReader(box), openpgp.EntityList{holder}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	share := must[[]byte](t)(io.ReadAll(md.UnverifiedBody))
	if err := sys.RekeyDeleteBackup(); err != nil {
		t.Fatal(err)
	}
	_, err = sys.RekeyRetrieveBackup()
	refused(t, err, 404, "no backed-up keys")
	if err := sys.Seal(); err != nil {
		t.Fatal(err)
	}
	if st := must[*api.SealStatusResponse](t)(sys.Unseal(string(share))); st.Sealed {
		t.Errorf("the decrypted share leaves %+v", st)
	}
}

func TestRotateClient(t *testing.T) {
	s := startDev(t)
	sys := s.client(t, "root").Sys()
	before := must[*api.KeyStatus](t)(sys.KeyStatus())
	if err := sys.Rotate(); err != nil {
		t.Fatal(err)
	}
	after := must[*api.KeyStatus](t)(sys.KeyStatus())
	if after.Term != before.Term+1 || before.Encryptions == 0 || after.InstallTime.Before(before.InstallTime) {
		t.Errorf("%+v, then %+v", before, after)
	}
	refused(t, s.client(t, "").Sys().Rotate(), 403, "permission denied")
}

// The command line, from one share to the next.
func TestCeremonyCommands(t *testing.T) {
	s := startFile(t, "")
	c, old := s.unsealed(t)
	if err := os.WriteFile(filepath.Join(s.home, "shares"), []byte(strings.Join(old, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.home, "token"), []byte(c.Token()), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, script := range []string{
		// A root token, by an OTP of the command's own.
		`set -e
export VAULT_TOKEN=$(cat token)
otp=$(vault operator generate-root -generate-otp)
vault operator generate-root -init -otp="$otp" >&2
sed -n 1,2p shares | while read k; do vault operator generate-root "$k" >&2; done
encoded=$(sed -n 3p shares | vault operator generate-root -format=json - | sed -n 's/.*"encoded_token": "\(.*\)",/\1/p')
VAULT_TOKEN=$(vault operator generate-root -decode="$encoded" -otp="$otp")
export VAULT_TOKEN
vault token lookup -format=json | grep '"root"' >&2
vault operator rotate | grep 'Key Term *2'`,
		`set -e
export VAULT_TOKEN=$(cat token)
vault operator rekey -init -key-shares=1 -key-threshold=1 | grep 'Started *true'
vault operator rekey -status | grep 'New Shares *1'
vault operator rekey -cancel
nonce=$(vault operator rekey -init -key-shares=1 -key-threshold=1 -format=json | sed -n 's/.*"nonce": "\(.*\)",/\1/p')
sed -n 1,2p shares | while read k; do vault operator rekey -nonce="$nonce" "$k" | grep 'Rekey Progress'; done
sed -n 3p shares | vault operator rekey -nonce="$nonce" - | sed -n 's/^Key 1: //p' > new`,
	} {
		if out, errs, code := s.shell(t, script); code != 0 {
			t.Fatalf("exit %d\n%s\n%s\nof\n%s", code, out, errs, script)
		}
	}
	if err := c.Sys().Seal(); err != nil {
		t.Fatal(err)
	}
	if out, errs, code := s.shell(t, `vault operator unseal "$(cat new)"`); code != 0 || !strings.Contains(out, "false") {
		t.Errorf("unseal with the new share: %d %s %s", code, out, errs)
	}
}
