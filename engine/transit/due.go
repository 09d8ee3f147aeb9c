package transit

import (
	"context"
	"fmt"
	"time"

	"strongroom/engine"
)

// retryAfter is when a key that could not be rotated is tried again.
const retryAfter = time.Hour

// Expire rotates the key called name, whose auto_rotate_period is over.
// Implements engine.Expirer.
func (b *backend) Expire(ctx context.Context, req *engine.Request, at int64, name string) error {
	e, err := req.Storage.Get(ctx, keyPrefix+name)
	if err != nil {
		return fmt.Errorf("transit: read key: %w", err)
	}
	if !e.Exists() {
		return nil
	}
	now := time.Now()
	k, err := decodeKey(name, e.Value)
	if err == nil {
		if due := k.due(); due == 0 || due > now.Unix() {
			return nil // it stands in the index for another time, or not at all
		}
		err = k.rotate(req.Storage, now)
	}
	if err == nil {
		return k.save(req, at)
	}
	// Others wait behind it in the index.
	b.logger.Error("a key could not be rotated and will be tried again", "key", name, "after", retryAfter, "error", err)
	req.Due.Add(now.Add(retryAfter).Unix(), name)
	return nil
}
