package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/hashicorp/go-hclog"

	"strongroom/internal/kube"
	"strongroom/internal/node"
	"strongroom/internal/registration"
)

// ServiceRegistration is the stanza service_registration "kubernetes": this server's pod is labelled with its state.
type ServiceRegistration struct {
	Namespace string // of the pod; "": that of its service account
	PodName   string // "": the host's name, which a pod has from Kubernetes

	at position
}

func (d *decoder) serviceRegistration(c *Config, kind string, body *block) error {
	if kind != "kubernetes" {
		return fmt.Errorf("%s: service_registration %q is not supported: use \"kubernetes\", or leave the block out", body.at, kind)
	}
	s := &ServiceRegistration{at: body.at}
	err := d.decode(body, setters{"namespace": text(&s.Namespace), "pod_name": text(&s.PodName)})
	c.Registration = s
	return err
}

// ownPod is the pod that this server runs in.
type ownPod struct {
	client          *kube.Client
	namespace, name string
	others          func() []string // nodes of the cluster; in Kubernetes each is called like its pod
}

// Label implements registration.Labeler.
func (p *ownPod) Label(ctx context.Context, labels map[string]string) error {
	return p.client.LabelPod(ctx, p.namespace, p.name, labels)
}

// Supersede implements registration.Labeler.
func (p *ownPod) Supersede(ctx context.Context) error {
	var errs []error
	for _, name := range p.others() {
		errs = append(errs, p.client.RelabelPod(ctx, p.namespace, name, "vault-active", "true", "false"))
	}
	return errors.Join(errs...)
}

// scaledAway asks whether the StatefulSet that owns the pod wants others, and not this one: it is to be smaller, and this pod does not come back until it
// is larger again. One that wants none at all is stopped, not made smaller. Whatever cannot be found out is a no.
func (p *ownPod) scaledAway(ctx context.Context) (bool, error) {
	set, err := p.client.StatefulSetOf(ctx, p.namespace, p.name)
	if errors.Is(err, kube.ErrNotFound) {
		return false, nil // it is deleted with its pods, or something else owns the pod
	}
	if err != nil {
		return false, err
	}
	wants, known := set.Wants(p.name)
	return known && !wants && set.Replicas > 0, nil
}

// open finds the pod that s speaks of; nil without the stanza.
func (s *ServiceRegistration) open(in kube.Pod) (*ownPod, error) {
	if s == nil {
		return nil, nil
	}
	client, err := kube.InCluster(in)
	if err != nil {
		return nil, fmt.Errorf("%s: service_registration \"kubernetes\": %w; outside Kubernetes leave the block out", s.at, err)
	}
	host, _ := os.Hostname()
	p := &ownPod{client: client, namespace: cmp.Or(s.Namespace, client.Namespace()), name: cmp.Or(s.PodName, host)}
	switch {
	case p.namespace == "":
		return nil, fmt.Errorf("%s: service_registration \"kubernetes\": the pod's namespace is not known: set VAULT_K8S_NAMESPACE or namespace", s.at)
	case p.name == "":
		return nil, fmt.Errorf("%s: service_registration \"kubernetes\": the pod's name is not known: set VAULT_K8S_POD_NAME or pod_name", s.at)
	}
	return p, nil
}

// register labels the pod with the state of n from now on.
func register(p *ownPod, n *node.Node, logger hclog.Logger) *registration.Registration {
	p.others = n.Others
	watch := func() (registration.State, <-chan struct{}) {
		c, changed := n.Watch()
		return registration.State{Initialized: c.Initialized, Sealed: c.Sealed, Active: c.Active, PerfStandby: c.ServesReads}, changed
	}
	return registration.Start(p, Version, watch, logger.Named("registration"))
}
