package tlssecret

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"strongroom/internal/kube"
)

const usage = `Usage: strongroom tls ensure -secret=NAME [options]

  Keeps a TLS certificate for servers in Kubernetes, of an authority of its own, and does nothing as long as it is good:

      $ strongroom tls ensure -secret=vault-tls -namespace=vault -dns-name=vault.vault.svc \
            -dns-name='*.vault-internal' -ip-address=127.0.0.1

  The Secret NAME, of type kubernetes.io/tls, holds tls.crt, tls.key, and in ca.crt what clients have to trust. The Secret NAME-ca
  holds the authority with its key; only this command needs it. The certificate is made anew when less than -renew-before of it is
  left, when the names are others, and with -force. The authority lives ten times as long as a certificate; its successor is in ca.crt
  beside it for as long as -renew-before before it issues anything, so copies of ca.crt have that long to follow. Servers
  take a new certificate from the mounted Secret by themselves.

  Run it from a job at the installation and from a cron job once a day; several at once do no harm. It uses the pod's service account,
  which needs the verbs get, create and update on secrets of the namespace; outside Kubernetes give -kubeconfig. A Secret of the name
  that this command did not make is left alone, and is an error. If the authority's key was stolen, delete both Secrets and run it.

Options:

`

// Main is the command "tls": args are those after the word. It returns the exit code: 0 when the Secrets are as they should be, 1 for wrong usage,
// 2 when Kubernetes does not let it be so.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 || args[0] != "ensure" && !strings.HasPrefix(args[0], "-") {
		fmt.Fprint(stderr, "Error: the one subcommand is \"tls ensure\"; \"tls ensure -h\" explains it\n")
		return 1
	}
	if args[0] == "ensure" {
		args = args[1:]
	}
	r, kubeconfig, err := parseFlags(args, stdout)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(stderr, "Error:", err)
		return 1
	}
	if err := run(ctx, r, kubeconfig, stdout); err != nil {
		fmt.Fprintln(stderr, "Error:", err)
		return 2
	}
	return 0
}

func parseFlags(args []string, help io.Writer) (r Request, kubeconfig string, err error) {
	flags := flag.NewFlagSet("tls ensure", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // the error goes to the caller alone
	flags.StringVar(&r.Name, "secret", "", "`name` of the Secret; its authority is kept in NAME-ca")
	flags.StringVar(&r.Namespace, "namespace", "", "`namespace` of the Secrets; by default the pod's, or the kubeconfig's")
	flags.Func("dns-name", "DNS `name` that the certificate is for, or several with commas; may be repeated", func(s string) error {
		for name := range strings.SplitSeq(s, ",") {
			if name = strings.TrimSpace(name); name != "" {
				r.Names.DNS = append(r.Names.DNS, name)
			}
		}
		return nil
	})
	flags.Func("ip-address", "IP `address` that the certificate is for, or several with commas; may be repeated", func(s string) error {
		for text := range strings.SplitSeq(s, ",") {
			ip := net.ParseIP(strings.TrimSpace(text))
			if ip == nil {
				return fmt.Errorf("%q is no IP address", text)
			}
			r.Names.IP = append(r.Names.IP, ip)
		}
		return nil
	})
	flags.DurationVar(&r.Valid, "valid", 8760*time.Hour, "how long a certificate is good")
	flags.DurationVar(&r.RenewBefore, "renew-before", 2920*time.Hour, "how long before its end it is made anew")
	flags.BoolVar(&r.Force, "force", false, "make it anew although it is good")
	flags.StringVar(&kubeconfig, "kubeconfig", "", "`path` of a kubeconfig, outside Kubernetes")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprint(help, usage)
			flags.SetOutput(help)
			flags.PrintDefaults()
			return r, "", err
		}
		return r, "", fmt.Errorf("%w; \"tls ensure -h\" lists the options", err)
	}
	switch {
	case flags.NArg() > 0:
		return r, "", fmt.Errorf("unexpected argument %q; \"tls ensure -h\" lists the options", flags.Arg(0))
	case r.Name == "":
		return r, "", errors.New("-secret is missing, the name of the Secret that holds the certificate")
	case len(r.Names.DNS)+len(r.Names.IP) == 0:
		return r, "", errors.New("-dns-name and -ip-address are missing: say by which names clients call the server")
	case r.RenewBefore <= 0 || r.Valid < time.Hour || r.RenewBefore >= r.Valid:
		return r, "", errors.New("-renew-before must be more than 0 and less than -valid, which is an hour at least")
	}
	return r, kubeconfig, nil
}

func run(ctx context.Context, r Request, kubeconfig string, stdout io.Writer) error {
	var client *kube.Client
	var err error
	if kubeconfig != "" {
		client, err = kube.Kubeconfig(kubeconfig)
	} else {
		client, err = kube.InCluster(kube.InPod())
	}
	if err != nil {
		return err
	}
	if r.Namespace = cmp.Or(r.Namespace, client.Namespace()); r.Namespace == "" {
		return errors.New("the namespace is not known: give -namespace")
	}
	got, err := Ensure(ctx, client, r)
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, got.text(r))
	return nil
}

// text says what there is now.
func (got Result) text(r Request) string {
	done := "is good, nothing was changed"
	if got.Reason != "" {
		done = "was made (" + got.Reason + ")"
	}
	text := fmt.Sprintf("The certificate in Secret %s/%s %s. It ends on %s, for %s.", r.Namespace, r.Name, done,
		got.Cert.NotAfter.UTC().Format(time.RFC3339), strings.Join(append(append([]string(nil), got.Cert.DNSNames...), ips(got.Cert.IPAddresses)...), ", "))
	if got.Trusted > 1 {
		text += fmt.Sprintf(" Its ca.crt holds %d authorities: one follows another, and both are good.", got.Trusted)
	}
	return text
}

func ips(list []net.IP) []string {
	var out []string
	for _, ip := range list {
		out = append(out, ip.String())
	}
	return out
}
