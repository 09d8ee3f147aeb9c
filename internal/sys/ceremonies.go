package sys

import (
	"strings"

	"strongroom/engine"
)

// ceremonyRoutes give the collecting of key shares its place among the routes, for
// authorization, help and OpenAPI: httpapi serves them, as the shares never leave
// the node's memory (https://developer.hashicorp.com/vault/api-docs/system/rekey, …/generate-root).
//
// They need a token, of those with sudo: whoever has none could else cancel, or
// begin and so block, what the holders of the shares do. Listeners can be
// configured to let them pass as servers of old did, but for cancelling.
func ceremonyRoutes() []engine.Route {
	share := []engine.Field{{Name: "key", Help: "One key share."}, {Name: "nonce", Help: "Of the ceremony."}}
	rekey := []engine.Field{
		{Name: "secret_shares", Type: engine.Int, Help: "Number of key shares."}, {Name: "secret_threshold", Type: engine.Int, Help: "Shares needed."},
		{Name: "pgp_keys", Type: engine.StringList, Help: "PGP keys that encrypt the shares."},
		{Name: "backup", Type: engine.Bool, Help: "Keep the encrypted shares."},
		{Name: "require_verification", Type: engine.Bool, Help: "Prove the new shares before they count."}, share[1],
	}
	root := []engine.Field{{Name: "otp", Help: "One-time password to encode the token with."}, {Name: "pgp_key", Help: "PGP key to encrypt it with."}}
	route := func(path, help string, fields []engine.Field, answer any) engine.Route {
		return engine.Route{Path: path, Help: help, Fields: fields, Sudo: true, External: true, Write: notStreamed, Answers: engine.Answers{engine.Update: engine.Bare{Data: answer}}}
	}
	seen := func(r engine.Route) engine.Route {
		r.Read, r.Delete = notStreamed, notStreamed
		r.Answers[engine.Read], r.Answers[engine.Delete] = r.Answers[engine.Update], engine.Nothing{}
		if strings.HasSuffix(r.Path, "/verify") { // it begins again
			r.Answers[engine.Delete] = r.Answers[engine.Update]
		}
		return r
	}
	routes := []engine.Route{
		seen(route("generate-root/attempt", "Begin, see or give up the making of a root token.", root, RootStatus{})),
		route("generate-root/update", "Enter a key share for it.", share, RootStatus{}),
	}
	for _, base := range []string{"rekey", "rekey-recovery-key"} {
		routes = append(routes, seen(route(base+"/init", "Begin, see or give up a rekey.", rekey, RekeyStatus{})),
			route(base+"/update", "Enter a key share for it.", share, rekeyed{}),
			seen(route(base+"/verify", "Enter a new key share to verify it.", share, VerifyStatus{})))
	}
	return routes
}

// RekeyStatus is how far a rekey is, in the form of the API.
type RekeyStatus struct {
	Nonce                string   `json:"nonce"`
	Started              bool     `json:"started"`
	T                    int      `json:"t"` // of the new shares
	N                    int      `json:"n"`
	Progress             int      `json:"progress"`
	Required             int      `json:"required"` // of the present shares
	PGPFingerprints      []string `json:"pgp_fingerprints" api:"null"`
	Backup               bool     `json:"backup"`
	VerificationRequired bool     `json:"verification_required"`
	VerificationNonce    string   `json:"verification_nonce,omitempty"`
}

// RekeyResult is the new shares, shown once and kept nowhere.
type RekeyResult struct {
	Nonce                string   `json:"nonce"`
	Complete             bool     `json:"complete"`
	Keys                 []string `json:"keys"`
	KeysB64              []string `json:"keys_base64"`
	PGPFingerprints      []string `json:"pgp_fingerprints" api:"null"`
	Backup               bool     `json:"backup"`
	VerificationRequired bool     `json:"verification_required"`
	VerificationNonce    string   `json:"verification_nonce,omitempty"`
}

// VerifyStatus is how far the verification of a rekey is.
type VerifyStatus struct {
	Nonce    string `json:"nonce"`
	Started  bool   `json:"started"`
	T        int    `json:"t"`
	N        int    `json:"n"`
	Progress int    `json:"progress"`
	Complete bool   `json:"complete,omitempty"`
}

// RootStatus is how far the generation of a root token is, in the form of the API.
type RootStatus struct {
	Nonce            string `json:"nonce"`
	Started          bool   `json:"started"`
	Progress         int    `json:"progress"`
	Required         int    `json:"required"`
	Complete         bool   `json:"complete"`
	EncodedToken     string `json:"encoded_token"`
	EncodedRootToken string `json:"encoded_root_token"`
	PGPFingerprint   string `json:"pgp_fingerprint"`
	OTP              string `json:"otp"`
	OTPLength        int    `json:"otp_length"`
}

// rekeyed is what a share is answered with: RekeyStatus, or RekeyResult after the last one.
type rekeyed struct {
	Nonce                string   `json:"nonce"`
	Started              bool     `json:"started,omitempty"`
	T                    int      `json:"t,omitempty"`
	N                    int      `json:"n,omitempty"`
	Progress             int      `json:"progress,omitempty"`
	Required             int      `json:"required,omitempty"`
	Complete             bool     `json:"complete,omitempty"`
	Keys                 []string `json:"keys,omitempty"`
	KeysB64              []string `json:"keys_base64,omitempty"`
	PGPFingerprints      []string `json:"pgp_fingerprints" api:"null"`
	Backup               bool     `json:"backup"`
	VerificationRequired bool     `json:"verification_required"`
	VerificationNonce    string   `json:"verification_nonce,omitempty"`
}
