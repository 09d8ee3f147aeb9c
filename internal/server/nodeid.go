package server

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/uuid"
)

// nodeIDFile is the file, inside the storage's path, with the id a node gave itself. It is there from the first start on, as a node
// that changes its id is a new node to its cluster.
const nodeIDFile = "node-id"

// ResolveNodeID is the configured node id; else the one stored at Path; else the pod's name, or a random one outside Kubernetes, which it stores
// there durably (creating Path, mode 0700). A pod of a StatefulSet that lost its volume is so the same member to its cluster, and may take its
// old place. In memory, every start is a new node.
func ResolveNodeID(s Storage) (string, error) {
	if s.NodeID != "" {
		return s.NodeID, nil
	}
	if s.Type == "inmem" {
		return uuid.NewString(), nil
	}
	path := filepath.Join(s.Path, nodeIDFile)
	stored, err := os.ReadFile(path)
	if err == nil {
		id := strings.TrimSpace(string(stored))
		if id == "" {
			return "", fmt.Errorf("node id: %s is empty: write this node's id into it, or set node_id", path)
		}
		return id, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("node id: %w", err)
	}
	if err := os.MkdirAll(s.Path, 0o700); err != nil {
		return "", fmt.Errorf("node id: %w", err)
	}
	id := cmp.Or(s.PodName, uuid.NewString())
	if err := writeDurably(path, id+"\n"); err != nil {
		return "", fmt.Errorf("node id: %w", err)
	}
	return id, nil
}

// writeDurably makes path hold text, wholly or not at all, whenever the power goes.
func writeDurably(path, text string) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	if _, err = f.WriteString(text); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
