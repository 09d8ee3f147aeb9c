package engine

import "context"

// Desk commits for an engine outside a request's own transaction, so that what
// it intends is durable before it acts elsewhere, and what came of it after.
type Desk interface {
	// Commit runs do on a transaction of the mount's data and commits it; it runs
	// again after a conflict. Its req has Storage, Due, Work, Passwords, Mount and
	// Namespace alone. What do returns as an error has nothing written.
	Commit(ctx context.Context, do func(ctx context.Context, req *Request) error) error
}

// Worker is implemented by an engine that has work to do elsewhere at a time,
// such as changing a password in a database. Each mount's work is a queue of
// its own, so that a system that is gone holds up nobody else.
type Worker interface {
	// Work does what Request.Work.Add noted as id for the time at. It runs on the
	// active node alone, for a minute at the most, beside other items of the mount.
	// The item stands in the queue until Work has returned nil, so it is done at
	// least once; after an error, a minute later again.
	Work(ctx context.Context, desk Desk, at int64, id string) error
}

// Closer is implemented by an engine that holds what memory management does not
// take back, such as connections.
type Closer interface {
	// Close lets go of all that. It does not wait, and the engine may still be asked
	// afterwards: requests under way end by themselves. It is called when the mount
	// has changed or is disabled, and when the node is sealed or leads no more.
	Close()
}

// Passwords makes passwords by the password policies of the request's namespace.
type Passwords interface {
	// Generate makes one by the policy of that name; it is Invalid if there is none.
	Generate(ctx context.Context, policy string) (string, error)
}
