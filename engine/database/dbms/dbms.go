// Package dbms is what the engine and a kind of database say to each other. It
// does nothing.
package dbms

import (
	"fmt"
	"io"
	"time"
)

// Secret is a password or a key, which does not print.
type Secret string

// Format implements fmt.Formatter.
func (Secret) Format(f fmt.State, _ rune) { io.WriteString(f, "[secret]") }

// Settings are those of one connection.
type Settings struct {
	// URL is the connection_url, with {{username}} and {{password}} in their places.
	URL                  string
	Username             string
	Password             Secret
	CA, Certificate, Key Secret // PEM; "": none
	// Escaped: Username and Password are as they stand in a URL (disable_escaping).
	Escaped bool
	// Hash: passwords that are set leave hashed, as password_authentication=scram-sha-256 has it.
	Hash        bool
	MaxOpen     int // connections; under 0: unlimited
	MaxIdle     int // of these, unused; under 0: none
	MaxLifetime time.Duration
}

// Values are what statements name.
type Values struct {
	Name       string // {{name}} and {{username}}
	Password   Secret // {{password}}
	Expiration time.Time
}

// Failure is why a database did not do what it was asked.
type Failure struct {
	Text string // for people; it holds no secret, and nothing of the connection's settings
	// Doubt: it may have happened all the same.
	Doubt bool
	// Login: the database takes the user name and password of the connection no more.
	Login bool
}

func (f *Failure) Error() string { return f.Text }
