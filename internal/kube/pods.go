package kube

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
)

const (
	podsAPage = 100
	maxPage   = 16 << 20 // bytes of a page
	maxPods   = 1000
)

// Found is a running pod.
type Found struct {
	Name   string
	IP     string // its own
	HostIP string // its node's
}

// podList is the part of v1 PodList that is used.
type podList struct {
	Kind     string `json:"kind"`
	Metadata struct {
		Continue string `json:"continue"`
	} `json:"metadata"`
	Items []struct {
		Metadata struct {
			Name              string `json:"name"`
			DeletionTimestamp string `json:"deletionTimestamp"`
		} `json:"metadata"`
		Status struct {
			Phase  string `json:"phase"`
			PodIP  string `json:"podIP"`
			HostIP string `json:"hostIP"`
		} `json:"status"`
	} `json:"items"`
}

// Pods are the running pods of namespace ("": of all) that the selectors match
// ("": whatever they are), ready or not: a sealed server is not ready. It needs
// the verb list on pods.
func (c *Client) Pods(ctx context.Context, namespace, labelSelector, fieldSelector string) ([]Found, error) {
	q := question{method: http.MethodGet, path: "/api/v1/pods", limit: maxPage, what: "list pods",
		role: "bind a ClusterRole with the verb list on pods to its service account"}
	if namespace != "" {
		q.path = "/api/v1/namespaces/" + url.PathEscape(namespace) + "/pods"
		q.what = "list pods in the namespace " + namespace
		q.role = "bind a Role with the verb list on pods to its service account there"
	}
	q.query = url.Values{"limit": {fmt.Sprint(podsAPage)}}
	for name, value := range map[string]string{"labelSelector": labelSelector, "fieldSelector": fieldSelector} {
		if value != "" {
			q.query.Set(name, value)
		}
	}
	var found []Found
	for range maxPods / podsAPage {
		var list podList
		if err := c.ask(ctx, q, &list); err != nil {
			return nil, err
		}
		if list.Kind != "PodList" {
			return nil, ErrNotKube
		}
		for _, p := range list.Items {
			if p.Status.Phase == "Running" && p.Status.PodIP != "" && p.Metadata.DeletionTimestamp == "" {
				found = append(found, Found{Name: p.Metadata.Name, IP: p.Status.PodIP, HostIP: p.Status.HostIP})
			}
		}
		if list.Metadata.Continue == "" {
			return found, nil
		}
		q.query.Set("continue", list.Metadata.Continue)
	}
	return nil, errors.New("kube: more than 1000 pods match: narrow the label selector to the servers' pods")
}

// maxObject bounds one object, in bytes: the API server keeps none larger than etcd takes.
const maxObject = 4 << 20

// mergePatch is RFC 7386: what is not in it stays.
const mergePatch = "application/merge-patch+json"

// jsonPatch is RFC 6902: its test refuses all of it.
const jsonPatch = "application/json-patch+json"

// RelabelPod gives a pod's label the value to where it has the value from; where it has not, or there is no such pod, it does nothing. It needs the
// verb patch on pods.
func (c *Client) RelabelPod(ctx context.Context, namespace, name, label, from, to string) error {
	type operation struct {
		Op    string `json:"op"`
		Path  string `json:"path"`
		Value string `json:"value"`
	}
	path := "/metadata/labels/" + label
	q := question{method: http.MethodPatch, path: "/api/v1/namespaces/" + url.PathEscape(namespace) + "/pods/" + url.PathEscape(name), kind: jsonPatch,
		body: []operation{{"test", path, from}, {"replace", path, to}}, limit: maxObject, what: "label the pod " + namespace + "/" + name,
		role: "bind a Role with the verbs get, update and patch on pods to its service account there"}
	err := c.ask(ctx, q, &struct{}{})
	if refused, ok := errors.AsType[*StatusError](err); ok && (refused.Status == http.StatusUnprocessableEntity || refused.Status == http.StatusNotFound) {
		return nil
	}
	return err
}

// LabelPod sets labels of a pod and leaves its others as they are. It needs the verb patch on pods. An answer that does not show the labels is
// ErrNotKube.
func (c *Client) LabelPod(ctx context.Context, namespace, name string, labels map[string]string) error {
	type metadata struct {
		Labels map[string]string `json:"labels"`
	}
	type pod struct {
		Metadata metadata `json:"metadata"`
	}
	q := question{method: http.MethodPatch, path: "/api/v1/namespaces/" + url.PathEscape(namespace) + "/pods/" + url.PathEscape(name), kind: mergePatch,
		body: pod{metadata{labels}}, limit: maxObject, what: "label the pod " + namespace + "/" + name,
		role: "bind a Role with the verbs get, update and patch on pods to its service account there"}
	var got pod
	if err := c.ask(ctx, q, &got); err != nil {
		return err
	}
	for key, want := range labels {
		if got.Metadata.Labels[key] != want {
			return fmt.Errorf("%w: the label %s is not as it was set", ErrNotKube, key)
		}
	}
	return nil
}
