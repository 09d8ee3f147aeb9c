package active_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"testing"

	"strongroom/engine"
)

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestToolsHash(t *testing.T) {
	s := start(t)
	tok := s.must(s.root, engine.Update, "auth/token/create", `{"policies":["default"]}`).Auth.ClientToken
	// FIPS 180-4 and FIPS 202, of "abc".
	for path, want := range map[string]string{
		"":          "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		"/sha2-224": "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7",
		"/sha2-256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		"/sha2-384": "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
		"/sha2-512": "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
		"/sha3-224": "e642824c3f8cf24ad09234ee7d3c766fc9a3a5168d0c94ad73b46fdf",
		"/sha3-256": "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532",
		"/sha3-384": "ec01498288516fc926459f58e2c6ad8df9b473cb0fc08c2596da7cf0e49be4b298d88cea927ac7f539f1edf228376d25",
		"/sha3-512": "b751850b1a57168a5693cd924b6b096e08f621827444f70d884f5d0240d2712e10e116e9192af3c91a7ec57647e3934057340b4cf408d5a56592f8274eec53f0",
	} {
		got := data(t, s.must(tok, engine.Update, "sys/tools/hash"+path, `{"input":"YWJj"}`))
		if got["sum"] != want {
			t.Errorf("%s: %v, want %s", path, got["sum"], want)
		}
	}
	got := data(t, s.must(tok, engine.Update, "sys/tools/hash", `{"input":"YWJj","algorithm":"sha2-256","format":"base64"}`))
	if got["sum"] != "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=" {
		t.Errorf("base64: %v", got["sum"])
	}
	s.fails(engine.Invalid, "unsupported algorithm", tok, engine.Update, "sys/tools/hash/md5", `{"input":"YWJj"}`)
	s.fails(engine.Invalid, "unable to decode input as base64", tok, engine.Update, "sys/tools/hash", `{"input":"?"}`)
	s.fails(engine.Invalid, "unsupported encoding format", tok, engine.Update, "sys/tools/hash", `{"input":"YWJj","format":"x"}`)
}

func TestToolsRandom(t *testing.T) {
	s := start(t)
	seen := map[string]bool{}
	for path, n := range map[string]int{"": 32, "/7": 7, "/platform": 32, "/all/9": 9, "/seal/1": 1, "/131072": 131072} {
		got := data(t, s.must(s.root, engine.Update, "sys/tools/random"+path, "{}"))["random_bytes"].(string)
		if b, err := base64.StdEncoding.DecodeString(got); err != nil || len(b) != n || seen[got] {
			t.Errorf("%q: %d bytes, want %d (%v)", path, len(b), n, err)
		}
		seen[got] = true
	}
	got := data(t, s.must(s.root, engine.Update, "sys/tools/random", `{"bytes":5,"format":"hex"}`))["random_bytes"].(string)
	if b, err := hex.DecodeString(got); err != nil || len(b) != 5 {
		t.Errorf("hex: %q", got)
	}
	for path, text := range map[string]string{"/0": "less than 1", "/-1": "less than 1", "/131073": "more than", "/x": "whole number", "/dice/5": "entropy source"} {
		s.fails(engine.Invalid, text, s.root, engine.Update, "sys/tools/random"+path, "{}")
	}
	s.fails(engine.Invalid, "unsupported encoding format", s.root, engine.Update, "sys/tools/random", `{"format":"x"}`)
}
