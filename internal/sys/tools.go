package sys

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"strconv"

	"strongroom/engine"
)

// maxRandom is the most random bytes a request gets, as in Vault.
const maxRandom = 128 << 10

// toolRoutes serve sys/tools/, which touch nothing stored
// (https://developer.hashicorp.com/vault/api-docs/system/tools).
func toolRoutes() []engine.Route {
	format := engine.Field{Name: "format", Help: "hex or base64."}
	random := []engine.Field{
		{Name: "urlbytes", Help: "How many bytes, or where they come from."},
		{Name: "source", Help: "platform, seal or all: they are the same here."},
		{Name: "bytes", Type: engine.Int, Default: int64(32), Help: "How many bytes."}, format,
	}
	sum := []engine.Field{
		{Name: "urlalgorithm", Help: "The algorithm."},
		{Name: "algorithm", Help: "sha2-224, sha2-256, sha2-384, sha2-512, sha3-224, sha3-256, sha3-384 or sha3-512."},
		{Name: "input", Help: "What to hash, in base64."}, format,
	}
	const randomHelp, hashHelp = "Random bytes.", "The hash of an input."
	return []engine.Route{
		{Path: "tools/random", Help: randomHelp, Fields: random, Answers: engine.Answers{engine.Update: toolRandom{}}, Write: randomBytes},
		{Path: "tools/random/{urlbytes}", Help: randomHelp, Fields: random, Answers: engine.Answers{engine.Update: toolRandom{}}, Write: randomBytes},
		{Path: "tools/random/{source}/{urlbytes}", Help: randomHelp, Fields: random, Answers: engine.Answers{engine.Update: toolRandom{}}, Write: randomBytes},
		{Path: "tools/hash", Help: hashHelp, Fields: sum, Answers: engine.Answers{engine.Update: toolHash{}}, Write: hashInput},
		{Path: "tools/hash/{urlalgorithm}", Help: hashHelp, Fields: sum, Answers: engine.Answers{engine.Update: toolHash{}}, Write: hashInput},
	}
}

func isSource(name string) bool { return name == "platform" || name == "seal" || name == "all" }

func randomBytes(_ context.Context, req *engine.Request) (*engine.Response, error) {
	n, source := req.Data.Int("bytes"), req.Data.String("source")
	if text := req.Data.String("urlbytes"); source == "" && isSource(text) {
		source = text
	} else if text != "" {
		var err error
		if n, err = strconv.ParseInt(text, 10, 64); err != nil {
			return nil, engine.Invalidf("the number of bytes must be a whole number")
		}
	}
	switch {
	case source != "" && !isSource(source):
		return nil, engine.Invalidf("unsupported entropy source %q: it is platform, seal or all", source)
	case n < 1:
		return nil, engine.Invalidf(`"bytes" cannot be less than 1`)
	case n > maxRandom:
		return nil, engine.Invalidf(`"bytes" cannot be more than %d`, maxRandom)
	}
	b := make([]byte, n)
	rand.Read(b)
	text, err := encoded(b, req.Data.String("format"), "base64")
	if err != nil {
		return nil, err
	}
	return &engine.Response{Data: map[string]any{"random_bytes": text}}, nil
}

// encoded is b in the format asked for, or in def.
func encoded(b []byte, format, def string) (string, error) {
	if format == "" {
		format = def
	}
	switch format {
	case "hex":
		return hex.EncodeToString(b), nil
	case "base64":
		return base64.StdEncoding.EncodeToString(b), nil
	}
	return "", engine.Invalidf("unsupported encoding format %q; must be \"hex\" or \"base64\"", format)
}

func hashInput(_ context.Context, req *engine.Request) (*engine.Response, error) {
	name := req.Data.String("urlalgorithm")
	if name == "" {
		name = req.Data.String("algorithm")
	}
	h := hasher(name)
	if h == nil {
		return nil, engine.Invalidf("unsupported algorithm %q: it is sha2- or sha3-, and 224, 256, 384 or 512", name)
	}
	input, err := base64.StdEncoding.DecodeString(req.Data.String("input"))
	if err != nil {
		return nil, engine.Invalidf("unable to decode input as base64")
	}
	h.Write(input)
	text, err := encoded(h.Sum(nil), req.Data.String("format"), "hex")
	if err != nil {
		return nil, err
	}
	return &engine.Response{Data: map[string]any{"sum": text}}, nil
}

// hasher is the hash function called name, sha2-256 if that is empty; nil for none.
func hasher(name string) hash.Hash {
	switch name {
	case "sha2-224":
		return sha256.New224()
	case "", "sha2-256":
		return sha256.New()
	case "sha2-384":
		return sha512.New384()
	case "sha2-512":
		return sha512.New()
	case "sha3-224":
		return sha3.New224()
	case "sha3-256":
		return sha3.New256()
	case "sha3-384":
		return sha3.New384()
	case "sha3-512":
		return sha3.New512()
	}
	return nil
}
