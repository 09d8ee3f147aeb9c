package sys

import "strongroom/engine"

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
	route := func(path, help string, fields []engine.Field) engine.Route {
		return engine.Route{Path: path, Help: help, Fields: fields, Sudo: true, External: true, Write: notStreamed}
	}
	seen := func(r engine.Route) engine.Route {
		r.Read, r.Delete = notStreamed, notStreamed
		return r
	}
	routes := []engine.Route{
		seen(route("generate-root/attempt", "Begin, see or give up the making of a root token.", root)),
		route("generate-root/update", "Enter a key share for it.", share),
	}
	for _, base := range []string{"rekey", "rekey-recovery-key"} {
		routes = append(routes, seen(route(base+"/init", "Begin, see or give up a rekey.", rekey)),
			route(base+"/update", "Enter a key share for it.", share),
			seen(route(base+"/verify", "Enter a new key share to verify it.", share)))
	}
	return routes
}
