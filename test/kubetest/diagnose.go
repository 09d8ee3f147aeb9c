package kubetest

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Diagnose writes what helps to understand a failure: the nodes, what there is
// in all namespaces, the last events, the ends of the logs of containers that
// are not of the cluster itself, also of those that were restarted, and those of
// the nodes' and the control plane's programs. It writes no Secret, and goes on
// after errors, which it writes too.
func (c *Cluster) Diagnose(ctx context.Context, w io.Writer) {
	for _, args := range []string{
		"get nodes -o=wide",
		"get pods,statefulsets,deployments,daemonsets,jobs,services,endpointslices,persistentvolumeclaims,persistentvolumes -A -o=wide",
		"get events -A --sort-by=.lastTimestamp",
	} {
		out, err := c.Kubectl(ctx, strings.Fields(args)...).CombinedOutput()
		report(w, "kubectl "+args, out, err)
	}
	c.diagnoseContainers(ctx, w)
	logs, err := filepath.Glob(filepath.Join(c.Logs, "*.log"))
	if err != nil {
		report(w, c.Logs, nil, err)
	}
	for _, path := range logs {
		log, err := os.ReadFile(path)
		report(w, path, tail(log), err)
	}
}

func (c *Cluster) diagnoseContainers(ctx context.Context, w io.Writer) {
	var pods struct {
		Items []struct {
			Metadata meta
			Status   struct {
				InitContainerStatuses, ContainerStatuses []struct {
					Name         string
					RestartCount int
				}
			}
		}
	}
	if err := c.getJSON(ctx, "/api/v1/pods", &pods); err != nil {
		report(w, "pods", nil, err)
	}
	for _, pod := range pods.Items {
		if pod.Metadata.Namespace == "kube-system" {
			continue
		}
		for _, container := range append(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses...) {
			args := []string{"logs", "--namespace=" + pod.Metadata.Namespace, pod.Metadata.Name, "--container=" + container.Name, "--tail=60"}
			out, err := c.Kubectl(ctx, args...).CombinedOutput()
			report(w, "kubectl "+strings.Join(args, " "), out, err)
			if container.RestartCount > 0 {
				args = append(args, "--previous")
				out, err := c.Kubectl(ctx, args...).CombinedOutput()
				report(w, "kubectl "+strings.Join(args, " "), out, err)
			}
		}
	}
}

func report(w io.Writer, what string, text []byte, err error) {
	if err != nil {
		text = append(text, ("\n" + err.Error())...)
	}
	fmt.Fprintf(w, "== %s\n%s\n", what, text)
}
