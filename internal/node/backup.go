package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"strongroom/engine"
	"strongroom/internal/barrier"
	"strongroom/internal/snapshot"
	"strongroom/internal/storage"
)

// keep says which stored keys a restore leaves as they are: those that say who
// is in the running cluster, not what it holds.
func keep(key string) bool {
	switch key {
	case trustPath, leaderPath, autopilotPath:
		return true
	}
	return strings.HasPrefix(key, recordPrefix) || strings.HasPrefix(key, removedPrefix)
}

// restoreLimit bounds the replacement of the state, once all has been received.
const restoreLimit = 10 * time.Minute

// leading returns the member if this node is active as of the call.
func (n *Node) leading(ctx context.Context) (*member, error) {
	m, err := n.leads()
	if err != nil {
		return nil, err
	}
	return m, n.Leads(ctx)
}

// Snapshot writes a snapshot of the cluster to w: everything that was
// acknowledged before the call. Only on the active node: else
// storage.ErrNotLeader. After another error what was written is no snapshot.
func (n *Node) Snapshot(ctx context.Context, w io.Writer) error {
	m, err := n.leading(ctx)
	if err != nil {
		return err
	}
	state, err := m.store.Backup(ctx)
	if err != nil {
		return err
	}
	stream := &held{from: state}
	defer stream.Close()
	// A client that takes its time does not hold the node up when it stops.
	defer context.AfterFunc(n.ctx, func() { stream.Close() })()
	meta := snapshot.Meta{Index: state.Index, Term: state.Term, Size: state.Size, Created: time.Now().UTC(), ServerVersion: n.config.Version}
	var name clusterName
	if e, err := m.store.Get(ctx, namePath); err != nil {
		return err
	} else if err := json.Unmarshal(e.Value, &name); err != nil {
		return fmt.Errorf("node: %s: %w", namePath, err)
	}
	meta.ClusterID, meta.ClusterName = name.ID, name.Name
	return snapshot.Write(w, meta, whileAlive{ctx, stream}, func(sums []byte) ([]byte, error) { return m.barrier.EncryptFirst(snapshot.SealPath, sums) })
}

// held is a stream that may be closed from elsewhere between two reads.
type held struct {
	mu     sync.Mutex
	from   io.ReadCloser
	closed bool
}

func (h *held) Read(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return 0, storage.ErrClosed
	}
	return h.from.Read(p)
}

func (h *held) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil
	}
	h.closed = true
	return h.from.Close()
}

// whileAlive is a reader that ends with ctx.
type whileAlive struct {
	ctx  context.Context
	from io.Reader
}

func (w whileAlive) Read(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	return w.from.Read(p)
}

// Restore replaces the state of the whole cluster by the snapshot in r, which is
// received and checked whole before anything changes. Without force it must be
// one that this cluster's keys made. Nothing is rotated. sealed says that the
// keys of the running cluster do not open what was restored, so that all its nodes are sealed
// and want the keys that the snapshot was made under. Only on the active
// node: else storage.ErrNotLeader, and nothing was read.
func (n *Node) Restore(ctx context.Context, r io.Reader, force bool) (sealed bool, err error) {
	m, err := n.leading(ctx)
	if err != nil {
		return false, err
	}
	file, err := n.spool(ctx, r)
	if err != nil {
		return false, err
	}
	defer file.Close()
	if err := n.checkSpooled(m, file, force); err != nil {
		return false, lost(err)
	}
	end, err := n.begin(ctx)
	if err != nil {
		return false, err
	}
	defer end()
	// From here on it is finished, whether the client waits or not.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), restoreLimit)
	defer cancel()
	sealed, err = n.replace(ctx, m, file)
	return sealed, lost(err)
}

// lost is err, for a client whose snapshot has been read: nobody else can be
// asked with it.
func lost(err error) error {
	if errors.Is(err, storage.ErrNotLeader) || errors.Is(err, barrier.ErrSealed) {
		return engine.Errorf(engine.Unavailable, "this node was sealed, or leads no more: nothing was changed; send the snapshot again")
	}
	return err
}

// replace is Restore's last step, with a file that is known to be good.
func (n *Node) replace(ctx context.Context, m *member, file *os.File) (sealed bool, err error) {
	var meta snapshot.Meta
	open := func() (state io.Reader, err error) {
		if _, err = file.Seek(0, io.SeekStart); err == nil {
			meta, state, err = snapshot.State(file)
		}
		return state, err
	}
	if _, err := open(); err != nil {
		return false, fmt.Errorf("node: restore: %w", err)
	}
	// What the Session holds in memory belongs to the state that goes.
	n.restoring.Store(true)
	defer func() {
		n.restoring.Store(false)
		n.poke()
	}()
	n.endSession()
	n.logger.Warn("restoring a snapshot", "id", meta.ID, "created", meta.Created, "cluster_id", meta.ClusterID)
	if err := m.store.Restore(ctx, open, keep); err != nil {
		return false, fmt.Errorf("node: restore: %w", err)
	}
	n.followRestore(ctx, m)
	sealed = m.barrier.Sealed()
	n.logger.Warn("a snapshot was restored", "id", meta.ID, "sealed", sealed)
	return sealed, nil
}

// followRestore is the loop's: on every node it drops what was made from a state
// that a restore has replaced, and follows the keyring into the new one. A node
// whose keys do not open that is sealed.
func (n *Node) followRestore(ctx context.Context, m *member) {
	if at := m.store.Replaced(); m.replaced.Swap(at) != at {
		n.endSession()
		n.reader.Store(nil)
	}
	open := !m.barrier.Sealed()
	n.followKeyring(ctx, m)
	if open && m.barrier.Sealed() {
		n.ceremony.Reset()
		n.logger.Warn("sealed: what was restored is not under this node's keys; unseal it with those of the cluster that the snapshot was made of", "node_id", n.config.NodeID)
	}
}

// spool receives r into a file without a name: it is gone with the process.
func (n *Node) spool(ctx context.Context, r io.Reader) (*os.File, error) {
	file, err := os.CreateTemp(n.config.Dir, ".restore-*") // mode 0600; "" is the system's folder
	if err != nil {
		return nil, fmt.Errorf("node: receive a snapshot: %w", err)
	}
	if err = os.Remove(file.Name()); err == nil {
		_, err = io.Copy(file, whileAlive{ctx, r})
	}
	if err != nil {
		file.Close()
		return nil, &engine.Error{Kind: engine.Unavailable, Text: "the snapshot could not be received whole: nothing was changed. See that the server's data folder has room for it, and send it again", Err: err}
	}
	return file, nil
}

func (n *Node) checkSpooled(m *member, file *os.File, force bool) error {
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("node: receive a snapshot: %w", err)
	}
	c, err := snapshot.Check(file, nil)
	if errors.Is(err, snapshot.ErrDamaged) {
		return engine.Invalidf("%v; nothing was changed", err)
	}
	if err != nil || force {
		return err
	}
	return n.checkSeal(m, c)
}

// checkSeal says whether this cluster's keys made c.
func (n *Node) checkSeal(m *member, c *snapshot.Checked) error {
	sums, err := m.barrier.Decrypt(snapshot.SealPath, c.Sealed)
	switch {
	case errors.Is(err, barrier.ErrCorrupt):
		keys := "set of unseal keys" // Vault's words: clients look for them
		if config, ok, err := n.sealConfig(m); err == nil && ok && config.Auto() {
			keys = "autoseal key"
		}
		return engine.Invalidf("could not verify hash file, possibly the snapshot is using a different %s; use the snapshot-force API to bypass this check", keys)
	case err != nil:
		return err
	case !bytes.Equal(sums, c.Sums):
		return engine.Invalidf("the snapshot was altered after it was taken; nothing was changed")
	}
	return nil
}

// Snapshot implements sys.Node.
func (a nodeAPI) Snapshot(ctx context.Context, w io.Writer) error { return a.n.Snapshot(ctx, w) }

// CheckSnapshot implements sys.Node.
func (a nodeAPI) CheckSnapshot(ctx context.Context, r io.Reader) error {
	m := a.n.member.Load()
	c, err := snapshot.Check(whileAlive{ctx, r}, nil)
	if err != nil {
		return err
	}
	return a.n.checkSeal(m, c)
}
