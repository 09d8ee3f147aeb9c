package kubernetes

import (
	"strings"
	"testing"
	"time"

	"strongroom/engine"
)

func TestParseClaims(t *testing.T) {
	s := newSigner(t)
	for what, claims := range map[string]object{
		"bound":   {"kubernetes.io": object{"namespace": "ns", "serviceaccount": object{"name": "sa", "uid": "u"}}},
		"old":     {"kubernetes.io/serviceaccount/namespace": "ns", "kubernetes.io/serviceaccount/service-account.name": "sa", "kubernetes.io/serviceaccount/service-account.uid": "u"},
		"subject": {"sub": "system:serviceaccount:ns:sa"},
	} {
		c, err := parseClaims(s.sign(t, claims))
		if err != nil || c.Namespace != "ns" || c.Name != "sa" {
			t.Errorf("%s: %+v %v", what, c, err)
		}
	}
	for what, text := range map[string]string{
		"empty": "", "text": "abc", "two parts": "a.b", "not base64": "!.!.!",
		"unsigned":      "eyJhbGciOiJub25lIn0.eyJzdWIiOiJzeXN0ZW06c2VydmljZWFjY291bnQ6bnM6c2EifQ.",
		"a user":        s.sign(t, object{"sub": "system:admin"}),
		"no subject":    s.sign(t, object{"iss": "x"}),
		"half":          s.sign(t, object{"sub": "system:serviceaccount:ns"}),
		"too much":      s.sign(t, object{"sub": "system:serviceaccount:ns:a:b"}),
		"wrong type":    s.sign(t, object{"kubernetes.io": "text", "sub": "system:serviceaccount:ns:sa"}),
		"too long":      s.sign(t, object{"sub": "system:serviceaccount:ns:sa", "x": strings.Repeat("x", maxJWT)}),
		"not an object": "eyJhbGciOiJFUzI1NiJ9.WyJhIl0.AAAA",
	} {
		if c, err := parseClaims(text); err == nil {
			t.Errorf("%s: taken as %+v", what, c)
		}
	}
}

func TestCheckClaims(t *testing.T) {
	s, other := newSigner(t), newSigner(t)
	keys, err := parseKeys([]string{other.publicPEM(t), s.publicPEM(t)})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for _, c := range []struct {
		what     string
		conf     config
		audience string
		claims   object
		want     string
	}{
		{"good", config{DisableIssuer: true}, "", nil, ""},
		{"just expired", config{DisableIssuer: true}, "", object{"exp": now.Add(-leeway / 2).Unix()}, ""},
		{"expired", config{DisableIssuer: true}, "", object{"exp": now.Add(-time.Hour).Unix()}, "permission denied: the jwt expired at"},
		{"issuer", config{Issuer: "https://kubernetes.default.svc"}, "", nil, ""},
		{"default issuer", config{}, "", object{"iss": defaultIssuer}, ""},
		{"wrong issuer", config{}, "", nil, "permission denied: invalid issuer (iss) claim"},
		{"audience", config{DisableIssuer: true}, "vault", object{"aud": []string{"x", "vault"}}, ""},
		{"audience as text", config{DisableIssuer: true}, "vault", object{"aud": "vault"}, ""},
		{"wrong audience", config{DisableIssuer: true}, "vault", nil, "invalid audience (aud) claim: audience claim does not match any expected audience"},
		{"signed", config{DisableIssuer: true, keys: keys}, "", nil, ""},
		{"signed by another", config{DisableIssuer: true, keys: keys[:1]}, "", nil, "none of pem_keys has signed"},
	} {
		cl, err := parseClaims(s.token(t, "ns", "sa", c.claims))
		if err != nil {
			t.Fatal(err)
		}
		err = cl.check(&c.conf, &role{Names: []string{"sa"}, Namespaces: []string{"ns"}, Audience: c.audience}, now)
		if c.want == "" && err != nil {
			t.Errorf("%s: %v", c.what, err)
		}
		if c.want != "" {
			wantError(t, c.what, err, engine.Denied, c.want)
		}
	}
}

func FuzzClaims(f *testing.F) {
	s := newSigner(f)
	f.Add(s.token(f, "ns", "sa", nil))
	f.Add(s.sign(f, object{"sub": "system:serviceaccount:ns:sa", "aud": "x", "exp": 1.5}))
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseClaims(text)
		if err != nil {
			return
		}
		if c.Namespace == "" || c.Name == "" {
			t.Errorf("%q: nobody's token was taken", text)
		}
		_ = c.check(&config{}, &role{Names: []string{"*"}, Namespaces: []string{"*"}, Audience: "x"}, time.Now())
	})
}
