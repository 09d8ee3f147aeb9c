package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"k8s.io/client-go/discovery"
)

// runCheck is the command `check`, which `helm test` runs: whether the API server serves the kinds of this version, and
// whether the operator answers. It needs no rights.
func runCheck(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("strongroom-operator check", flag.ContinueOnError)
	flags.SetOutput(stderr)
	kubeconfig := flags.String("kubeconfig", "", "`file` that says which cluster (default $KUBECONFIG, or the cluster it runs in)")
	operator := flags.String("operator", "", "`URL` that the operator answers at, such as http://vault-secrets-operator-metrics-service:8080/metrics")
	timeout := flags.Duration("timeout", 30*time.Second, "`time` that all of it may take")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q; see check --help", flags.Arg(0))
	}
	ctx, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()
	cluster, err := clusterConfig(*kubeconfig)
	if err != nil {
		return err
	}
	cluster.Timeout = *timeout
	client, err := discovery.NewDiscoveryClientForConfig(cluster)
	if err != nil {
		return fmt.Errorf("connect to the cluster: %w", err)
	}
	if err := checkKinds(client, stdout); err != nil || *operator == "" {
		return err
	}
	return checkAnswers(ctx, *operator, stdout)
}

// checkKinds finds whether every kind is served in the version that this program speaks.
func checkKinds(client discovery.ServerResourcesInterface, stdout io.Writer) error {
	definitions, err := readCRDs()
	if err != nil {
		return err
	}
	var missing []string
	for _, definition := range definitions {
		plural, group, _ := strings.Cut(definition.GetName(), ".")
		version := group + "/v1beta1"
		served, err := client.ServerResourcesForGroupVersion(version)
		if err != nil {
			return fmt.Errorf("the cluster does not serve %s: %w; run: strongroom-operator crds apply", version, err)
		}
		found := false
		for _, resource := range served.APIResources {
			found = found || resource.Name == plural
		}
		if !found {
			missing = append(missing, definition.GetName())
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("the cluster does not serve %s; run: strongroom-operator crds apply", strings.Join(missing, ", "))
	}
	fmt.Fprintf(stdout, "the cluster serves all %d kinds\n", len(definitions))
	return nil
}

func checkAnswers(ctx context.Context, url string, stdout io.Writer) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("--operator: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("the operator does not answer: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the operator answers %s at %s", response.Status, url)
	}
	fmt.Fprintf(stdout, "the operator answers at %s\n", url)
	return nil
}
