package lease

import (
	"context"
	"strings"

	"strongroom/internal/storage"
)

// Count walks the whole due index and says how many items it holds that are not
// of the kind without, or work of engines, and how many of them are of kind. A million take a second.
func Count(ctx context.Context, store storage.Store, kind, without string) (all, ofKind int, err error) {
	is := func(key, kind string) bool { return strings.HasPrefix(key, "/"+kind+"/") }
	for key, err := range store.Keys(ctx, duePrefix, "") {
		if err != nil {
			return all, ofKind, err
		}
		key = key[len(duePrefix)-1:]
		if is(key, without) || strings.HasPrefix(key, "/"+workKind) {
			continue
		}
		if all++; is(key, kind) {
			ofKind++
		}
	}
	return all, ofKind, nil
}
