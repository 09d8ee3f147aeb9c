package pki

import (
	"crypto/x509/pkix"
	"encoding/hex"
	"strings"
	"testing"

	"strongroom/engine"
)

// FuzzBundle: reading PEM never panics; what is wrong is the caller's fault, and what
// is read is whole.
func FuzzBundle(f *testing.F) {
	m := mount(f)
	got := must(f, m, "PUT root/generate/exported", with("common_name", "Root", "key_type", "ed25519"))
	f.Add(field(got, "certificate") + "\n" + field(got, "private_key"))
	f.Add("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
	f.Add("-----BEGIN EC PARAMETERS-----\nAAAA\n-----END EC PARAMETERS-----\n")
	f.Fuzz(func(t *testing.T, text string) {
		b, err := parseBundle(text)
		if err != nil {
			if engine.KindOf(err) != engine.Invalid {
				t.Errorf("%v is not the caller's error", err)
			}
			return
		}
		if len(b.certs)+len(b.keys) == 0 {
			t.Error("nothing was read")
		}
		for _, k := range b.keys {
			if kindOf(k.Public()).name == "" {
				t.Errorf("a key of type %T", k)
			}
		}
	})
}

// FuzzCSR: reading a request never panics; one that is read has a key that signed it.
func FuzzCSR(f *testing.F) {
	f.Add(first(request(f, named("a.example.com", "b.example.com"))))
	f.Add("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n")
	f.Fuzz(func(t *testing.T, text string) {
		csr, err := parseCSR(text)
		if err != nil {
			if engine.KindOf(err) != engine.Invalid {
				t.Errorf("%v is not the caller's error", err)
			}
			return
		}
		if csr.CheckSignature() != nil || kindOf(csr.PublicKey).name == "" {
			t.Error("a request that nobody signed was read")
		}
		isCA(csr)
		if _, err := namesOf(csr); err != nil && engine.KindOf(err) != engine.Invalid {
			t.Errorf("%v is not the caller's error", err)
		}
	})
}

// FuzzOther: other names are read from an extension as they were written into it, and
// reading anything never panics.
func FuzzOther(f *testing.F) {
	f.Add("1.3.6.1.4.1.311.20.2.3;UTF8:me@example.com", []byte{0x30, 0x00})
	f.Add("2.999.1;utf-8:é", []byte{0x30, 0x03, 0xa0, 0x01, 0x00})
	f.Fuzz(func(t *testing.T, text string, raw []byte) {
		othersOf([]pkix.Extension{{Id: oidSAN(), Value: raw}})
		o, err := parseOther(text)
		if err != nil {
			return
		}
		n := &names{other: []otherName{o}, dns: []string{"a.test"}}
		ext, err := n.extension(false)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		got, strange := othersOf([]pkix.Extension{ext})
		if strange || len(got) != 1 || got[0].text != o.text {
			t.Errorf("%q became %v", text, got)
		}
	})
}

// FuzzSerial: a serial number is found however it is written, and nothing panics.
func FuzzSerial(f *testing.F) {
	f.Add("0a:0B")
	f.Add("-")
	f.Add("00")
	f.Fuzz(func(t *testing.T, text string) {
		digits := serialDigits(text)
		if digits == "" {
			return
		}
		raw, err := hex.DecodeString(digits)
		if err != nil || digits != strings.ToLower(digits) || len(raw) > serialSize+1 || raw[0] == 0 {
			t.Errorf("%q became %q", text, digits)
		}
		if again := serialDigits(colons(digits)); again != digits {
			t.Errorf("%q became %q", digits, again)
		}
	})
}
