package raftstore

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/hashicorp/raft"
)

// The file an operator lays into the storage folder to say who the cluster is
// from now on, after its quorum was lost for good, and what it is called once
// that is done. Vault's names and form.
const (
	peersName = "peers.json"
	peersDone = "peers.info"
	// peersLimit bounds the file, in bytes.
	peersLimit = 1 << 20
)

// recoverPeers replaces the membership by that of peers.json, if there is one.
// Everything in the log counts as committed: who knew what was is gone. The log
// is applied, the state made durable with the new membership as its snapshot, and
// the log emptied, because its old memberships would reach whoever joins. The
// file is renamed last, so a crash leaves a folder for which all this is done
// again.
func recoverPeers(h *home, f *fsm, log raft.LogStore, self raft.ServerID) error {
	members, err := h.readPeers(self)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = replaceMembers(h, f, log, members)
	}
	if err != nil {
		return fmt.Errorf("raftstore: recover by %s: %w", h.path(peersName), err)
	}
	h.logger.Warn("the membership was replaced by that of peers.json", "servers", members.Servers)
	if err := h.fs.Rename(h.path(peersName), h.path(peersDone)); err != nil {
		return fmt.Errorf("raftstore: rename peers.json to %s, or it will be used again: %w", peersDone, err)
	}
	return h.sync()
}

func (h *home) readPeers(self raft.ServerID) (raft.Configuration, error) {
	file, err := h.fs.Open(h.path(peersName))
	if err != nil {
		return raft.Configuration{}, err
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, peersLimit+1))
	if err != nil {
		return raft.Configuration{}, err
	}
	c, err := parsePeers(b)
	if err != nil {
		return c, err
	}
	for _, s := range c.Servers {
		if s.ID == self {
			return c, nil
		}
	}
	return c, fmt.Errorf("it does not name this node, %q: add it, or do not start this node", self)
}

// parsePeers reads [{"id": …, "address": "host:port", "non_voter": false}, …].
func parsePeers(b []byte) (c raft.Configuration, err error) {
	if len(b) > peersLimit {
		return c, fmt.Errorf("it has more than %d bytes", peersLimit)
	}
	var peers []struct {
		ID       string `json:"id"`
		Address  string `json:"address"`
		NonVoter bool   `json:"non_voter"`
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&peers); err != nil {
		return c, fmt.Errorf("it is no list of {\"id\", \"address\", \"non_voter\"}: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return c, errors.New("something follows the list")
	}
	ids, addresses, voters := map[string]bool{}, map[string]bool{}, 0
	for i, p := range peers {
		switch {
		case p.ID == "":
			return c, fmt.Errorf("entry %d has no id", i+1)
		case p.Address == "":
			return c, fmt.Errorf("%q has no address (host:port of its cluster listener)", p.ID)
		case ids[p.ID]:
			return c, fmt.Errorf("%q is there twice", p.ID)
		case addresses[p.Address]:
			return c, fmt.Errorf("the address %q is there twice", p.Address)
		}
		ids[p.ID], addresses[p.Address] = true, true
		s := raft.Server{ID: raft.ServerID(p.ID), Address: raft.ServerAddress(p.Address), Suffrage: raft.Nonvoter}
		if !p.NonVoter {
			s.Suffrage = raft.Voter
			voters++
		}
		c.Servers = append(c.Servers, s)
	}
	if voters == 0 {
		return c, errors.New("nobody in it has a vote")
	}
	return c, nil
}

func replaceMembers(h *home, f *fsm, log raft.LogStore, members raft.Configuration) error {
	meta := raft.SnapshotMeta{Version: raft.SnapshotVersionMax}
	if m := h.manifest.Snapshot; m != nil {
		meta.Index, meta.Term = m.Index, m.Term
	}
	first, err := log.FirstIndex()
	if err != nil {
		return fmt.Errorf("read the log: %w", err)
	}
	last, err := log.LastIndex()
	if err != nil {
		return fmt.Errorf("read the log: %w", err)
	}
	if last == 0 && meta.Index == 0 {
		return errors.New("this node has no data; let it join instead")
	}
	for i := meta.Index + 1; i <= last; i++ {
		l := new(raft.Log)
		if err := log.GetLog(i, l); err != nil {
			return fmt.Errorf("read log entry %d: %w", i, err)
		}
		if l.Type == raft.LogCommand {
			f.Apply(l)
		}
		meta.Index, meta.Term = l.Index, l.Term
	}
	if err := f.err(); err != nil {
		return err
	}
	st, err := h.acquire()
	if err != nil {
		return err
	}
	defer st.release()
	if err := st.db.Flush(); err != nil {
		return fmt.Errorf("flush the state: %w", err)
	}
	meta.ID = fmt.Sprintf("%d-%d", meta.Term, meta.Index)
	meta.Configuration, meta.ConfigurationIndex = members, 1
	if err := h.record(st, &meta); err != nil {
		return err
	}
	if last == 0 {
		return nil
	}
	if err := log.DeleteRange(first, last); err != nil {
		return fmt.Errorf("empty the log: %w", err)
	}
	return nil
}
