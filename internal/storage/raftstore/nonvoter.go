package raftstore

import (
	"context"
	"time"

	"github.com/hashicorp/raft"
)

// AddNonvoter makes id, reachable at addr, a member that receives everything
// but does not count for a majority. Only on the leader: else
// storage.ErrNotLeader.
func (s *Store) AddNonvoter(ctx context.Context, id, addr string) error {
	return s.change(ctx, "add "+id, func(timeout time.Duration) raft.Future {
		return s.raft.AddNonvoter(raft.ServerID(id), raft.ServerAddress(addr), 0, timeout)
	})
}
