package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"strongroom/internal/kube"
)

// Defaults of auto_join_scheme and auto_join_port, and how long a provider is
// asked at most.
const (
	autoJoinScheme = "https"
	autoJoinPort   = 8200
	autoJoinLimit  = 5 * time.Second
)

// AutoJoin is a target that stands for whatever nodes a provider finds, asked
// anew at every attempt to join, as pods come and go. spec is go-discover's text
// form, such as
//
//	provider=k8s label_selector="app.kubernetes.io/name=vault,component=server" namespace=vault
//
// scheme "" is https and port 0 is 8200; t is as in JoinTarget. The provider k8s
// is the only one; its parameters are namespace (the server's own by default),
// label_selector, field_selector, host_network and kubeconfig (in a pod not needed).
// https://developer.hashicorp.com/vault/docs/configuration/storage/raft#retry_join-stanza
func AutoJoin(spec, scheme string, port int, t *tls.Config) (JoinTarget, error) {
	p, err := parsePods(spec)
	if err != nil {
		return JoinTarget{}, err
	}
	if scheme == "" {
		scheme = autoJoinScheme
	}
	if port == 0 {
		port = autoJoinPort
	}
	if scheme != "http" && scheme != "https" || port < 1 || port > 65535 {
		return JoinTarget{}, errors.New("auto_join_scheme is http or https, and auto_join_port a number from 1 to 65535")
	}
	var client *kube.Client
	if p.kubeconfig != "" {
		client, err = kube.Kubeconfig(p.kubeconfig)
	} else {
		client, err = kube.InCluster(kube.InPod())
	}
	if err != nil {
		return JoinTarget{}, fmt.Errorf("auto_join: %w", err)
	}
	if p.namespace == "" {
		p.namespace = client.Namespace()
	}
	if p.namespace == "" {
		p.namespace = "default"
	}
	resolve := func(ctx context.Context) ([]JoinTarget, error) {
		pods, err := client.Pods(ctx, p.namespace, p.labels, p.fields)
		if err != nil {
			return nil, fmt.Errorf("auto_join: %w", err)
		}
		var found []JoinTarget
		for _, pod := range pods {
			ip := pod.IP
			if p.hostNetwork {
				ip = pod.HostIP
			}
			if ip != "" {
				found = append(found, JoinTarget{LeaderAPIAddr: scheme + "://" + net.JoinHostPort(ip, strconv.Itoa(port)), TLS: t})
			}
		}
		return found, nil
	}
	return JoinTarget{Resolve: resolve}, nil
}

// CheckAutoJoin says what is wrong with spec, as far as that can be known
// without a provider.
func CheckAutoJoin(spec string) error {
	_, err := parsePods(spec)
	return err
}

// AutoJoinReadsFile says whether spec has the server read a file that it names.
func AutoJoinReadsFile(spec string) bool {
	p, err := parsePods(spec)
	return err == nil && p.kubeconfig != ""
}

// joinTargets are the nodes of retry_join; those that a provider knows are
// looked up.
func (n *Node) joinTargets(ctx context.Context) []JoinTarget {
	var targets []JoinTarget
	for _, t := range n.targets() {
		if t.Resolve == nil {
			targets = append(targets, t)
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, autoJoinLimit)
		found, err := t.Resolve(ctx)
		cancel()
		if err == nil {
			targets = append(targets, found...)
			continue
		}
		text := err.Error()
		if last := n.autoJoinError.Swap(&text); ctx.Err() == nil && (last == nil || *last != text) { // once, not every time
			n.logger.Warn("cannot find nodes to join; trying again", "error", err)
		}
	}
	return targets
}

// pods is a parsed auto_join of the provider k8s.
type pods struct {
	namespace, labels, fields string
	kubeconfig                string
	hostNetwork               bool
}

// parsePods reads an auto_join text.
func parsePods(spec string) (pods, error) {
	p := pods{}
	values, err := parseDiscover(spec)
	if err != nil {
		return p, fmt.Errorf("auto_join: %w", err)
	}
	provider := values["provider"]
	delete(values, "provider")
	switch provider {
	case "k8s":
	case "":
		return p, errors.New(`auto_join: provider is missing: write it like "provider=k8s namespace=vault label_selector=\"app.kubernetes.io/name=vault\""`)
	default:
		return p, fmt.Errorf("auto_join: the provider %q is not supported: use provider=k8s, or a retry_join block with leader_api_addr for each node", provider)
	}
	for key, value := range values {
		switch key {
		case "namespace":
			p.namespace = value
		case "label_selector":
			p.labels = value
		case "field_selector":
			p.fields = value
		case "kubeconfig":
			p.kubeconfig = value
		case "host_network":
			if p.hostNetwork, err = strconv.ParseBool(value); err != nil {
				return p, fmt.Errorf("auto_join: host_network is true or false, not %q", value)
			}
		default:
			return p, fmt.Errorf("auto_join: the provider k8s has no parameter %q: it has namespace, label_selector, field_selector, host_network and kubeconfig", key)
		}
	}
	return p, nil
}

// parseDiscover reads go-discover's text form: key=value pairs between spaces.
// Keys and values with spaces, quotes or backslashes are in double quotes, in
// which a backslash takes what follows it as it is.
// https://github.com/hashicorp/go-discover#readme
func parseDiscover(spec string) (map[string]string, error) {
	const space = " \t\r\n"
	values := map[string]string{}
	at := func(rest string) int { return len(spec) - len(rest) + 1 } // errors show no values: they may be secret
	for rest := strings.TrimLeft(spec, space); rest != ""; rest = strings.TrimLeft(rest, space) {
		key, after, err := discoverWord(rest, space+"=")
		if err != nil {
			return nil, err
		}
		after, ok := strings.CutPrefix(after, "=")
		if key == "" || !ok {
			return nil, fmt.Errorf("key=value is needed at character %d", at(rest))
		}
		value, after, err := discoverWord(after, space)
		if err != nil {
			return nil, err
		}
		if after != "" && !strings.ContainsRune(space, rune(after[0])) {
			return nil, fmt.Errorf("a space is needed at character %d", at(after))
		}
		if _, twice := values[key]; twice {
			return nil, fmt.Errorf("%q is set twice: keep one", key)
		}
		values[key], rest = value, after
	}
	return values, nil
}

// discoverWord reads one word, quoted or up to any of end.
func discoverWord(text, end string) (word, rest string, err error) {
	if !strings.HasPrefix(text, `"`) {
		i := strings.IndexAny(text, end)
		if i < 0 {
			i = len(text)
		}
		if strings.ContainsAny(text[:i], `"\`) {
			return "", "", errors.New("quotes and backslashes are within double quotes only, as in key=\"va\\\"lue\"")
		}
		return text[:i], text[i:], nil
	}
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch c := text[i]; c {
		case '"':
			return b.String(), text[i+1:], nil
		case '\\':
			if i++; i == len(text) {
				return "", "", errors.New("the double quote is not closed")
			}
			b.WriteByte(text[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", "", errors.New("the double quote is not closed")
}
