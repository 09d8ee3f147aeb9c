package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"strongroom/config/crd"
)

// crdOwner is the field manager of what `crds apply` writes.
const crdOwner = "strongroom-operator-crds"

// establishedEvery is how often a definition is looked at until the API server serves it, which takes it under a second.
const establishedEvery = 100 * time.Millisecond

// runCRDs is the command `crds`: the definitions of the operator's kinds, which Helm installs once and never upgrades.
func runCRDs(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("strongroom-operator crds", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(stderr, "Usage: strongroom-operator crds apply [options]   bring the cluster's definitions to this version\n"+
			"       strongroom-operator crds print             print them, for kubectl apply --server-side -f -\n\n")
		flags.PrintDefaults()
	}
	kubeconfig := flags.String("kubeconfig", "", "`file` that says which cluster (default $KUBECONFIG, or the cluster it runs in)")
	timeout := flags.Duration("timeout", time.Minute, "`time` to wait for the API server to serve them")
	if len(args) == 0 {
		flags.Usage()
		return errors.New("crds what? apply or print")
	}
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q; see crds %s --help", flags.Arg(0), args[0])
	}
	switch args[0] {
	case "print":
		return printCRDs(stdout)
	case "apply":
		cluster, err := clusterConfig(*kubeconfig)
		if err != nil {
			return err
		}
		client, err := dynamic.NewForConfig(cluster)
		if err != nil {
			return fmt.Errorf("connect to the cluster: %w", err)
		}
		ctx, cancel := context.WithTimeout(ctx, *timeout)
		defer cancel()
		return applyCRDs(ctx, client, stdout)
	case "-h", "--help", "help":
		flags.Usage()
		return flag.ErrHelp
	}
	return fmt.Errorf("crds %q is not apply or print", args[0])
}

func printCRDs(stdout io.Writer) error {
	names, err := fs.Glob(crd.Files, "*.yaml")
	if err != nil {
		return err
	}
	for _, name := range names {
		text, err := crd.Files.ReadFile(name) // each begins with ---
		if err == nil {
			_, err = stdout.Write(text)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// applyCRDs writes the definitions by server-side apply, taking over what others (Helm, kubectl) wrote, and waits until they are served.
func applyCRDs(ctx context.Context, client dynamic.Interface, stdout io.Writer) error {
	definitions, err := readCRDs()
	if err != nil {
		return err
	}
	resource := client.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	for _, definition := range definitions {
		name := definition.GetName()
		applied, err := resource.Apply(ctx, name, definition, metav1.ApplyOptions{FieldManager: crdOwner, Force: true})
		if err != nil {
			return fmt.Errorf("apply %s: %w", name, err)
		}
		err = wait.PollUntilContextCancel(ctx, establishedEvery, true, func(ctx context.Context) (bool, error) {
			found, err := resource.Get(ctx, name, metav1.GetOptions{})
			return err == nil && served(found), err
		})
		if err != nil {
			return fmt.Errorf("wait until %s is served: %w", name, err)
		}
		fmt.Fprintf(stdout, "%s is served, generation %d\n", name, applied.GetGeneration())
	}
	return nil
}

// readCRDs are the definitions as objects, in the order of their files.
func readCRDs() ([]*unstructured.Unstructured, error) {
	names, err := fs.Glob(crd.Files, "*.yaml")
	if err != nil {
		return nil, err
	}
	var definitions []*unstructured.Unstructured
	for _, name := range names {
		text, err := crd.Files.ReadFile(name)
		if err != nil {
			return nil, err
		}
		definition := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(text, &definition.Object); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		definitions = append(definitions, definition)
	}
	return definitions, nil
}

// served is whether the API server has accepted a definition's names and serves it.
func served(definition *unstructured.Unstructured) bool {
	list, _, _ := unstructured.NestedSlice(definition.Object, "status", "conditions")
	var conditions []metav1.Condition
	for _, item := range list {
		if c, ok := item.(map[string]any); ok {
			kind, _ := c["type"].(string)
			status, _ := c["status"].(string)
			conditions = append(conditions, metav1.Condition{Type: kind, Status: metav1.ConditionStatus(status)})
		}
	}
	return meta.IsStatusConditionTrue(conditions, "Established")
}
