package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
)

// What a StatusError is, besides a text.
var (
	ErrNotFound = errors.New("kube: there is no such object")
	ErrConflict = errors.New("kube: somebody else has made or changed the object")
)

// Is implements errors.Is for ErrNotFound and ErrConflict.
func (e *StatusError) Is(target error) bool {
	return target == ErrNotFound && e.Status == http.StatusNotFound || target == ErrConflict && e.Status == http.StatusConflict
}

// Secret is the part of v1 Secret that is used. What else a Secret has, stays.
type Secret struct {
	Namespace, Name string
	Type            string // of a new one; it cannot be changed
	Labels          map[string]string
	Data            map[string][]byte

	object map[string]any // as it was read, with its version; nil: a new one
}

// Secret reads a Secret. Errors: ErrNotFound. It needs the verb get on secrets.
func (c *Client) Secret(ctx context.Context, namespace, name string) (*Secret, error) {
	var object map[string]any
	if err := c.ask(ctx, secretQuestion(http.MethodGet, namespace, name), &object); err != nil {
		return nil, err
	}
	text, err := json.Marshal(object)
	var got struct {
		Kind, Type string
		Metadata   struct{ Labels map[string]string }
		Data       map[string][]byte
	}
	if err != nil || json.Unmarshal(text, &got) != nil || got.Kind != "Secret" {
		return nil, ErrNotKube // without the cause, which might quote the data
	}
	return &Secret{Namespace: namespace, Name: name, Type: got.Type, Labels: got.Metadata.Labels, Data: got.Data, object: object}, nil
}

// PutSecret makes s, or replaces the labels and data of one that was read. Errors: ErrConflict if it is there already, or not as it was read any
// more. It needs the verbs create and update on secrets.
func (c *Client) PutSecret(ctx context.Context, s *Secret) error {
	q := secretQuestion(http.MethodPost, s.Namespace, "")
	q.what = fmt.Sprintf("create the Secret %s/%s", s.Namespace, s.Name)
	object := map[string]any{"apiVersion": "v1", "kind": "Secret", "type": s.Type, "metadata": map[string]any{"name": s.Name, "namespace": s.Namespace}}
	if s.object != nil {
		q = secretQuestion(http.MethodPut, s.Namespace, s.Name)
		object = maps.Clone(s.object)
	}
	metadata, _ := object["metadata"].(map[string]any)
	metadata = maps.Clone(metadata)
	if metadata == nil {
		return ErrNotKube
	}
	metadata["labels"] = s.Labels
	object["metadata"], object["data"] = metadata, s.Data
	q.body = object
	var discard json.RawMessage
	return c.ask(ctx, q, &discard)
}

func secretQuestion(method, namespace, name string) question {
	q := question{method: method, path: "/api/v1/namespaces/" + url.PathEscape(namespace) + "/secrets", limit: maxObject,
		role: "bind a Role with the verbs get, create and update on secrets to its service account there"}
	verb := map[string]string{http.MethodGet: "read", http.MethodPut: "update"}[method]
	q.what = fmt.Sprintf("%s the Secret %s/%s", verb, namespace, name)
	if name != "" {
		q.path += "/" + url.PathEscape(name)
	}
	return q
}
