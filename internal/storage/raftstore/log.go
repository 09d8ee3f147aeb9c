package raftstore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path/filepath"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	walfs "github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/metadb"
	"github.com/hashicorp/raft-wal/segment"
	"github.com/hashicorp/raft-wal/types"
)

// segmentSize is the length of one log file: a compromise between idle disk
// space and the two fsyncs that each new file costs.
const segmentSize = 16 << 20

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// logStore is all that Raft asks of its log.
type logStore interface {
	raft.LogStore
	raft.StableStore
}

// openLog opens the write-ahead log in dir/raft; ctx ends the changes that wait
// for the disk.
func openLog(ctx context.Context, dir string, logger hclog.Logger) (logStore, io.Closer, error) {
	path := filepath.Join(dir, logName)
	if err := makeDir(vfs.Default, path); err != nil {
		return nil, nil, fmt.Errorf("raftstore: make the log's folder: %w", err)
	}
	meta := &metadb.BoltMetaDB{}
	l, err := newSteadyLog(ctx, func() (*wal.WAL, error) {
		return openWAL(path, segmentSize, shared{meta}, logDisk{walfs.New(), vfs.Default}, func() error { return syncDir(vfs.Default, path) }, logger)
	}, func() (int64, error) { return sizeOf(vfs.Default, path) }, meta, logger)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("raftstore: open the log in %s: %w", path, err), meta.Close())
	}
	return l, l, nil
}

// openWAL opens raft-wal's files in the folder dir of fs.
func openWAL(dir string, size int, meta types.MetaStore, fs types.VFS, syncFolder func() error, logger hclog.Logger) (*wal.WAL, error) {
	if err := repairTail(dir, meta, fs); err != nil {
		return nil, err
	}
	w, err := wal.Open(dir, wal.WithSegmentSize(size), wal.WithMetaStore(meta), wal.WithLogger(logger.Named("wal")),
		wal.WithSegmentFiler(segment.NewFiler(dir, fs)))
	if err != nil {
		return nil, err
	}
	// raft-wal makes the name of a new file durable with its first sync, but not
	// when the process ends before that and the next one goes on with the file.
	if err := syncFolder(); err != nil {
		return nil, errors.Join(fmt.Errorf("sync the folder: %w", err), w.Close())
	}
	return w, nil
}

// sizeOf is the size of all files in dir, in bytes.
func sizeOf(fs vfs.FS, dir string) (sum int64, err error) {
	names, err := fs.List(dir)
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		if st, err := fs.Stat(fs.PathJoin(dir, name)); err == nil { // else it has just been deleted
			sum += st.Size()
		}
	}
	return sum, nil
}

// shared is an index that outlives the logs opened on it.
type shared struct{ types.MetaStore }

// Close implements io.Closer.
func (shared) Close() error { return nil }

// checkedLog puts a CRC-32C behind the Extensions of every entry on the disk:
// raft-wal checks its own only on the last batch after a crash, and an entry
// that rots must not be replayed. (A wal.Codec would be the place, but raft-wal
// 0.4 does not reopen a log written with another codec than its own.)
type checkedLog struct{ *wal.WAL }

// StoreLog implements raft.LogStore.
func (c checkedLog) StoreLog(l *raft.Log) error { return c.StoreLogs([]*raft.Log{l}) }

// StoreLogs implements raft.LogStore.
func (c checkedLog) StoreLogs(logs []*raft.Log) error {
	room, checked := make([]raft.Log, len(logs)), make([]*raft.Log, len(logs))
	for i, l := range logs {
		room[i] = *l
		room[i].Extensions = binary.BigEndian.AppendUint32(slices.Clip(l.Extensions), entrySum(l, l.Extensions))
		checked[i] = &room[i]
	}
	return c.WAL.StoreLogs(checked)
}

// GetLog implements raft.LogStore.
func (c checkedLog) GetLog(index uint64, l *raft.Log) (err error) {
	defer func() {
		if p := recover(); p != nil { // raft-wal's decoder trusts its input
			err = fmt.Errorf("log entry %d cannot be decoded (%v): %w", index, p, errCorrupt)
		}
	}()
	switch err := c.WAL.GetLog(index, l); {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.ErrShortBuffer), errors.Is(err, types.ErrCorrupt):
		return fmt.Errorf("log entry %d cannot be found in its file (%w): %w", index, err, errCorrupt)
	case err != nil:
		return err
	}
	n := len(l.Extensions) - crc32.Size
	if n < 0 || l.Index != index || entrySum(l, l.Extensions[:n]) != binary.BigEndian.Uint32(l.Extensions[n:]) {
		return fmt.Errorf("the checksum of log entry %d is wrong: %w", index, errCorrupt)
	}
	if l.Extensions = l.Extensions[:n]; n == 0 {
		l.Extensions = nil
	}
	return nil
}

// entrySum covers all that Raft acts on.
func entrySum(l *raft.Log, extensions []byte) uint32 {
	head := binary.BigEndian.AppendUint64(nil, l.Index)
	head = binary.BigEndian.AppendUint64(head, l.Term)
	head = append(head, byte(l.Type))
	head = binary.BigEndian.AppendUint64(head, uint64(len(l.Data)))
	sum := crc32.Checksum(head, castagnoli)
	return crc32.Update(crc32.Update(sum, castagnoli, l.Data), castagnoli, extensions)
}

// memLog is the log of a Store without a folder.
type memLog struct{ *raft.InmemStore }

// Close implements io.Closer.
func (memLog) Close() error { return nil }

// mend brings the log in line with the state after a crash, and refuses a pair
// that no crash can make.
func mend(log raft.LogStore, m manifest, applied uint64) error {
	first, err := log.FirstIndex()
	if err != nil {
		return fmt.Errorf("raftstore: read the log: %w", err)
	}
	last, err := log.LastIndex()
	if err != nil {
		return fmt.Errorf("raftstore: read the log: %w", err)
	}
	var snapshot uint64
	if m.Snapshot != nil {
		snapshot = m.Snapshot.Index
	}
	switch {
	case last < applied && applied > max(m.Received, snapshot):
		return fmt.Errorf("raftstore: the log ends at %d although entry %d was applied: %w", last, applied, errCorrupt)
	case last > 0 && first > snapshot+1:
		return fmt.Errorf("raftstore: the log begins at %d but the state is only known to be whole up to %d: %w", first, snapshot, errCorrupt)
	case last > 0 && last < snapshot:
		// A state was received and the crash came before Raft emptied the log.
		if err := log.DeleteRange(first, last); err != nil {
			return fmt.Errorf("raftstore: empty the log: %w", err)
		}
	}
	return nil
}
