package database

import (
	"encoding/base64"
	"encoding/json"
	"regexp"
	"strings"

	"strongroom/engine"
)

// hidden finds password=… in a connection string.
var hidden = regexp.MustCompile(`(?i)\b(?:ssl)?password\s*=\s*(?:'(?:[^'\\]|\\.)*'?|[^\s&]*)`)

// quotable says what a name may be that statements hold between quotes.
const quotable = `a name may hold no quote, backslash, semicolon, dollar sign, brace or control character, as statements name it between quotes`

// unquotable says whether name would end the quotes, of any kind, that it stands in.
func unquotable(name string) bool {
	return strings.ContainsFunc(name, func(r rune) bool {
		return r < ' ' || r == 0x7f || r == '\ufffd' || strings.ContainsRune("\"'`\\;${}", r)
	})
}

// texts is list, never null.
func texts(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// statements is a parameter of statements: a list, or a text that is one statement or
// several, a list in JSON, or either of these in base64. had, if it is not given.
func statements(d engine.Data, name string, had []string) ([]string, error) {
	if !d.Has(name) {
		return had, nil
	}
	var list []string
	var text string
	raw := d.Raw(name)
	switch {
	case json.Unmarshal(raw, &list) == nil:
	case json.Unmarshal(raw, &text) == nil:
		if b, err := base64.StdEncoding.DecodeString(text); err == nil {
			text = string(b)
		}
		if json.Unmarshal([]byte(text), &list) != nil {
			list = []string{text}
		}
	default:
		return nil, engine.Invalidf("%s must be a text, or a list of texts", name)
	}
	out := []string{}
	for _, s := range list {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, s)
		}
	}
	return out, nil
}
