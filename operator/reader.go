package operator

import (
	"context"
	"errors"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// catchUp is how long a read waits for the cache to show the operator's own writes. It takes milliseconds, unless the
// event never comes: when a watch breaks and the object is deleted before the next list.
const catchUp = 3 * time.Second

// current is a client whose reads show the operator's own writes: from the cache, or from the API server when the
// cache does not catch up.
type current struct {
	client.Client
	live client.Reader
}

// Get reads one object.
func (c current) Get(ctx context.Context, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
	return c.read(ctx,
		func(ctx context.Context) error { return c.Client.Get(ctx, key, object, options...) },
		func() error { return c.live.Get(ctx, key, object, options...) })
}

// List reads many objects. Where it selects by an index of the cache, it can but fail when the cache does not catch up.
func (c current) List(ctx context.Context, list client.ObjectList, options ...client.ListOption) error {
	return c.read(ctx,
		func(ctx context.Context) error { return c.Client.List(ctx, list, options...) },
		func() error { return c.live.List(ctx, list, options...) })
}

func (c current) read(ctx context.Context, cached func(context.Context) error, live func() error) error {
	bounded, cancel := context.WithTimeout(ctx, catchUp)
	defer cancel()
	err := cached(bounded)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return live()
	}
	return err
}
