package raftstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/raft"

	"strongroom/internal/storage"
)

// Confirm returns nil if this node led at some moment of the call, with a state that held everything acknowledged until then: a majority has
// accepted an entry of its term that did not exist before. Raft's own VerifyLeader would also count answers that were under way before the call,
// such as those that wait in the sockets of a process that was stopped. Otherwise the error is storage.ErrNotLeader or storage.ErrClosed.
func (s *Store) Confirm(ctx context.Context) error {
	if err := s.writable(); err != nil {
		return err
	}
	if s.alone() {
		return nil
	}
	err := s.await(ctx, func() error { return s.raft.Barrier(0).Error() })
	switch {
	case err == nil:
		return nil
	case errors.Is(err, storage.ErrClosed), errors.Is(err, raft.ErrRaftShutdown):
		return storage.ErrClosed
	}
	return fmt.Errorf("raftstore: confirm leadership: %w: %w", storage.ErrNotLeader, err)
}

// alone is whether no other node has a vote, so that none can be elected.
func (s *Store) alone() bool {
	for _, m := range s.configuration().Servers {
		if m.Suffrage == raft.Voter && m.ID != s.id {
			return false
		}
	}
	return true
}

// leadAlone has this node stand for election at once if no other could: it need
// not wait for a leader's silence. Where the message does not arrive, it does.
func (s *Store) leadAlone() {
	if !s.HasState() || !s.alone() || s.raft.State() == raft.Leader {
		return
	}
	header := raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(s.id), Addr: s.transport.EncodePeer(s.id, s.addr)}
	if err := s.transport.TimeoutNow(s.id, s.addr, &raft.TimeoutNowRequest{RPCHeader: header}, &raft.TimeoutNowResponse{}); err != nil {
		s.logger.Debug("this node cannot tell itself to stand for election; it will when it has waited", "error", err)
	}
}
