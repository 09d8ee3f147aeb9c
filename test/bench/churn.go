package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"
)

// left is what a server holds after tokens were made and revoked.
type left struct {
	Tokens int   `json:"tokens"`
	Disk   int64 `json:"disk_bytes"`
	Memory int64 `json:"resident_bytes"`
}

// measureChurn has a server make and revoke tokens, three times over, and looks at
// what it holds before and after each.
func (b *bench) measureChurn(ctx context.Context) (out []left, err error) {
	t, err := startTarget(ctx, filepath.Join(b.dir, "churn"), setting{nodes: 1}, b.log, b.review)
	if err != nil {
		return nil, err
	}
	defer t.Stop()
	for round := range 4 {
		if round > 0 {
			fmt.Fprintf(b.log, "bench: %d tokens are made and revoked\n", b.churn)
			name := func(i int) string { return fmt.Sprintf("churn-%d-%d", round, i) }
			if err := t.fill(ctx, b.churn, "auth/token/create", func(i int) string { return fmt.Sprintf(`{"id":%q,"policies":["bench"],"ttl":"1h"}`, name(i)) }); err != nil {
				return nil, err
			}
			if err := t.fill(ctx, b.churn, "auth/token/revoke", func(i int) string { return fmt.Sprintf(`{"token":%q}`, name(i)) }); err != nil {
				return nil, err
			}
		}
		select {
		case <-time.After(5 * b.length): // the collector's, and the state's compactions
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		l := left{Tokens: round * b.churn}
		if l.Disk, err = diskUse(t.Nodes[0].Data); err != nil {
			return nil, err
		}
		if l.Memory, err = resident(t.Nodes[0].PID()); err != nil {
			return nil, err
		}
		out = append(out, l)
	}
	return out, nil
}
