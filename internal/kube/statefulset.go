package kube

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// StatefulSet is what the owner of a pod wants.
type StatefulSet struct {
	Name     string
	Replicas int // that it wants
	First    int // ordinal
	Ending   bool
}

// Wants says whether s wants a pod of that name. A StatefulSet that is about to end says nothing of its pods.
func (s StatefulSet) Wants(pod string) (wants, known bool) {
	text, ok := strings.CutPrefix(pod, s.Name+"-")
	ordinal, err := strconv.Atoi(text)
	if !ok || err != nil || ordinal < 0 || s.Ending {
		return false, false
	}
	return ordinal >= s.First && ordinal < s.First+s.Replicas, true
}

// StatefulSetOf reads the StatefulSet that owns a pod. Errors: ErrNotFound if the pod or the StatefulSet is gone, or something else owns the
// pod. It needs the verb get on pods and on statefulsets.
func (c *Client) StatefulSetOf(ctx context.Context, namespace, pod string) (StatefulSet, error) {
	var p struct {
		Kind     string
		Metadata struct {
			OwnerReferences []struct {
				APIVersion, Kind, Name string
				Controller             bool
			}
		}
	}
	base := "/namespaces/" + url.PathEscape(namespace)
	err := c.ask(ctx, question{method: http.MethodGet, path: "/api/v1" + base + "/pods/" + url.PathEscape(pod), limit: maxObject, what: "get the pod " + namespace + "/" + pod,
		role: "bind a Role with the verbs get, update and patch on pods to its service account there"}, &p)
	if err == nil && p.Kind != "Pod" {
		err = ErrNotKube
	}
	if err != nil {
		return StatefulSet{}, err
	}
	name := ""
	for _, o := range p.Metadata.OwnerReferences {
		if o.Controller && o.Kind == "StatefulSet" && strings.HasPrefix(o.APIVersion, "apps/") {
			name = o.Name
		}
	}
	if name == "" {
		return StatefulSet{}, ErrNotFound
	}
	var s struct {
		Kind     string
		Metadata struct{ DeletionTimestamp string }
		Spec     struct {
			Replicas *int
			Ordinals struct{ Start int }
		}
	}
	err = c.ask(ctx, question{method: http.MethodGet, path: "/apis/apps/v1" + base + "/statefulsets/" + url.PathEscape(name), limit: maxObject,
		what: "get the StatefulSet " + namespace + "/" + name, role: "bind a Role with the verb get on statefulsets to its service account there"}, &s)
	if err == nil && s.Kind != "StatefulSet" {
		err = ErrNotKube
	}
	if err != nil {
		return StatefulSet{}, err
	}
	out := StatefulSet{Name: name, Replicas: 1, First: s.Spec.Ordinals.Start, Ending: s.Metadata.DeletionTimestamp != ""} // 1 is what no number means
	if s.Spec.Replicas != nil {
		out.Replicas = *s.Spec.Replicas
	}
	return out, nil
}
