package auth

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"strongroom/engine"
)

func given(t *testing.T, old []string, body string) engine.Data {
	t.Helper()
	d, _, err := engine.Decode(TokenFields(old...), []byte(body), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestTokenUpdate(t *testing.T) {
	old := []string{"policies", "ttl"}
	var p Token
	if err := p.Update(given(t, old, `{"policies":"B, a,b","ttl":"1h","token_max_ttl":7200,"token_bound_cidrs":"10.0.0.0/8,::1","max_ttl":1}`)); err != nil {
		t.Fatal(err)
	}
	want := Token{Policies: []string{"b", "a"}, TTL: 3600, MaxTTL: 7200, BoundCIDRs: []string{"10.0.0.0/8", "::1"}, Type: "default", Legacy: p.Legacy}
	if !reflect.DeepEqual(p, want) {
		t.Errorf("got %+v", p)
	}
	data := map[string]any{}
	p.Show(data)
	if data["ttl"] != int64(3600) || data["max_ttl"] != nil || !reflect.DeepEqual(data["policies"], []string{"b", "a"}) {
		t.Errorf("shown: %v", data)
	}
	// What is not named stays, and a new name takes an old one's place.
	if err := p.Update(given(t, old, `{"token_ttl":60}`)); err != nil {
		t.Fatal(err)
	}
	data = map[string]any{}
	p.Show(data)
	if data["ttl"] != nil || data["token_ttl"] != int64(60) || data["token_max_ttl"] != int64(7200) {
		t.Errorf("shown: %v", data)
	}
	g := p.Grant()
	if g.TTL != time.Minute || g.MaxTTL != 2*time.Hour || g.Type != "default" || len(g.BoundCIDRs) != 2 {
		t.Errorf("grant: %+v", g)
	}
	g.Policies[0] = "changed"
	if p.Policies[0] != "b" {
		t.Error("a grant shares its policies with the role, which is cached")
	}
}

func TestTokenUpdateRefuses(t *testing.T) {
	for body, want := range map[string]string{
		`{"token_ttl":2,"token_max_ttl":1}`:             "'token_ttl' cannot be greater",
		`{"token_num_uses":-1}`:                         "cannot be negative",
		`{"token_type":"periodic"}`:                     "invalid 'token_type'",
		`{"token_type":"batch","token_num_uses":1}`:     "'token_num_uses'",
		`{"token_type":"batch","token_period":1}`:       "'token_period'",
		`{"token_policies":["default"," ROOT "]}`:       "\"root\"",
		`{"token_bound_cidrs":["10.0.0.0/33"]}`:         "token_bound_cidrs",
		`{"token_bound_cidrs":["example.com","::1/0"]}`: "token_bound_cidrs",
	} {
		var p Token
		if err := p.Update(given(t, nil, body)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", body, err)
		}
	}
}

// What roles have stored before the package existed is read as it was.
func TestTokenStored(t *testing.T) {
	const stored = `{"policies":["a"],"ttl":1,"max_ttl":2,"explicit_max_ttl":3,"period":4,"no_default_policy":true,"num_uses":5,"bound_cidrs":["::1"],"type":"service","legacy":["ttl"]}`
	var p Token
	if err := json.Unmarshal([]byte(stored), &p); err != nil {
		t.Fatal(err)
	}
	if b, err := json.Marshal(p); err != nil || string(b) != stored {
		t.Errorf("%s, %v", b, err)
	}
}

func TestWithin(t *testing.T) {
	for _, c := range []struct {
		networks []string
		addr     string
		want     bool
	}{
		{nil, "203.0.113.9", true},
		{[]string{"10.0.0.0/8"}, "10.1.2.3", true},
		{[]string{"10.0.0.0/8"}, "::ffff:10.1.2.3", true},
		{[]string{"10.0.0.0/8"}, "11.1.2.3", false},
		{[]string{"10.0.0.1"}, "10.0.0.1", true},
		{[]string{"10.0.0.1", "fd00::/8"}, "fd12::1", true},
		{[]string{"broken"}, "10.0.0.1", false},
	} {
		if got := Within(c.networks, netip.MustParseAddr(c.addr)); got != c.want {
			t.Errorf("%s in %v: %v", c.addr, c.networks, got)
		}
	}
	if Within([]string{"0.0.0.0/0"}, netip.Addr{}) {
		t.Error("no address is within a network")
	}
}

func TestSubset(t *testing.T) {
	for _, c := range []struct {
		inner, outer string
		want         bool
	}{
		{"10.1.0.0/16", "10.0.0.0/8", true},
		{"10.0.0.0/8", "10.0.0.0/8", true},
		{"10.0.0.0/8", "10.1.0.0/16", false},
		{"10.1.1.1", "10.0.0.0/8,fd00::/8", true},
		{"10.1.1.1,11.0.0.1", "10.0.0.0/8", false},
		{"10.1.1.1", "", true},
		{"", "10.0.0.0/8", false},
		{"::1", "0.0.0.0/0", false},
	} {
		split := func(s string) []string { return strings.FieldsFunc(s, func(r rune) bool { return r == ',' }) }
		if got := Subset(split(c.inner), split(c.outer)); got != c.want {
			t.Errorf("%q in %q: %v", c.inner, c.outer, got)
		}
	}
}
