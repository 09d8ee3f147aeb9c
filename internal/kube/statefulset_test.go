package kube

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestStatefulSetOf(t *testing.T) {
	const owned = `{"kind":"Pod","metadata":{"ownerReferences":[{"apiVersion":"apps/v1","kind":"StatefulSet","name":"vault","controller":true}]}}`
	pod, set := owned, ""
	_, in := apiServer(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/api/v1/namespaces/ns/pods/vault-2":
			io.WriteString(w, pod)
		case "/apis/apps/v1/namespaces/ns/statefulsets/vault":
			if set == "" {
				w.WriteHeader(http.StatusNotFound)
			}
			io.WriteString(w, set)
		default:
			t.Errorf("asked for %s", r.URL)
		}
	})
	c, err := InCluster(in)
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]StatefulSet{
		`{"kind":"StatefulSet","spec":{"replicas":3}}`: {Name: "vault", Replicas: 3},
		`{"kind":"StatefulSet","spec":{"replicas":0}}`: {Name: "vault"},
		`{"kind":"StatefulSet","spec":{}}`:             {Name: "vault", Replicas: 1},
		`{"kind":"StatefulSet","metadata":{"deletionTimestamp":"x"},"spec":{"replicas":1,"ordinals":{"start":5}}}`: {Name: "vault", Replicas: 1, First: 5, Ending: true},
	} {
		set = text
		if got, err := c.StatefulSetOf(t.Context(), "ns", "vault-2"); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	set = ""
	if _, err := c.StatefulSetOf(t.Context(), "ns", "vault-2"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a StatefulSet that is gone: %v", err)
	}
	pod = strings.ReplaceAll(owned, "StatefulSet", "ReplicaSet")
	if _, err := c.StatefulSetOf(t.Context(), "ns", "vault-2"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a pod of a ReplicaSet: %v", err)
	}
	pod = `{"kind":"Status"}`
	if _, err := c.StatefulSetOf(t.Context(), "ns", "vault-2"); !errors.Is(err, ErrNotKube) {
		t.Errorf("no pod: %v", err)
	}
}

func TestWants(t *testing.T) {
	for _, test := range []struct {
		set          StatefulSet
		pod          string
		wants, known bool
	}{
		{StatefulSet{Name: "vault", Replicas: 3}, "vault-2", true, true},
		{StatefulSet{Name: "vault", Replicas: 2}, "vault-2", false, true},
		{StatefulSet{Name: "vault", Replicas: 0}, "vault-0", false, true},
		{StatefulSet{Name: "vault", Replicas: 1, First: 5}, "vault-5", true, true},
		{StatefulSet{Name: "vault", Replicas: 1, First: 5}, "vault-6", false, true},
		{StatefulSet{Name: "vault", Replicas: 1, First: 5}, "vault-4", false, true},
		{StatefulSet{Name: "vault", Replicas: 1, Ending: true}, "vault-2", false, false},
		{StatefulSet{Name: "vault", Replicas: 1}, "vault-two", false, false},
		{StatefulSet{Name: "vault", Replicas: 1}, "vault--2", false, false},
		{StatefulSet{Name: "vault", Replicas: 1}, "other-2", false, false},
	} {
		if wants, known := test.set.Wants(test.pod); wants != test.wants || known != test.known {
			t.Errorf("%+v, %s: %v, %v", test.set, test.pod, wants, known)
		}
	}
}
