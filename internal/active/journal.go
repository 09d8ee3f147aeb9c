package active

import (
	"context"
	"fmt"

	"strongroom/internal/audit"
	"strongroom/internal/namespace"
	"strongroom/internal/storage"
)

// openJournal is c's audit log beside the stored state, which the first active
// node makes.
func openJournal(ctx context.Context, c Config) (*audit.Journal, error) {
	log := c.Audit
	if log == nil {
		var err error
		if log, err = audit.Open(nil, audit.Options{}); err != nil {
			return nil, err
		}
	}
	if !c.Standby {
		tx := storage.Begin(c.Store)
		err := audit.Initialize(ctx, tx, namespace.RootID)
		if err == nil && tx.Dirty() {
			err = tx.Commit(ctx)
		}
		if err != nil {
			return nil, fmt.Errorf("active: prepare the audit log: %w", err)
		}
	}
	return log.Journal(namespace.RootID), nil
}
