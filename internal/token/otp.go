package token

// Length is how long every token that Issue makes is, in characters.
const Length = len(Prefix) + 24

// OTP makes a one-time password to XOR such a token with: random base62.
func OTP() string { return random(Length) }
