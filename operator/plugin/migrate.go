package plugin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// migrate prints what takes the place of other operators' manifests. It changes nothing.
func migrate(ctx context.Context, c *call) error {
	objects, err := c.manifests(ctx)
	if err != nil {
		return err
	}
	m := &migration{mount: strings.Trim(c.mount, "/"), operatorNamespace: c.operatorNamespace, stores: make(map[string]object)}
	for _, each := range objects {
		if kind := text(each, "kind"); kind == "SecretStore" || kind == "ClusterSecretStore" {
			m.stores[storeName(kind, text(each, "metadata", "namespace"), text(each, "metadata", "name"))] = each
		}
	}
	for _, each := range objects {
		switch text(each, "kind") {
		case "SecretStore", "ClusterSecretStore":
			m.store(each)
		case "ExternalSecret":
			m.external(each)
		case "PushSecret":
			m.push(each)
		case "SealedSecret":
			m.sealed(each)
		default:
			m.print(nil, fmt.Sprintf("%s %s is left out: only ExternalSecret, SecretStore, ClusterSecretStore, PushSecret and SealedSecret are carried over",
				text(each, "kind"), text(each, "metadata", "name")))
		}
	}
	if m.out.Len() == 0 {
		return errors.New("there is nothing to carry over")
	}
	_, err = m.out.WriteTo(c.Stdout)
	return err
}

type object = map[string]any

// migration is what is printed, and what it is made with.
type migration struct {
	mount, operatorNamespace string
	stores                   map[string]object
	out                      bytes.Buffer
}

func storeName(kind, namespace, name string) string {
	if kind == "ClusterSecretStore" {
		namespace = ""
	}
	return namespace + "/" + name
}

// print adds a manifest, below what must be known about it.
func (m *migration) print(manifest object, comments ...string) {
	m.out.WriteString("---\n")
	for _, comment := range comments {
		fmt.Fprintf(&m.out, "# %s\n", strings.ReplaceAll(comment, "\n", "\n# "))
	}
	if manifest != nil {
		encoded, err := yaml.Marshal(manifest)
		if err != nil {
			fmt.Fprintf(&m.out, "# not printed: %v\n", err)
			return
		}
		m.out.Write(encoded)
	}
}

// made is a manifest of ours without spec.
func made(kind, namespace, name string, spec object) object {
	metadata := object{"name": name}
	if namespace != "" {
		metadata["namespace"] = namespace
	}
	return object{"apiVersion": apiVersion, "kind": kind, "metadata": metadata, "spec": spec}
}

// manifests reads the files, or the cluster.
func (c *call) manifests(ctx context.Context) ([]object, error) {
	if len(c.files) == 0 {
		return c.installed(ctx)
	}
	var all []object
	for _, name := range c.files {
		content, err := io.ReadAll(c.Stdin)
		if name != "-" {
			content, err = os.ReadFile(name)
		}
		if err != nil {
			return nil, fmt.Errorf("read manifests: %w", err)
		}
		decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(content), 4096)
		for {
			var each object
			if err := decoder.Decode(&each); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return nil, fmt.Errorf("read manifests in %s: %w", name, err)
			}
			items, isList, _ := unstructured.NestedSlice(each, "items")
			if !isList {
				items = []any{each}
			}
			for _, item := range items {
				if one, ok := item.(object); ok && len(one) > 0 {
					all = append(all, one)
				}
			}
		}
	}
	return all, nil
}

// installed lists what the cluster has. Kinds that it does not know are none.
func (c *call) installed(ctx context.Context) ([]object, error) {
	if err := c.connect(); err != nil {
		return nil, err
	}
	namespace := c.namespace
	if c.all {
		namespace = metav1.NamespaceAll
	}
	var all []object
	for _, from := range []struct {
		group, resource string
		versions        []string
		cluster         bool
	}{
		{"external-secrets.io", "clustersecretstores", []string{"v1", "v1beta1"}, true},
		{"external-secrets.io", "secretstores", []string{"v1", "v1beta1"}, false},
		{"external-secrets.io", "externalsecrets", []string{"v1", "v1beta1"}, false},
		{"external-secrets.io", "pushsecrets", []string{"v1alpha1"}, false},
		{"bitnami.com", "sealedsecrets", []string{"v1alpha1"}, false},
	} {
		for _, version := range from.versions {
			resources := c.kube.Resource(schema.GroupVersionResource{Group: from.group, Version: version, Resource: from.resource})
			scoped := resources.Namespace(namespace)
			if from.cluster {
				scoped = resources
			}
			list, err := scoped.List(ctx, metav1.ListOptions{})
			if err != nil {
				if !strings.Contains(err.Error(), "could not find the requested resource") {
					fmt.Fprintf(c.Stderr, "left out: list %s: %v\n", from.resource, err)
				}
				continue
			}
			for _, item := range list.Items {
				all = append(all, item.Object)
			}
			break
		}
	}
	return all, nil
}

// sealed makes a VaultSecret of a SealedSecret. What is sealed only the cluster that it was sealed for can open, so the
// values go to the server by a command.
func (m *migration) sealed(each object) {
	namespace, name := text(each, "metadata", "namespace"), text(each, "metadata", "name")
	template, _, _ := unstructured.NestedMap(each, "spec", "template")
	path := fmt.Sprintf("%s/%s/%s", m.mount, named(namespace, "NAMESPACE"), name)
	target := object{"name": name, "overwrite": true}
	shape := object{}
	if kind := text(template, "type"); kind != "" && kind != "Opaque" {
		shape["type"] = kind
	}
	metadata := object{}
	for _, field := range []string{"labels", "annotations"} {
		kept := object{}
		some, _, _ := unstructured.NestedStringMap(template, "metadata", field)
		for key, value := range some {
			if !strings.Contains(key, "sealedsecrets.bitnami.com/") {
				kept[key] = value
			}
		}
		if len(kept) > 0 {
			metadata[field] = kept
		}
	}
	if len(metadata) > 0 {
		shape["metadata"] = metadata
	}
	if len(shape) > 0 {
		target["template"] = shape
	}
	option := in(namespace)
	comments := []string{
		"SealedSecret " + name + ". Its values are for the cluster's eyes only; carry them to the server first:",
		fmt.Sprintf("  kubectl get secret %s%s -o json | jq '.data | map_values(@base64d)' | vault kv put %s -", name, option, path),
		"(values that are no text must be written one by one, as base64, with a template that decodes them: {{ .KEY | b64dec }})",
		"Then leave the Secret in place and let go of it: kubectl delete sealedsecret " + name + option + " --cascade=orphan",
	}
	if data, _, _ := unstructured.NestedStringMap(template, "data"); len(data) > 0 {
		shape["stringData"] = data
		target["template"] = shape
		comments = append(comments, "CHECK spec.target.template: with templates the Secret has only the keys that they name")
	}
	m.print(made("VaultSecret", namespace, name, object{"vaultAuthRef": "default", "source": object{"kv": object{"path": path}}, "target": target}), comments...)
}

func named(name, otherwise string) string {
	if name == "" {
		return otherwise
	}
	return name
}

// lost are the fields of a spec that are not carried over.
func lost(what string, spec object, known ...string) []string {
	var comments []string
	for _, field := range sortedKeys(spec) {
		if !slices.Contains(known, field) {
			comments = append(comments, fmt.Sprintf("NOT CARRIED OVER: %s.%s", what, field))
		}
	}
	return comments
}

func sortedKeys(of object) []string {
	keys := make([]string, 0, len(of))
	for key := range of {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
