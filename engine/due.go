package engine

import "context"

// Due is a mount's part of the due index: what ends by itself at a time. It is
// written in the request's transaction and costs no memory and no timer.
type Due interface {
	// Add has the engine's Expirer called with id once the time at (Unix, in
	// seconds) has come; how soon after is no promise, so what is over must be
	// refused by its own record.
	Add(at int64, id string)
	// Remove takes back what Add was told of the same time and id.
	Remove(at int64, id string)
}

// Expirer is implemented by an engine that uses Request.Due.
type Expirer interface {
	// Expire ends what Due.Add called id for the time at, which stands in the
	// index no more once the transaction commits; req has Storage, Due, Mount and
	// Namespace alone. It runs again after a conflict.
	Expire(ctx context.Context, req *Request, at int64, id string) error
}
