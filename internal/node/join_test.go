package node

import (
	"errors"
	"testing"

	"strongroom/engine"
	"strongroom/internal/cluster"
	"strongroom/internal/secret"
	"strongroom/internal/storage"
)

// Whoever has not proven to hold the unseal key learns nothing of the members,
// and waits for nothing: both would be for anybody to use.
func TestUnprovenAnswer(t *testing.T) {
	n, _ := one(t)
	n.membership.mu.Lock() // a removal, or a step of a CA's replacement, is under way
	defer n.membership.mu.Unlock()
	for _, id := range []string{"n0", "stranger"} {
		_, err := n.Admit(t.Context(), cluster.Answer{NodeID: id, ClusterAddr: "127.0.0.1:9"})
		if e := new(engine.Error); !errors.As(err, &e) || e.Kind != engine.Denied {
			t.Errorf("%s: %v", id, err)
		}
	}
}

// However the join key came to be another one, the next challenge is made with it,
// and answers made with the old one are worth nothing.
func TestChallengesFollowTheJoinKey(t *testing.T) {
	n, m := one(t)
	before, err := m.barrier.Get(t.Context(), joinPath)
	if err != nil {
		t.Fatal(err)
	}
	open, err := n.Challenge(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, late, err := cluster.AnswerChallenge(secret.Bytes(before.Value), open.Challenge, "n1", "127.0.0.1:9", false)
	if err != nil {
		t.Fatal(err)
	}
	key := secret.NewKey()
	tx := storage.Begin(m.barrier)
	tx.Put(joinPath, key)
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Admit(t.Context(), *late); err == nil {
		t.Error("a node joins with the old key")
	}
	ch, err := n.Challenge(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := cluster.AnswerChallenge(key, ch.Challenge, "n1", "127.0.0.1:9", false); err != nil {
		t.Errorf("the new key does not open a new challenge: %v", err)
	}
}
