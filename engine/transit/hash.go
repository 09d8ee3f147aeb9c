package transit

import (
	"context"
	"crypto"
	"crypto/hmac"
	_ "crypto/sha1" // so that crypto.SHA1 and the others are there
	_ "crypto/sha256"
	_ "crypto/sha3"
	_ "crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"strconv"

	"strongroom/engine"
)

// maxRandom bounds random, in bytes, as Vault does.
const maxRandom = 128 << 10

// noHash is the name of leaving an input as it is; crypto.Hash(0).
const noHash = "none"

// parseHash finds a hash function by its name in the API. For signatures, and
// for them only, it may be SHA-1 or none.
func parseHash(name string, signing bool) (crypto.Hash, error) {
	switch name {
	case "sha2-224":
		return crypto.SHA224, nil
	case "", "sha2-256":
		return crypto.SHA256, nil
	case "sha2-384":
		return crypto.SHA384, nil
	case "sha2-512":
		return crypto.SHA512, nil
	case "sha3-224":
		return crypto.SHA3_224, nil
	case "sha3-256":
		return crypto.SHA3_256, nil
	case "sha3-384":
		return crypto.SHA3_384, nil
	case "sha3-512":
		return crypto.SHA3_512, nil
	case "sha1":
		if signing {
			return crypto.SHA1, nil
		}
	case noHash:
		if signing {
			return 0, nil
		}
	}
	return 0, engine.Invalidf("unsupported hash algorithm %s", strconv.Quote(name))
}

// hashRoutes are hash, hmac and random.
func (b *backend) hashRoutes() []engine.Route {
	algorithm := engine.Field{Name: "algorithm", Help: "sha2-224, sha2-256 (default), sha2-384, sha2-512, sha3-224, sha3-256, sha3-384 or sha3-512."}
	inURL := engine.Field{Name: "urlalgorithm", Help: "The algorithm, in the path."}
	input := engine.Field{Name: "input", Help: "Base64 of the input."}
	format := engine.Field{Name: "format", Help: "hex or base64."}
	hashed := []engine.Field{input, algorithm, inURL, format}
	mac := []engine.Field{name("Name of the key."), input, algorithm, inURL,
		{Name: "key_version", Type: engine.Int, Help: "Version of the key to use; the latest if 0."},
		{Name: "batch_input", Type: engine.Any, Help: "List of objects to work on in one request: input and reference."}}
	bytes := []engine.Field{{Name: "urlbytes", Help: "Number of bytes, or the source, in the path."}, {Name: "bytes", Type: engine.Int, Default: int64(32), Help: "Number of bytes."},
		{Name: "source", Help: "platform (default) or all; seal is not supported."}, format}
	return []engine.Route{
		{Path: "hash", Help: "Hash an input.", Fields: hashed, Answers: engine.Answers{engine.Update: sumInfo{}}, Write: hashInput},
		{Path: "hash/{urlalgorithm}", Help: "Hash an input.", Fields: hashed, Answers: engine.Answers{engine.Update: sumInfo{}}, Write: hashInput},
		{Path: "hmac/{name}", Help: "The HMAC of an input.", Fields: mac, Answers: engine.Answers{engine.Update: engine.Either{result{}, batchResults{}}}, Write: b.hmac},
		{Path: "hmac/{name}/{urlalgorithm}", Help: "The HMAC of an input.", Fields: mac, Answers: engine.Answers{engine.Update: engine.Either{result{}, batchResults{}}}, Write: b.hmac},
		{Path: "random", Help: "Random bytes.", Fields: bytes, Answers: engine.Answers{engine.Update: randomInfo{}}, Write: randomBytes},
		{Path: "random/{urlbytes}", Help: "Random bytes.", Fields: bytes, Answers: engine.Answers{engine.Update: randomInfo{}}, Write: randomBytes},
		{Path: "random/{source}/{urlbytes}", Help: "Random bytes.", Fields: bytes, Answers: engine.Answers{engine.Update: randomInfo{}}, Write: randomBytes},
	}
}

// algorithm is the hash that the path names, or else the body.
func algorithm(d engine.Data, names ...string) string {
	for _, name := range append([]string{"urlalgorithm"}, names...) {
		if s := d.String(name); s != "" {
			return s
		}
	}
	return ""
}

// formatted encodes raw as the request wants it, or as preset says.
func formatted(d engine.Data, raw []byte, preset string) (string, error) {
	form := d.String("format")
	if form == "" {
		form = preset
	}
	switch form {
	case "hex":
		return hex.EncodeToString(raw), nil
	case "base64":
		return base64.StdEncoding.EncodeToString(raw), nil
	}
	return "", engine.Invalidf("unsupported encoding format %s; must be \"hex\" or \"base64\"", strconv.Quote(form))
}

func hashInput(_ context.Context, req *engine.Request) (*engine.Response, error) {
	d := req.Data
	if !d.Has("input") {
		return nil, engine.Invalidf("missing input")
	}
	input, err := base64.StdEncoding.DecodeString(d.String("input"))
	if err != nil {
		return nil, engine.Invalidf("unable to decode input as base64: %v", err)
	}
	h, err := parseHash(algorithm(d, "algorithm"), false)
	if err != nil {
		return nil, err
	}
	sum, err := formatted(d, digest(h, input), "hex")
	if err != nil {
		return nil, err
	}
	return &engine.Response{Data: map[string]string{"sum": sum}}, nil
}

func digest(h crypto.Hash, input []byte) []byte {
	f := h.New()
	f.Write(input)
	return f.Sum(nil)
}

func randomBytes(_ context.Context, req *engine.Request) (*engine.Response, error) {
	d := req.Data
	n, source := d.Int("bytes"), d.String("source")
	if s := d.String("urlbytes"); s != "" {
		var err error
		if n, err = strconv.ParseInt(s, 10, 64); err != nil {
			if source != "" {
				return nil, engine.Invalidf("error parsing url-set byte count: %s is no number", strconv.Quote(s))
			}
			n, source = d.Int("bytes"), s
		}
	}
	switch {
	case source == "seal":
		return nil, engine.Invalidf("the source seal is an Enterprise feature of Vault that this server does not have: use platform")
	case source != "" && source != "platform" && source != "all":
		return nil, engine.Invalidf("unsupported entropy source %s; must be \"platform\" or \"all\"", strconv.Quote(source))
	case n < 1:
		return nil, engine.Invalidf("\"bytes\" cannot be less than 1")
	case n > maxRandom:
		return nil, engine.Invalidf("\"bytes\" should be less than %d", maxRandom)
	}
	raw := random(int(n))
	defer clear(raw)
	s, err := formatted(d, raw, "base64")
	if err != nil {
		return nil, err
	}
	return &engine.Response{Data: map[string]string{"random_bytes": s}}, nil
}

func (b *backend) hmac(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	h, err := parseHash(algorithm(req.Data, "algorithm"), false)
	if err != nil {
		return nil, err
	}
	t, err := parseTask(req)
	if err != nil {
		return nil, err
	}
	k, err := b.need(ctx, req, noKey)
	if err != nil {
		return nil, err
	}
	v, n, err := b.pick(ctx, req.Storage, k, req.Data.Int("key_version"), "HMAC")
	if err != nil {
		return nil, err
	}
	return t.respond(ctx, func(it *item) (result, error) {
		input, err := it.input("missing input for HMAC")
		if err != nil {
			return result{}, err
		}
		return result{HMAC: text(n, v.mac(h, input), base64.StdEncoding)}, nil
	})
}

// mac is the HMAC of input.
func (v *version) mac(h crypto.Hash, input []byte) []byte {
	m := hmac.New(h.New, v.hmac)
	m.Write(input)
	return m.Sum(nil)
}

// input is what the item wants hashed or signed.
func (it *item) input(missing string) ([]byte, error) {
	if it.Input == nil {
		return nil, engine.Invalidf("%s", missing)
	}
	b, err := base64.StdEncoding.DecodeString(*it.Input)
	if err != nil {
		return nil, engine.Invalidf("unable to decode input as base64: %v", err)
	}
	return b, nil
}
