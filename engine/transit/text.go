package transit

import (
	"encoding/base64"
	"strconv"
	"strings"

	"strongroom/engine"
)

// textPrefix begins everything that a key has made.
const textPrefix = "vault:v"

// text is what a key made: raw, by version n.
func text(n int, raw []byte, encoding *base64.Encoding) string {
	b := make([]byte, 0, len(textPrefix)+8+encoding.EncodedLen(len(raw)))
	b = append(b, textPrefix...)
	b = strconv.AppendInt(b, int64(n), 10)
	b = append(b, ':')
	return string(encoding.AppendEncode(b, raw))
}

// parseText takes a text apart into the version that made it and the rest, still
// encoded. what names it in errors.
func parseText(s, what string) (n int, rest string, err error) {
	s, ok := strings.CutPrefix(s, textPrefix)
	if !ok {
		return 0, "", engine.Invalidf("invalid %s: no prefix", what)
	}
	number, rest, ok := strings.Cut(s, ":")
	if !ok {
		return 0, "", engine.Invalidf("invalid %s: wrong number of fields", what)
	}
	if n, err = strconv.Atoi(number); err != nil {
		return 0, "", engine.Invalidf("invalid %s: version number could not be decoded", what)
	}
	return n, rest, nil
}

// unbase64 decodes the parameter called what.
func unbase64(s, what string) ([]byte, error) {
	if s == "" {
		return nil, nil
	}
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return nil, engine.Invalidf("failed to base64-decode %s: %v", what, err)
	}
	return b, nil
}
