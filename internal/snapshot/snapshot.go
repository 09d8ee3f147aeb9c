// Package snapshot owns the file that a snapshot of a cluster is: an archive
// with the state of the cluster's storage, its checksums, and a seal on the
// checksums that only the cluster's own keys can make. It writes and reads
// archives as streams, in bounded memory; it never opens a value, and never
// decides whether a snapshot may be taken or restored.
//
// The form is specified in docs/format/snapshot.md.
package snapshot

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// The files of an archive, in their order.
const (
	metaName   = "meta.json"
	stateName  = "state.bin"
	sumsName   = "SHA256SUMS"
	sealedName = "SHA256SUMS.sealed"
)

// SealPath is the path that the box in SHA256SUMS.sealed is bound to, as a
// stored value is bound to its own. Nothing is ever stored there.
const SealPath = "core/snapshot/SHA256SUMS"

// Version of the archive's form.
const Version = 1

// Meta says what an archive holds. The names of the first fields are those of
// the snapshots that Vault's users know.
type Meta struct {
	Version       int       `json:"Version"`
	ID            string    `json:"ID"`    // term, index and time, for people
	Index         uint64    `json:"Index"` // of the last Raft entry in the state
	Term          uint64    `json:"Term"`
	Size          int64     `json:"Size"` // of state.bin, bytes
	Created       time.Time `json:"Created"`
	ClusterID     string    `json:"ClusterID"`
	ClusterName   string    `json:"ClusterName"`
	ServerVersion string    `json:"ServerVersion"`
}

// ErrDamaged: the file is no snapshot, is cut short, or was altered.
var ErrDamaged = errors.New("snapshot: the file is damaged or is no snapshot")

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrDamaged}, args...)...)
}

// Write writes the archive of state, which must be meta.Size bytes long, to w.
// seal makes SHA256SUMS.sealed of SHA256SUMS. After an error what was written is
// no archive: whoever reads it is told so.
func Write(w io.Writer, meta Meta, state io.Reader, seal func(sums []byte) ([]byte, error)) error {
	meta.Version = Version
	if meta.ID == "" {
		meta.ID = fmt.Sprintf("%d-%d-%d", meta.Term, meta.Index, meta.Created.UnixMilli())
	}
	head, err := json.Marshal(meta)
	if err != nil {
		return fmt.Errorf("snapshot: encode: %w", err)
	}
	// Almost all of it is encrypted: more effort takes three times as long and saves 3 %.
	gz, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		return fmt.Errorf("snapshot: write: %w", err)
	}
	tw := tar.NewWriter(gz)
	add := func(name string, size int64, from io.Reader) error {
		if err := tw.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: size, ModTime: meta.Created.Truncate(time.Second), Typeflag: tar.TypeReg}); err != nil {
			return fmt.Errorf("snapshot: write %s: %w", name, err)
		}
		n, err := io.Copy(tw, from)
		if err == nil && n != size {
			err = fmt.Errorf("it has %d bytes instead of %d", n, size)
		}
		if err != nil {
			return fmt.Errorf("snapshot: write %s: %w", name, err)
		}
		return nil
	}
	if err := add(metaName, int64(len(head)), bytes.NewReader(head)); err != nil {
		return err
	}
	sum := sha256.New()
	if err := add(stateName, meta.Size, io.TeeReader(state, sum)); err != nil {
		return err
	}
	sums := sumsOf(sha256.Sum256(head), [sha256.Size]byte(sum.Sum(nil)))
	sealed, err := seal(sums)
	if err != nil {
		return fmt.Errorf("snapshot: seal the checksums: %w", err)
	}
	if err := add(sumsName, int64(len(sums)), bytes.NewReader(sums)); err != nil {
		return err
	}
	if err := add(sealedName, int64(len(sealed)), bytes.NewReader(sealed)); err != nil {
		return err
	}
	if err := errors.Join(tw.Close(), gz.Close()); err != nil {
		return fmt.Errorf("snapshot: write: %w", err)
	}
	return nil
}

// sumsOf is SHA256SUMS, as sha256sum(1) writes and checks it.
func sumsOf(meta, state [sha256.Size]byte) []byte {
	return fmt.Appendf(nil, "%x  %s\n%x  %s\n", meta, metaName, state, stateName)
}
