package database

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/template"
	"text/template/parse"
	"time"

	"github.com/google/uuid"
)

const (
	// defaultTemplate is Vault's for PostgreSQL.
	defaultTemplate = `{{ printf "v-%s-%s-%s-%s" (.DisplayName | truncate 8) (.RoleName | truncate 8) (random 20) (unix_time) | truncate 63 }}`
	maxRandom       = 256 // characters
	maxName         = 255 // bytes; a database may take fewer
)

// parseTemplate reads a username_template
// (https://developer.hashicorp.com/vault/docs/concepts/username-templating): texts
// and calls of functions. What repeats is refused, as it could without end.
func parseTemplate(text string) (*template.Template, error) {
	if len(text) > 4096 {
		return nil, errors.New("it is over 4096 bytes long")
	}
	t, err := template.New("username").Funcs(functions()).Option("missingkey=error").Parse(cmp.Or(text, defaultTemplate))
	if err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "template: username:"))
	}
	for _, n := range t.Root.Nodes {
		if n.Type() != parse.NodeText && n.Type() != parse.NodeAction {
			return nil, errors.New("it may hold texts and calls of functions only")
		}
	}
	return t, nil
}

// username makes a name by the template of c for a caller and a role.
func (c *connection) username(displayName, role string) (string, error) {
	t, err := parseTemplate(c.Template)
	if err != nil {
		return "", fmt.Errorf("username_template: %w", err)
	}
	var b strings.Builder
	err = t.Execute(&b, struct{ DisplayName, RoleName string }{plain(displayName), plain(role)})
	name := b.String()
	switch {
	case err != nil:
		return "", errors.New("username_template cannot be carried out")
	case name == "" || len(name) > maxName:
		return "", fmt.Errorf("username_template makes a name of %d bytes: 1 to %d are needed", len(name), maxName)
	case unquotable(name):
		return "", errors.New("username_template: " + quotable)
	}
	return name, nil
}

// plain is text with what a name of a user should not hold replaced: callers choose
// what they are called, and it must not end the quotes that it stands in.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune("-_.@+", r):
			return r
		}
		return '_'
	}, text)
}

func functions() template.FuncMap {
	return template.FuncMap{
		"random": func(n int) (string, error) {
			if n < 1 || n > maxRandom {
				return "", fmt.Errorf("random: 1 to %d", maxRandom)
			}
			var out strings.Builder
			for out.Len() < n {
				out.WriteString(strings.ReplaceAll(strings.ReplaceAll(base64.RawURLEncoding.EncodeToString(noise(n)), "-", ""), "_", ""))
			}
			return out.String()[:n], nil
		},
		"truncate": func(n int, s string) (string, error) {
			if n < 1 {
				return "", errors.New("truncate: 1 or more")
			}
			return s[:min(n, len(s))], nil
		},
		"truncate_sha256": func(n int, s string) (string, error) {
			if n < 9 {
				return "", errors.New("truncate_sha256: 9 or more")
			}
			if len(s) <= n {
				return s, nil
			}
			sum := sha256.Sum256([]byte(s[n-8:]))
			return s[:n-8] + hex.EncodeToString(sum[:])[:8], nil
		},
		"uppercase": strings.ToUpper,
		"lowercase": strings.ToLower,
		"replace":   func(old, instead, s string) string { return strings.ReplaceAll(s, old, instead) },
		"sha256":    func(s string) string { sum := sha256.Sum256([]byte(s)); return hex.EncodeToString(sum[:]) },
		"base64":    func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
		"unix_time": func() string { return strconv.FormatInt(time.Now().Unix(), 10) },
		"unix_time_millis": func() string {
			return strconv.FormatInt(time.Now().UnixMilli(), 10)
		},
		"timestamp": func(layout string) string { return time.Now().UTC().Format(layout) },
		"uuid":      uuid.NewString,
	}
}

func noise(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}
