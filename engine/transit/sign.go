package transit

import (
	"context"
	"crypto/hmac"
	"encoding/base64"

	"strongroom/engine"
)

// signRoutes are sign and verify.
func (b *backend) signRoutes() []engine.Route {
	common := []engine.Field{name("Name of the key."),
		{Name: "urlalgorithm", Help: "The hash algorithm, in the path."},
		{Name: "hash_algorithm", Help: "sha1, sha2-224, sha2-256 (default), sha2-384, sha2-512, sha3-224, sha3-256, sha3-384, sha3-512 or none; Ed25519 has its own."},
		{Name: "algorithm", Help: "An older name of hash_algorithm."},
		{Name: "input", Help: "Base64 of the input."},
		{Name: "context", Help: "Base64 of the context that a derived key needs."},
		{Name: "signature_context", Help: "Base64 of the context of an Ed25519ctx or Ed25519ph signature."},
		{Name: "prehashed", Type: engine.Bool, Help: "The input is a hash already."},
		{Name: "signature_algorithm", Default: pss, Help: "Of an RSA key: pss or pkcs1v15."},
		{Name: "marshaling_algorithm", Default: asn1Form, Help: "Form of an ECDSA signature: asn1 or jws."},
		{Name: "salt_length", Default: "auto", Help: "Of PSS: auto, hash, or a number of bytes."},
		{Name: "batch_input", Type: engine.Any, Help: "List of objects to work on in one request, each with the parameters of one."}}
	sign := append([]engine.Field{{Name: "key_version", Type: engine.Int, Help: "Version of the key to use; the latest if 0."}}, common...)
	verify := append([]engine.Field{{Name: "signature", Help: "Text that sign answered."}, {Name: "hmac", Help: "Text that hmac answered."}, {Name: "cmac", Help: "Not supported."}}, common...)
	cmac := []engine.Field{name("Name of the key."), {Name: "url_mac_length", Help: "Size of the CMAC."}}
	results := engine.Answers{engine.Update: engine.Either{result{}, batchResults{}}}
	return []engine.Route{
		{Path: "cmac/{name}", Help: "CMAC is not supported.", Fields: cmac, FreeForm: true, Answers: engine.Answers{engine.Update: engine.Never{}}, Write: noCMAC},
		{Path: "cmac/{name}/{url_mac_length}", Help: "CMAC is not supported.", Fields: cmac, FreeForm: true, Answers: engine.Answers{engine.Update: engine.Never{}}, Write: noCMAC},
		{Path: "sign/{name}", Help: "Sign an input.", Fields: sign, Answers: results, Write: b.sign},
		{Path: "sign/{name}/{urlalgorithm}", Help: "Sign an input.", Fields: sign, Answers: results, Write: b.sign},
		{Path: "verify/{name}", Help: "Say whether a signature or an HMAC belongs to an input.", Fields: verify, Answers: results, Write: b.verify},
		{Path: "verify/{name}/{urlalgorithm}", Help: "Say whether a signature or an HMAC belongs to an input.", Fields: verify, Answers: results, Write: b.verify},
	}
}

func noCMAC(context.Context, *engine.Request) (*engine.Response, error) {
	return nil, engine.Invalidf("CMAC is an Enterprise feature of Vault that this server does not have: use an HMAC")
}

func (b *backend) sign(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	t, err := parseTask(req)
	if err != nil {
		return nil, err
	}
	k, err := b.need(ctx, req, "signing key not found")
	if err != nil {
		return nil, err
	}
	if !k.Kind.is().signs {
		return nil, engine.Invalidf("key type %v does not support signing", k.Kind)
	}
	how, err := parseScheme(req.Data, k.Kind)
	if err != nil {
		return nil, err
	}
	v, n, err := b.pick(ctx, req.Storage, k, req.Data.Int("key_version"), "signing")
	if err != nil {
		return nil, err
	}
	return t.respond(ctx, func(it *item) (result, error) {
		input, err := it.input("missing input")
		if err != nil {
			return result{}, err
		}
		private, err := v.usable()
		if err != nil {
			return result{}, err
		}
		r := result{KeyVersion: n}
		if k.Derived {
			derived, err := it.derivedPair(v)
			if err != nil {
				return result{}, err
			}
			defer clear(derived)
			private, r.PublicKey = derived, derived.Public().(edPublic)
		}
		raw, err := how.with(it).sign(private, input)
		if err != nil {
			return result{}, err
		}
		r.Signature = text(n, raw, how.encoding())
		return r, nil
	})
}

func (b *backend) verify(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	if req.Data.Has("cmac") {
		return noCMAC(ctx, req)
	}
	t, err := parseTask(req)
	if err != nil {
		return nil, err
	}
	macs, err := t.macs()
	if err != nil {
		return nil, err
	}
	k, err := b.need(ctx, req, "signature verification key not found")
	if err != nil {
		return nil, err
	}
	if macs {
		return b.verifyMACs(ctx, req, t, k)
	}
	if !k.Kind.is().signs {
		return nil, engine.Invalidf("key type %v does not support verification", k.Kind)
	}
	how, err := parseScheme(req.Data, k.Kind)
	if err != nil {
		return nil, err
	}
	return t.respond(ctx, func(it *item) (result, error) {
		input, err := it.input("missing input")
		if err != nil {
			return result{}, err
		}
		n, rest, err := parseText(*it.Signature, "signature")
		if err != nil {
			return result{}, err
		}
		v, err := b.made(ctx, req.Storage, k, n, "signature")
		if err != nil {
			return result{}, err
		}
		raw, err := how.encoding().DecodeString(rest)
		if err != nil {
			return result{}, engine.Invalidf("invalid base64 signature value")
		}
		public := v.public
		if k.Derived {
			derived, err := it.derivedPair(v)
			if err != nil {
				return result{}, err
			}
			defer clear(derived)
			public = derived.Public()
		}
		valid, err := how.with(it).verify(public, input, raw)
		return result{Valid: &valid}, err
	})
}

// derivedPair is the pair of v that belongs to the item's context.
func (it *item) derivedPair(v *version) (edPrivate, error) {
	context, err := unbase64(it.Context, "context")
	if err != nil {
		return nil, err
	}
	return v.derivedPair(context)
}

// macs says whether the items have HMACs to verify, rather than signatures: all
// must have one, and of the same sort.
func (t task) macs() (bool, error) {
	macs, signatures := 0, 0
	for i := range t.items {
		if t.items[i].HMAC != nil {
			macs++
		}
		if t.items[i].Signature != nil {
			signatures++
		}
	}
	switch {
	case macs > 0 && signatures > 0 && !t.batch:
		return false, engine.Invalidf("provide one of 'signature' or 'hmac'")
	case macs > 0 && signatures > 0:
		return false, engine.Invalidf("elements of batch_input must all provide 'signature' or all provide 'hmac'")
	case macs == len(t.items):
		return true, nil
	case signatures == len(t.items):
		return false, nil
	case !t.batch:
		return false, engine.Invalidf("neither a 'signature' nor an 'hmac' was given to verify")
	}
	return false, engine.Invalidf("elements of batch_input must all provide 'signature' or all provide 'hmac'")
}

func (b *backend) verifyMACs(ctx context.Context, req *engine.Request, t task, k *key) (*engine.Response, error) {
	h, err := parseHash(algorithm(req.Data, "hash_algorithm", "algorithm"), false)
	if err != nil {
		return nil, err
	}
	return t.respond(ctx, func(it *item) (result, error) {
		input, err := it.input("missing input")
		if err != nil {
			return result{}, err
		}
		n, rest, err := parseText(*it.HMAC, "HMAC to verify")
		if err != nil {
			return result{}, err
		}
		v, err := b.made(ctx, req.Storage, k, n, "HMAC to verify")
		if err != nil {
			return result{}, err
		}
		given, err := base64.StdEncoding.DecodeString(rest)
		if err != nil {
			return result{}, engine.Invalidf("unable to decode verification string as base64: %v", err)
		}
		valid := hmac.Equal(v.mac(h, input), given)
		return result{Valid: &valid}, nil
	})
}
