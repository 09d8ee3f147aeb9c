package transit

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"strconv"
	"strings"

	"strongroom/engine"
)

// certificateRoutes are csr and set-certificate.
func (b *backend) certificateRoutes() []engine.Route {
	version := engine.Field{Name: "version", Help: "Number of a version, or latest (default)."}
	return []engine.Route{
		{
			Path: "keys/{name}/csr", Help: "Sign a certificate signing request with a key.",
			Fields:  []engine.Field{name("Name of the key."), version, {Name: "csr", Help: "PEM of a request to take over, but for its key; an empty one otherwise."}},
			Answers: engine.Answers{engine.Update: csrInfo{}},
			Write:   b.signCSR,
		},
		{
			Path: "keys/{name}/set-certificate", Help: "Keep the certificates of a key beside it.",
			Fields:  []engine.Field{name("Name of the key."), version, {Name: "certificate_chain", Required: true, Help: "PEM of certificates, the key's own first, each signed by the next."}},
			Answers: engine.Answers{engine.Update: engine.Nothing{}},
			Write:   b.setCertificate,
		},
	}
}

// certified returns the key that req names and the version of it, which is a pair.
func (b *backend) certified(ctx context.Context, req *engine.Request, k *key) (*version, int, error) {
	if k.Kind.symmetric() {
		return nil, 0, engine.Invalidf("key type %v has no public key for a certificate", k.Kind)
	}
	if k.Derived {
		return nil, 0, engine.Invalidf("operation not supported on keys with derivation enabled")
	}
	n := int64(0)
	if s := req.Data.String("version"); s != "" && s != "latest" {
		var err error
		if n, err = strconv.ParseInt(s, 10, 64); err != nil || n < 1 {
			return nil, 0, engine.Invalidf("invalid key version: it must be a number or latest")
		}
	}
	if n > int64(k.Latest) || (n != 0 && n < int64(k.oldest())) {
		return nil, 0, engine.Invalidf("key version does not exist")
	}
	if n == 0 {
		n = int64(k.Latest)
	}
	v, err := b.version(ctx, req.Storage, k, int(n))
	return v, int(n), err
}

func (b *backend) signCSR(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	k, err := b.need(ctx, req, "key with provided name not found")
	if err != nil {
		return nil, err
	}
	v, n, err := b.certified(ctx, req, k)
	if err != nil {
		return nil, err
	}
	private, err := v.usable()
	if err != nil {
		return nil, err
	}
	template := &x509.CertificateRequest{}
	if s := req.Data.String("csr"); s != "" {
		block, rest := pem.Decode([]byte(s))
		if block == nil || len(strings.TrimSpace(string(rest))) > 0 {
			return nil, engine.Invalidf("csr must be PEM of one request")
		}
		given, err := x509.ParseCertificateRequest(block.Bytes)
		if err != nil {
			return nil, engine.Invalidf("csr could not be parsed")
		}
		template.RawSubject, template.ExtraExtensions = given.RawSubject, given.Extensions
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, template, private)
	if err != nil {
		return nil, engine.Invalidf("failed to sign the request: %v", err)
	}
	return &engine.Response{Data: map[string]any{"name": k.name, "type": k.Kind, "version": n, "csr": pemText("CERTIFICATE REQUEST", der)}}, nil
}

// maxChain bounds a chain of certificates.
const maxChain = 16

func (b *backend) setCertificate(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	k, err := open(ctx, req.Storage, req.Data.String("name"))
	if err != nil {
		return nil, err
	}
	if k == nil {
		return nil, engine.Invalidf("key with provided name not found")
	}
	v, n, err := b.certified(ctx, req, k)
	if err != nil {
		return nil, err
	}
	chain, err := parseChain(req.Data.String("certificate_chain"))
	if err != nil {
		return nil, err
	}
	if !samePublic(v.public, chain[0].PublicKey) {
		return nil, engine.Invalidf("the first certificate does not belong to version %d of this key", n)
	}
	changed := *v
	changed.chain = nil
	for _, c := range chain {
		changed.chain = append(changed.chain, c.Raw)
	}
	due := k.due()
	if err := k.put(req.Storage, n, &changed); err != nil {
		return nil, err
	}
	return nil, k.save(req, due)
}

// parseChain reads PEM certificates, of which each but the last is signed by the next.
func parseChain(text string) ([]*x509.Certificate, error) {
	var chain []*x509.Certificate
	for rest := []byte(strings.TrimSpace(text)); len(rest) > 0; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil || block.Type != "CERTIFICATE" {
			return nil, engine.Invalidf("certificate_chain must be PEM of certificates")
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, engine.Invalidf("certificate %d of the chain could not be parsed", len(chain)+1)
		}
		if i := len(chain); i > 0 && chain[i-1].CheckSignatureFrom(c) != nil {
			return nil, engine.Invalidf("certificate %d of the chain is not signed by the next: order it from the key's own certificate up", i)
		}
		if chain = append(chain, c); len(chain) > maxChain {
			return nil, engine.Invalidf("certificate_chain has more than %d certificates", maxChain)
		}
		rest = []byte(strings.TrimSpace(string(rest)))
	}
	if len(chain) == 0 {
		return nil, engine.Invalidf("no certificates provided")
	}
	return chain, nil
}
