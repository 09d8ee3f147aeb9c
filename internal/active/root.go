package active

import (
	"context"
	"errors"

	"strongroom/internal/mount"
	"strongroom/internal/namespace"
	"strongroom/internal/secret"
	"strongroom/internal/storage"
	"strongroom/internal/token"
)

// IssueRoot makes a root token in one batch; raw is that token if it is not empty.
func IssueRoot(ctx context.Context, store storage.Store, raw string) (secret.Bytes, error) {
	tokens, err := token.Open(ctx, store, namespace.RootID)
	if err != nil {
		return nil, err
	}
	tx := storage.Begin(store)
	table, err := mount.Load(ctx, tx, namespace.RootID)
	if err != nil {
		return nil, err
	}
	e, ok := table.Find("auth/token/")
	if !ok {
		return nil, errors.New("active: nothing is mounted at auth/token/")
	}
	spec := token.Spec{Path: "auth/token/root", NeverExpires: true, Raw: raw}
	spec.Policies, spec.DisplayName, spec.Mount.UUID = []string{"root"}, "root", e.UUID
	_, root, _, err := tokens.Issue(ctx, tx, spec)
	if err != nil {
		return nil, err
	}
	return secret.Bytes(root), tx.Commit(ctx)
}
