package kubetest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// cgroupMount is where the machine has its control groups: one hierarchy (v2),
// or one for each controller (v1).
const cgroupMount = "/sys/fs/cgroup"

// controlGroups are the machine's hierarchies.
type controlGroups struct {
	roots   []string
	unified bool // v2
}

func findControlGroups() (controlGroups, error) {
	if exists(filepath.Join(cgroupMount, "cgroup.controllers")) {
		return controlGroups{roots: []string{cgroupMount}, unified: true}, nil
	}
	entries, err := os.ReadDir(cgroupMount)
	if err != nil {
		return controlGroups{}, err
	}
	var groups controlGroups
	for _, entry := range entries { // some are links to others; "unified" is v2 without controllers, beside the others
		root := filepath.Join(cgroupMount, entry.Name())
		if entry.IsDir() && exists(filepath.Join(root, "cgroup.procs")) {
			groups.roots = append(groups.roots, root)
		}
	}
	if len(groups.roots) == 0 {
		return controlGroups{}, fmt.Errorf("no control groups in %s; nodes need them mounted there", cgroupMount)
	}
	return groups, nil
}

// make makes the group at path, and those above it, in every hierarchy.
func (g controlGroups) make(path string) error {
	for _, root := range g.roots {
		if err := g.makeIn(root, path); err != nil {
			return fmt.Errorf("control group %s: %w", path, err)
		}
	}
	return nil
}

func (g controlGroups) makeIn(root, path string) error {
	if path == "." || path == "/" {
		return nil
	}
	above := filepath.Dir(path)
	if err := g.makeIn(root, above); err != nil {
		return err
	}
	parent, dir := filepath.Join(root, above), filepath.Join(root, path)
	if g.unified {
		// What a group may limit, the one above it must have passed on.
		for _, controller := range []string{"cpuset", "cpu", "io", "memory", "pids", "hugetlb"} {
			err := os.WriteFile(filepath.Join(parent, "cgroup.subtree_control"), []byte("+"+controller), 0)
			if errors.Is(err, syscall.EBUSY) {
				return fmt.Errorf("%s has processes of its own, so no controllers can be passed on: "+
					"run this outside of a container, or in one that shares the machine's control groups", parent)
			}
		} // other errors: the kernel has no such controller
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	// A new cpuset of v1 has no CPU, and no process could join it.
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		if g.unified || !exists(filepath.Join(dir, file)) {
			continue
		}
		value, err := os.ReadFile(filepath.Join(parent, file))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, file), value, 0)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// join moves a process, with all its threads, to the group at path.
func (g controlGroups) join(path string, pid int) error {
	for _, root := range g.roots {
		if err := os.WriteFile(filepath.Join(root, path, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0); err != nil {
			return err
		}
	}
	return nil
}

// remove removes the group at path with all below it, once their processes are
// gone. It gives up when ctx ends, and then has removed nothing.
func (g controlGroups) remove(ctx context.Context, path string) error {
	for {
		var err error
		for _, root := range g.roots {
			err = errors.Join(err, isEmpty(filepath.Join(root, path)))
		}
		if err == nil {
			break
		}
		select {
		case <-time.After(pollEvery):
		case <-ctx.Done():
			return err
		}
	}
	var err error
	for _, root := range g.roots {
		err = errors.Join(err, removeTree(filepath.Join(root, path)))
	}
	return err
}

// isEmpty says which of the groups at dir and below still has processes.
func isEmpty(dir string) error {
	folders, err := tree(dir)
	for _, folder := range folders {
		pids, err := os.ReadFile(filepath.Join(folder, "cgroup.procs"))
		if err == nil && len(pids) > 0 {
			return fmt.Errorf("processes %v are still in %s", strings.Fields(string(pids)), folder)
		}
	}
	return err
}

// removeTree removes groups, the lower ones first: the files in them cannot be
// removed.
func removeTree(dir string) error {
	folders, err := tree(dir)
	for _, folder := range slices.Backward(folders) {
		if err := os.Remove(folder); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return err
}

// tree is dir and the folders below it, those that are gone meanwhile left out.
func tree(dir string) (folders []string, err error) {
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			folders = append(folders, path)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	return folders, err
}
