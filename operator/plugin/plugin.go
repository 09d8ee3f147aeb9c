// Package plugin is `kubectl strongroom`: it looks after the operator's resources from a terminal. It asks the API server
// with the caller's own rights, through the kubeconfig that kubectl uses, and a Strongroom server only where it is told
// to. It never prints the value of a secret, and imports no package of the operator, whose dependencies would treble the
// size of the program that it is part of.
package plugin

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"
)

// group is of the operator's kinds; a test compares these names with the API's.
const (
	group      = "secrets.hashicorp.com"
	version    = "v1beta1"
	syncNow    = group + "/sync-now"
	dryRun     = group + "/dry-run"
	apiVersion = group + "/" + version
)

// kinds are those that can be named: they carry something.
func kinds() []string {
	return []string{"VaultSecret", "VaultStaticSecret", "VaultDynamicSecret", "VaultPKISecret", "VaultPushSecret"}
}

const usage = `Usage: kubectl strongroom COMMAND [options]

  sync NAME       have the operator look at a resource now, and say what came of it
  explain NAME    walk from the connection to the target, and say where it stops and how to cure it
  diff NAME       compare the keys of the source with those of the Secret; no value is shown
  migrate         print manifests in place of ExternalSecrets, SecretStores, PushSecrets and SealedSecrets

NAME may be KIND/NAME. kubectl strongroom COMMAND --help lists the options.
`

// IO is what a run reads and writes.
type IO struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(string) string
}

// Main carries out one command line, without the program's name, and returns the exit code: 0 done and all is well; 1 a
// problem, which stderr or the output names; 2 wrong usage.
func Main(ctx context.Context, args []string, sys IO) int {
	commands := map[string]func(context.Context, *call) error{"sync": syncCommand, "explain": explain, "diff": diff, "migrate": migrate}
	if len(args) == 0 || slices.Contains([]string{"help", "-h", "--help"}, args[0]) {
		fmt.Fprint(sys.Stdout, usage)
		return 0
	}
	run := commands[args[0]]
	if run == nil {
		fmt.Fprintf(sys.Stderr, "%q is no command.\n\n%s", args[0], usage)
		return 2
	}
	c := &call{IO: sys, command: args[0]}
	err := c.parse(args[1:])
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintln(sys.Stderr, "kubectl strongroom:", err)
		return 2
	}
	if err := run(ctx, c); err != nil {
		if !errors.Is(err, errSaid) {
			fmt.Fprintln(sys.Stderr, "kubectl strongroom:", err)
		}
		return 1
	}
	return 0
}

// errSaid ends a command with code 1 that has said why already.
var errSaid = errors.New("said already")

// call is one run.
type call struct {
	IO
	command string
	names   []string

	kubeconfig, context, namespace, kind string
	timeout                              time.Duration
	login                                bool
	address                              string
	files                                []string
	all                                  bool
	mount, operatorNamespace             string

	kube dynamic.Interface
}

func (c *call) parse(args []string) error {
	flags := flag.NewFlagSet("kubectl strongroom "+c.command, flag.ContinueOnError)
	flags.SetOutput(c.Stderr)
	flags.StringVar(&c.kubeconfig, "kubeconfig", "", "`file` that says which cluster (default $KUBECONFIG, or ~/.kube/config)")
	flags.StringVar(&c.context, "context", "", "`name` of the kubeconfig's context to use")
	flags.StringVar(&c.namespace, "n", "", "`namespace` (default the context's)")
	flags.StringVar(&c.namespace, "namespace", "", "same as -n")
	if c.command == "migrate" {
		flags.Func("f", "`file` of manifests, - for stdin; may be repeated (default: what the cluster has)", func(name string) error {
			c.files = append(c.files, name)
			return nil
		})
		flags.BoolVar(&c.all, "A", false, "of all namespaces")
		flags.StringVar(&c.mount, "mount", "secret", "`mount` of the KV engine that takes what SealedSecrets hold")
		flags.StringVar(&c.operatorNamespace, "operator-namespace", "vault-secrets-operator", "`namespace` for what ClusterSecretStores become")
	} else {
		flags.StringVar(&c.kind, "kind", "", "`kind` of the resource, where several have the name")
		flags.DurationVar(&c.timeout, "timeout", 30*time.Second, "`time` that all of it may take")
	}
	if c.command == "explain" || c.command == "diff" {
		flags.StringVar(&c.address, "address", "", "`URL` at which the server answers from here (default the resource's)")
	}
	if c.command == "explain" {
		flags.BoolVar(&c.login, "login", false, "log in as the resource does, and ask the server; needs the right to create tokens of its service account")
	}
	for len(args) > 0 { // options may stand behind names, as kubectl has it
		if err := flags.Parse(args); err != nil {
			return err
		}
		if args = flags.Args(); len(args) > 0 {
			c.names, args = append(c.names, args[0]), args[1:]
		}
	}
	want := 1
	if c.command == "migrate" {
		want = 0
	}
	if len(c.names) != want {
		return fmt.Errorf("%s takes %d name(s), not %d; see %s --help", c.command, want, len(c.names), c.command)
	}
	return nil
}

// connect reads the kubeconfig as kubectl does, exec plugins included.
func (c *call) connect() error {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = c.kubeconfig
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: c.context})
	config, err := loader.ClientConfig()
	if err != nil {
		return fmt.Errorf("read the kubeconfig: %w", err)
	}
	if c.namespace == "" {
		if c.namespace, _, err = loader.Namespace(); err != nil {
			return fmt.Errorf("read the kubeconfig: %w", err)
		}
	}
	if c.kube, err = dynamic.NewForConfig(config); err != nil {
		return fmt.Errorf("connect to the cluster: %w", err)
	}
	return nil
}

// of gives the resources of one of the operator's kinds in a namespace.
func (c *call) of(kind, namespace string) dynamic.ResourceInterface {
	return c.kube.Resource(schema.GroupVersionResource{Group: group, Version: version, Resource: strings.ToLower(kind) + "s"}).Namespace(namespace)
}

// find gives the resource that the command line names, of whichever kind has one of that name.
func (c *call) find(ctx context.Context) (*unstructured.Unstructured, error) {
	if err := c.connect(); err != nil {
		return nil, err
	}
	kind, name, found := strings.Cut(c.names[0], "/")
	if !found {
		kind, name = c.kind, c.names[0]
	}
	var among []string
	for _, each := range kinds() {
		if kind == "" || strings.EqualFold(strings.TrimSuffix(strings.ToLower(kind), "s"), each) {
			among = append(among, each)
		}
	}
	if len(among) == 0 {
		return nil, fmt.Errorf("%q is none of %s", kind, strings.Join(kinds(), ", "))
	}
	var matches []*unstructured.Unstructured
	for _, each := range among {
		object, err := c.of(each, c.namespace).Get(ctx, name, metav1.GetOptions{})
		switch {
		case err == nil:
			matches = append(matches, object)
		case !apierrors.IsNotFound(err) && (len(among) == 1 || !apierrors.IsForbidden(err)):
			return nil, fmt.Errorf("get %s %s/%s: %w", each, c.namespace, name, err)
		}
	}
	switch len(matches) {
	case 1:
		return matches[0], nil
	case 0:
		return nil, fmt.Errorf("namespace %s has no %s that you may see called %s", c.namespace, strings.Join(among, ", "), name)
	}
	found2 := make([]string, len(matches))
	for i, object := range matches {
		found2[i] = object.GetKind()
	}
	return nil, fmt.Errorf("%s are called %s: say --kind", strings.Join(found2, " and "), name)
}

// text is a string of an object; empty if there is none.
func text(object map[string]any, path ...string) string {
	value, _, _ := unstructured.NestedString(object, path...)
	return value
}

// ready is the Ready condition of a resource: its reason and message; empty while there is none. current tells whether
// it speaks of the spec as it is.
func ready(object *unstructured.Unstructured) (reason, message string, current bool) {
	conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	for _, each := range conditions {
		condition, _ := each.(map[string]any)
		if condition["type"] == "Ready" {
			seen, _, _ := unstructured.NestedInt64(object.Object, "status", "observedGeneration")
			return text(condition, "reason"), text(condition, "message"), seen == object.GetGeneration()
		}
	}
	return "", "", false
}

func called(object *unstructured.Unstructured) string {
	return object.GetKind() + " " + object.GetNamespace() + "/" + object.GetName()
}
