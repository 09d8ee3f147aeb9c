package kube

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

// A Secret that is changed keeps what is not known here, and its version decides whether it may be.
func TestSecrets(t *testing.T) {
	const stored = `{"apiVersion":"v1","kind":"Secret","type":"kubernetes.io/tls","immutable":false,
		"metadata":{"name":"s","resourceVersion":"7","annotations":{"a":"b"},"labels":{"x":"y"}},"data":{"k":"dmFsdWU="}}`
	status, sent := http.StatusOK, ""
	_, pod := apiServer(t, func(w http.ResponseWriter, r *http.Request) {
		if body, _ := io.ReadAll(r.Body); len(body) > 0 {
			sent = r.Method + " " + r.URL.Path + " " + string(body)
		}
		w.WriteHeader(status)
		io.WriteString(w, stored)
	})
	c, err := InCluster(pod)
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.Secret(t.Context(), "ns", "s")
	if err != nil || s.Type != "kubernetes.io/tls" || s.Labels["x"] != "y" || string(s.Data["k"]) != "value" {
		t.Fatalf("%+v, %v", s, err)
	}
	s.Data["k"] = []byte("new")
	if err := c.PutSecret(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	object, ok := strings.CutPrefix(sent, "PUT /api/v1/namespaces/ns/secrets/s ")
	var got struct {
		Type     string
		Metadata struct {
			ResourceVersion     string
			Annotations, Labels map[string]string
		}
		Data map[string][]byte
	}
	if err := json.Unmarshal([]byte(object), &got); !ok || err != nil || got.Metadata.ResourceVersion != "7" || got.Metadata.Annotations["a"] != "b" ||
		got.Metadata.Labels["x"] != "y" || string(got.Data["k"]) != "new" || got.Type != "kubernetes.io/tls" {
		t.Errorf("sent %s: %v", sent, err)
	}
	status = http.StatusCreated
	if err := c.PutSecret(t.Context(), &Secret{Namespace: "ns", Name: "n", Type: "Opaque"}); err != nil || !strings.HasPrefix(sent, "POST /api/v1/namespaces/ns/secrets ") || !strings.Contains(sent, `"name":"n"`) {
		t.Errorf("sent %s: %v", sent, err)
	}
	status = http.StatusConflict
	if err := c.PutSecret(t.Context(), s); !errors.Is(err, ErrConflict) || strings.Contains(err.Error(), "new") {
		t.Errorf("a conflict: %v", err)
	}
	status = http.StatusNotFound
	if _, err := c.Secret(t.Context(), "ns", "s"); !errors.Is(err, ErrNotFound) || errors.Is(err, ErrConflict) {
		t.Errorf("not there: %v", err)
	}
	status = http.StatusForbidden
	if _, err := c.Secret(t.Context(), "ns", "s"); err == nil || !strings.Contains(err.Error(), "does not let this server read the Secret ns/s: bind a Role with the verbs get, create and update on secrets") {
		t.Errorf("forbidden: %v", err)
	}
}
