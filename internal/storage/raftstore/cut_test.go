package raftstore

import (
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// A follower gives up the end of its log when another leader wrote something else there. The rest must still be read after a restart: raft-wal
// 0.4.0 could not, and a node to which that had happened never started again.
func TestCutLogOpensAgain(t *testing.T) {
	dir := t.TempDir()
	log, files, err := openLog(t.Context(), dir, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	for i := range uint64(10) {
		if err := log.StoreLog(&raft.Log{Index: i + 1, Term: 1, Data: []byte{byte(i)}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.DeleteRange(8, 10); err != nil {
		t.Fatal(err)
	}
	if err := log.StoreLog(&raft.Log{Index: 8, Term: 2}); err != nil {
		t.Fatal(err)
	}
	if err := files.Close(); err != nil {
		t.Fatal(err)
	}
	log, files, err = openLog(t.Context(), dir, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	for i := range uint64(8) {
		var entry raft.Log
		want := uint64(1)
		if i == 7 {
			want = 2
		}
		if err := log.GetLog(i+1, &entry); err != nil || entry.Term != want {
			t.Errorf("entry %d: term %d, %v; want term %d", i+1, entry.Term, err, want)
		}
	}
}
