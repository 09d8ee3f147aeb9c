package vaultpkisecret

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"strongroom/api/v1beta1"
	"strongroom/operator/condition"
)

func TestRequest(t *testing.T) {
	spec := &v1beta1.VaultPKISecretSpec{
		Mount: "/pki/", Role: "web", CommonName: "a", AltNames: []string{"b", "c@d"}, IPSans: []string{"1.2.3.4"}, URISans: []string{"spiffe://x"},
		OtherSans: []string{"1.2;UTF8:x"}, UserIDs: []string{"u"}, TTL: "1h", Format: "pem", PrivateKeyFormat: "pkcs8", NotAfter: "2030-01-01T00:00:00Z", ExcludeCNFromSans: true,
	}
	want := "map[alt_names:b,c@d common_name:a exclude_cn_from_sans:true format:pem ip_sans:1.2.3.4 not_after:2030-01-01T00:00:00Z " +
		"other_sans:1.2;UTF8:x private_key_format:pkcs8 remove_roots_from_chain:true ttl:1h uri_sans:spiffe://x user_ids:u]"
	if got := fmt.Sprint(request(spec)); got != want {
		t.Errorf("%s, want\n%s", got, want)
	}
	if got := fmt.Sprint(request(&v1beta1.VaultPKISecretSpec{})); got != "map[remove_roots_from_chain:true]" {
		t.Errorf("defaults of the role are overridden: %s", got)
	}
	if got := issuePath(spec); got != "pki/issue/web" {
		t.Error(got)
	}
	spec.IssuerRef = "default"
	if got := issuePath(spec); got != "pki/issuer/default/issue/web" {
		t.Error(got)
	}
}

func TestParse(t *testing.T) {
	answer := map[string]any{"serial_number": "01", "certificate": "C\n", "private_key": "K", "issuing_ca": "I", "expiration": json.Number("99")}
	for _, test := range []struct {
		chain []any
		want  string
	}{{nil, "C\nI"}, {[]any{"X", "Y\n"}, "C\nX\nY"}} {
		answer["ca_chain"] = test.chain
		got, err := parse(answer)
		if err != nil {
			t.Fatal(err)
		}
		data := map[string][]byte{}
		if got.addTLS(corev1.SecretTypeOpaque, data); len(data) != 0 {
			t.Error("an Opaque Secret gets the keys of a TLS one")
		}
		if got.addTLS(corev1.SecretTypeTLS, data); string(data["tls.crt"]) != test.want || string(data["tls.key"]) != "K" || got.expiration != 99 {
			t.Errorf("%q, want %q", data, test.want)
		}
		if text := fmt.Sprintf("%v %#v", got, got); text != "certificate 01 certificate 01" {
			t.Errorf("printing it shows %s", text)
		}
	}
	for key := range answer {
		part := map[string]any{"serial_number": "01", "certificate": "C", "private_key": "K", "expiration": json.Number("99")}
		if _, needed := part[key]; !needed {
			continue
		}
		delete(part, key)
		if _, err := parse(part); !condition.Is(err, v1beta1.ReasonInvalidSpec) {
			t.Errorf("without %s: %v", key, err)
		}
	}
}

func TestGoodFor(t *testing.T) {
	now := time.Unix(10_000, 0)
	of := func(start, end int64) *v1beta1.VaultPKISecret {
		pki := &v1beta1.VaultPKISecret{}
		pki.Status.SerialNumber, pki.Status.LastRotation, pki.Status.Expiration = "01", start, end
		return pki
	}
	for name, test := range map[string]struct {
		pki    *v1beta1.VaultPKISecret
		intact bool
		offset time.Duration
		want   time.Duration
	}{
		"none yet":                      {&v1beta1.VaultPKISecret{}, true, 0, 0},
		"target edited":                 {of(10_000, 13_600), false, 0, 0},
		"an hour, a tenth by default":   {of(10_000, 13_600), true, 0, 54 * time.Minute},
		"with an offset":                {of(10_000, 13_600), true, 10 * time.Minute, 50 * time.Minute},
		"an offset as long as its time": {of(10_000, 13_600), true, time.Hour, 54 * time.Minute},
		"due":                           {of(6_400, 10_100), true, 10 * time.Minute, 0},
		"years":                         {of(10_000, 100_000_000), true, 0, longest},
	} {
		if got := goodFor(test.pki, test.intact, test.offset, now); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}

// A certificate is revoked where it was issued, though the spec was edited since.
func TestIssuedAt(t *testing.T) {
	for _, test := range []struct{ mount, issuer, recorded, want string }{
		{"/pki/", "", "pki/issue/web", "pki"},
		{"new", "", "pki/issue/web", "pki"},
		{"new", "x", "team/pki/issuer/root/issue/web", "team/pki"},
		{"an/issuer/of", "", "an/issuer/of/issue/web", "an/issuer/of"},
		{"pki", "", "", "pki"},
	} {
		pki := &v1beta1.VaultPKISecret{Spec: v1beta1.VaultPKISecretSpec{Mount: test.mount, IssuerRef: test.issuer, Role: "web"}}
		pki.Status.SourcePath = test.recorded
		if got := issuedAt(pki); got != test.want {
			t.Errorf("issued at %q: %q, want %q", test.recorded, got, test.want)
		}
	}
}

// What the paths are made of cannot reach another path of the API.
func TestSpecRefusesOtherPaths(t *testing.T) {
	for _, spec := range []v1beta1.VaultPKISecretSpec{
		{Mount: "..", Role: "web"}, {Mount: "pki", Role: "../../sys/x"}, {Mount: "pki", Role: "web", IssuerRef: "a//b"}, {Mount: "pki/./x", Role: "web"},
	} {
		if _, err := (&Kind{}).Spec(&v1beta1.VaultPKISecret{Spec: spec}); !condition.Is(err, v1beta1.ReasonInvalidSpec) {
			t.Errorf("%+v: %v", spec, err)
		}
	}
	if _, err := (&Kind{}).Spec(&v1beta1.VaultPKISecret{Spec: v1beta1.VaultPKISecretSpec{Mount: "/team/pki/", Role: "web", IssuerRef: "root"}}); err != nil {
		t.Error(err)
	}
}
