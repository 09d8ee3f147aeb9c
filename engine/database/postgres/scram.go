package postgres

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"

	"strongroom/engine/database/dbms"
)

const (
	iterations = 4096 // PostgreSQL's scram_iterations
	saltSize   = 16
)

// verifier is what PostgreSQL stores of password by scram-sha-256 (RFC 5803), and
// takes in its place: SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>.
func verifier(password string) (string, error) {
	for i := range len(password) {
		if c := password[i]; c < ' ' || c > '~' { // RFC 4013 would change it first
			return "", &dbms.Failure{Text: "password_authentication scram-sha-256 needs passwords of ASCII characters: change the password policy"}
		}
	}
	salt := make([]byte, saltSize)
	rand.Read(salt)
	return verifierOf(password, salt)
}

func verifierOf(password string, salt []byte) (string, error) {
	salted, err := pbkdf2.Key(sha256.New, password, salt, iterations, sha256.Size)
	if err != nil {
		return "", &dbms.Failure{Text: "the password cannot be hashed by scram-sha-256"}
	}
	mac := func(text string) []byte {
		h := hmac.New(sha256.New, salted)
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	stored := sha256.Sum256(mac("Client Key"))
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", iterations, b64(salt), b64(stored[:]), b64(mac("Server Key"))), nil
}
