package call

import "time"

// Wrap is what a request asks of response wrapping, and what its answer is told
// of it.
type Wrap struct {
	// TTL asks that the answer be wrapped for as long; 0: not at all. Path is the
	// request that it answers.
	TTL  time.Duration
	Path string
	// Unwrapped is set by a handler that took what a wrapping token stands for:
	// it is the answer.
	Unwrapped []byte
}

// WrapInfo describes the token that stands for a wrapped answer
// (https://developer.hashicorp.com/vault/docs/concepts/response-wrapping).
type WrapInfo struct {
	Token, Accessor string
	TTL             time.Duration
	Created         time.Time
	Path            string // of the request that was answered
	WrappedAccessor string // of the token in the answer, if there is one
}
