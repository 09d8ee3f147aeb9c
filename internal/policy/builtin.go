package policy

// Default is the text of the policy "default" as it is first written. Every
// token has that policy unless it was made without; operators may change it.
const Default = `# What any token may do: know, renew and end itself, and use what is its own.

# Its own token.
path "auth/token/lookup-self" {
  capabilities = ["read"]
}
path "auth/token/renew-self" {
  capabilities = ["update"]
}
path "auth/token/revoke-self" {
  capabilities = ["update"]
}

# Its own entity.
path "identity/entity/id/{{identity.entity.id}}" {
  capabilities = ["read"]
}
path "identity/entity/name/{{identity.entity.name}}" {
  capabilities = ["read"]
}

# What it is allowed to do, for itself and for the web UI.
path "sys/capabilities-self" {
  capabilities = ["update"]
}
path "sys/internal/ui/resultant-acl" {
  capabilities = ["read"]
}

# Leases whose id it knows.
path "sys/renew" {
  capabilities = ["update"]
}
path "sys/leases/renew" {
  capabilities = ["update"]
}
path "sys/leases/lookup" {
  capabilities = ["update"]
}

# Its private storage, gone when the token ends.
path "cubbyhole/*" {
  capabilities = ["create", "read", "update", "delete", "list"]
}

# Wrapped responses.
path "sys/wrapping/wrap" {
  capabilities = ["update"]
}
path "sys/wrapping/lookup" {
  capabilities = ["update"]
}
path "sys/wrapping/unwrap" {
  capabilities = ["update"]
}

# Hashes and random bytes; they touch no stored data.
path "sys/tools/hash" {
  capabilities = ["update"]
}
path "sys/tools/hash/*" {
  capabilities = ["update"]
}
path "sys/tools/random" {
  capabilities = ["update"]
}
path "sys/tools/random/*" {
  capabilities = ["update"]
}
`

// ResponseWrapping is the name of the policy that wrapping tokens have, and
// WrappingText its text. It is built in: nobody can change or assign it.
const (
	ResponseWrapping = "response-wrapping"
	WrappingText     = `path "sys/wrapping/unwrap" {
  capabilities = ["update"]
}
`
)

// Wrapping is the policy WrappingText.
func Wrapping() *Policy {
	return &Policy{Name: ResponseWrapping, Rules: []Rule{{Path: "sys/wrapping/unwrap", Line: 1, Capabilities: Update}}}
}
