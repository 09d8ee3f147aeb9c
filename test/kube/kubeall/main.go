// Command kubeall is a whole Kubernetes in one program: etcd, the control
// plane, the node programs and kubectl. It becomes whichever of them it is
// called as, by the name of the link it is started through or by its first
// argument, the way busybox does.
//
// One program instead of seven means one link instead of seven and 160 MB
// instead of 500, because the seven share nearly all of their code.
package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	_ "time/tzdata" // CronJobs name time zones; the machine may not have them

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	_ "k8s.io/component-base/logs/json/register"          // --logging-format=json
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // client metrics
	_ "k8s.io/component-base/metrics/prometheus/version"  // kubernetes_build_info
	kubectl "k8s.io/kubectl/pkg/cmd"
	kubectlutil "k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

func main() {
	programs := map[string]func(){
		"etcd":                    func() { etcdmain.Main(os.Args) },
		"kube-apiserver":          func() { serve(apiserver.NewAPIServerCommand()) },
		"kube-controller-manager": func() { serve(controllers.NewControllerManagerCommand()) },
		"kube-scheduler":          func() { serve(scheduler.NewSchedulerCommand()) },
		"kube-proxy":              func() { serve(proxy.NewProxyCommand()) },
		"kubelet":                 func() { serve(kubelet.NewKubeletCommand(context.Background())) },
		"kubectl":                 runKubectl,
	}
	run, ok := programs[filepath.Base(os.Args[0])]
	if !ok && len(os.Args) > 1 {
		os.Args = os.Args[1:]
		run, ok = programs[os.Args[0]]
	}
	if !ok {
		fmt.Fprintf(os.Stderr, "usage: kubeall %s [flags]\n", strings.Join(slices.Sorted(maps.Keys(programs)), "|"))
		os.Exit(2)
	}
	holdLifeline()
	run()
}

// holdLifeline makes this process end when the one that started it does, even
// by SIGKILL. KUBEALL_LIFELINE is the number of a file descriptor: the reading
// end of a pipe whose other end only the starter holds, so that it reads as
// ended once the starter is gone. (Linux's Pdeathsig follows the thread that
// started a process instead, and Go ends threads as it pleases.)
func holdLifeline() {
	fd, err := strconv.Atoi(os.Getenv("KUBEALL_LIFELINE"))
	if err != nil {
		return
	}
	os.Unsetenv("KUBEALL_LIFELINE")
	syscall.CloseOnExec(fd)
	go func() {
		_, _ = io.Copy(io.Discard, os.NewFile(uintptr(fd), "lifeline"))
		os.Exit(1)
	}()
}

// serve runs a component as its own main function would.
func serve(cmd *cobra.Command) { os.Exit(cli.Run(cmd)) }

// runKubectl repeats kubectl's main: its errors carry their own exit codes.
func runKubectl() {
	logs.GlogSetter(kubectl.GetLogVerbosity(os.Args))
	if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
		kubectlutil.CheckErr(err)
	}
}
