package transit

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A key that is softly deleted does nothing, is not lost, and comes back with all it had.
func TestSoftDelete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := mount(t)
		must(t, m, "PUT keys/k", with("exportable", true, "allow_plaintext_backup", true, "auto_rotate_period", "1h"))
		must(t, m, "PUT keys/s", with("type", "ed25519"))
		must(t, m, "PUT keys/r", with("type", "rsa-2048"))
		sealed := must(t, m, "PUT encrypt/k", with("plaintext", fox))["ciphertext"]
		signed := must(t, m, "PUT sign/s", with("input", fox))["signature"]
		if got := must(t, m, "DELETE keys/k/soft-delete", ""); got["soft_deleted"] != true {
			t.Errorf("soft-delete answers %v", got)
		}
		must(t, m, "DELETE keys/s/soft-delete", "")
		if m.Due() != 0 {
			t.Errorf("%d keys still rotate by themselves", m.Due())
		}
		for request, body := range map[string]string{
			"PUT encrypt/k": with("plaintext", fox), "NEW encrypt/k": with("plaintext", fox), "PUT decrypt/k": with("ciphertext", sealed), "PUT rewrap/k": with("ciphertext", sealed),
			"PUT datakey/plaintext/k": "", "PUT hmac/k": with("input", fox), "PUT keys/k/rotate": "", "GET export/encryption-key/k": "", "GET byok-export/r/k": "",
			"PUT sign/s": with("input", fox), "PUT verify/s": with("input", fox, "signature", signed),
		} {
			refused(t, m, request, body, "is soft deleted: restore it")
		}
		if got := must(t, m, "GET keys/k", ""); got["soft_deleted"] != true || got["latest_version"] != 1.0 {
			t.Errorf("read: %v", got)
		}
		if got := must(t, m, "LIST keys", ""); len(got["keys"].([]any)) != 3 {
			t.Errorf("list: %v", got)
		}
		must(t, m, "PUT keys/k/config", with("min_encryption_version", 1))
		backup := must(t, m, "GET backup/k", "")["backup"].(string)
		must(t, m, "PUT restore/copy", with("backup", backup))
		refused(t, m, "PUT encrypt/copy", with("plaintext", fox), "is soft deleted")

		time.Sleep(2 * time.Hour)
		if got := must(t, m, "PUT keys/k/soft-delete-restore", ""); got["soft_deleted"] != nil || got["latest_version"] != 1.0 || m.Due() != 1 {
			t.Errorf("restored: %v, %d due", got, m.Due())
		}
		if got := must(t, m, "PUT decrypt/k", with("ciphertext", sealed)); got["plaintext"] != fox {
			t.Errorf("decrypted: %v", got)
		}
		must(t, m, "PUT keys/s/soft-delete-restore", "")
		if got := must(t, m, "PUT verify/s", with("input", fox, "signature", signed)); got["valid"] != true {
			t.Errorf("verified: %v", got)
		}
		refused(t, m, "DELETE keys/none/soft-delete", "", "no existing key named none")
		if _, err := call(m, "DELETE keys/k", ""); err == nil || !strings.Contains(err.Error(), "deletion is not allowed") {
			t.Errorf("a soft deletion allows a real one: %v", err)
		}
	})
}
