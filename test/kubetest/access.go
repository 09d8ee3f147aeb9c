package kubetest

import (
	"context"
	"os"
	"path/filepath"
	"strings"
)

// Access is what a suite needs of a Kubernetes with nodes, whether it is a
// [Cluster] or somebody else's.
type Access struct {
	Kubeconfig string   // path of an administrator's
	Env        []string // an environment in which kubectl and helm work with it, for commands run by a shell

	// Import gives the images of an archive to all nodes. It is nil when that is
	// not possible from here: then they must have them, or a registry.
	Import func(ctx context.Context, archive string) error
}

// Access returns the access to the cluster.
func (c *Cluster) Access() Access {
	return Access{Kubeconfig: c.Kubeconfig, Env: c.Env(), Import: c.Import}
}

// ForeignAccess returns the access to the cluster of a kubeconfig, with the
// same kubectl and helm that a [Cluster] has.
func ForeignAccess(ctx context.Context, kubeconfig string) (Access, error) {
	binDir, err := Build(ctx, os.Stderr)
	if err != nil {
		return Access{}, err
	}
	addonsDir, err := BuildAddons(ctx, os.Stderr)
	if err != nil {
		return Access{}, err
	}
	if kubeconfig, err = filepath.Abs(kubeconfig); err != nil {
		return Access{}, err
	}
	return Access{Kubeconfig: kubeconfig, Env: append(os.Environ(), "KUBECONFIG="+kubeconfig, searchPath(binDir, addonsDir))}, nil
}

// searchPath is the variable PATH with these folders first.
func searchPath(dirs ...string) string {
	return "PATH=" + strings.Join(append(dirs, os.Getenv("PATH")), string(os.PathListSeparator))
}
