package pki

import (
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"math/big"
	"slices"
	"strings"

	"strongroom/engine"
)

// form is how the caller wants what is made.
type form struct {
	der, bundle bool // neither: PEM
	pkcs8       bool
	noRoots     bool // the chain ends before the self-signed certificate
}

func formatField() engine.Field {
	return engine.Field{Name: "format", Default: "pem", Help: "pem, der (base64) or pem_bundle (private key, certificate and chain in one)."}
}

func privateFormatField() engine.Field {
	return engine.Field{Name: "private_key_format", Default: "der", Help: "der: PKCS #1 or SEC 1; pkcs8."}
}

func parseForm(d engine.Data) (form, error) {
	f := form{noRoots: d.Bool("remove_roots_from_chain")}
	switch d.String("format") {
	case "", "pem":
	case "der":
		f.der = true
	case "pem_bundle":
		f.bundle = true
	default:
		return f, engine.Invalidf("the \"format\" path parameter must be \"pem\", \"der\", or \"pem_bundle\"")
	}
	switch d.String("private_key_format") {
	case "", "der", "pem":
	case "pkcs8":
		f.pkcs8 = true
	default:
		return f, engine.Invalidf("private_key_format must be \"der\" or \"pkcs8\"")
	}
	return f, nil
}

// text is der in the form: PEM of a type, or base64.
func (f form) text(block string, der []byte) string {
	if f.der {
		return base64.StdEncoding.EncodeToString(der)
	}
	return pemText(block, der)
}

// putPrivate adds the private key to data.
func (f form) putPrivate(data map[string]any, s crypto.Signer) error {
	der, block, err := encodePrivate(s, f.pkcs8)
	if err != nil {
		return err
	}
	defer clear(der)
	data["private_key"] = f.text(block, der)
	data["private_key_type"] = kindOf(s.Public()).name
	return nil
}

// bundled is a text with the private key, if there is one, before it.
func (f form) bundled(text string, s crypto.Signer) (string, error) {
	if s == nil {
		return text, nil
	}
	der, block, err := encodePrivate(s, false)
	if err != nil {
		return "", err
	}
	defer clear(der)
	return pemText(block, der) + "\n" + text, nil
}

// certificate is the answer that shows cert, who issued it (the first of chain), and
// its private key, if the caller is to have it.
func (f form) certificate(cert *x509.Certificate, chain []*issuer, s crypto.Signer) (map[string]any, error) {
	data := map[string]any{
		"certificate": f.text("CERTIFICATE", cert.Raw), "serial_number": serialText(cert.SerialNumber), "expiration": cert.NotAfter.Unix(),
	}
	if len(chain) > 0 {
		data["issuing_ca"] = f.text("CERTIFICATE", chain[0].Certificate)
		shown := []string{}
		for _, i := range chain {
			if !f.noRoots || !selfSigned(i.cert) {
				shown = append(shown, f.text("CERTIFICATE", i.Certificate))
			}
		}
		data["ca_chain"] = shown
	}
	if s != nil {
		if err := f.putPrivate(data, s); err != nil {
			return nil, err
		}
	}
	if !f.bundle {
		return data, nil
	}
	parts := []string{pemText("CERTIFICATE", cert.Raw)}
	for _, i := range chain {
		if !selfSigned(i.cert) { // a root is known to who verifies, or not trusted
			parts = append(parts, i.pem)
		}
	}
	var err error
	data["certificate"], err = f.bundled(strings.Join(parts, "\n"), s)
	return data, err
}

// serialText is a serial number as Vault has it: bytes in hex with colons.
func serialText(n *big.Int) string { return colons(hex.EncodeToString(n.Bytes())) }

// colons puts colons between the bytes of a text in hex.
func colons(digits string) string {
	var b strings.Builder
	for i := 0; i+1 < len(digits); i += 2 {
		if i > 0 {
			b.WriteByte(':')
		}
		b.WriteString(digits[i : i+2])
	}
	return b.String()
}

// serialDigits is a serial number as it stands in storage, hex, out of a text with
// colons, hyphens or nothing between its bytes; "" if that is none.
func serialDigits(text string) string {
	digits := strings.ToLower(strings.NewReplacer(":", "", "-", "").Replace(text))
	if len(digits)%2 == 1 {
		digits = "0" + digits
	}
	raw, err := hex.DecodeString(digits)
	if err != nil || len(raw) > serialSize+1 {
		return ""
	}
	raw = raw[min(len(raw), slices.IndexFunc(append(raw, 1), func(b byte) bool { return b != 0 })):]
	return hex.EncodeToString(raw)
}
