package transit

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"strongroom/engine"
	"strongroom/internal/storage"
)

// Tick rotates one key whose auto_rotate_period is over. Implements engine.Ticker.
func (b *backend) Tick(ctx context.Context, req *engine.Request) (bool, error) {
	for due, err := range req.Storage.Keys(ctx, duePrefix, "") {
		if err != nil {
			return false, fmt.Errorf("transit: read the due index: %w", err)
		}
		at, name, ok := strings.Cut(strings.TrimPrefix(due, duePrefix), "/")
		seconds, err := strconv.ParseInt(at, 10, 64)
		if !ok || err != nil {
			return false, fmt.Errorf("transit: malformed key %q in the due index", due)
		}
		now := time.Now()
		if seconds > now.Unix() {
			return false, nil
		}
		return true, rotateDue(ctx, req.Storage, due, name, now)
	}
	return false, nil
}

// rotateDue rotates the key that the due index names, if it is still due.
func rotateDue(ctx context.Context, v storage.View, due, name string, now time.Time) error {
	k, err := open(ctx, v, name)
	if err != nil {
		return err
	}
	if k == nil || k.dueKey() != due {
		v.Delete(due)
		return nil
	}
	if err := k.rotate(v, now); err != nil {
		return fmt.Errorf("transit: rotate key %q: %w", name, err)
	}
	return k.save(v, due)
}
