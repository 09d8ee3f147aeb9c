package plugin

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// external makes a VaultSecret of an ExternalSecret.
func (m *migration) external(each object) {
	namespace, name := text(each, "metadata", "namespace"), text(each, "metadata", "name")
	spec, _, _ := unstructured.NestedMap(each, "spec")
	comments := []string{
		"ExternalSecret " + name + ". Leave the Secret in place and let go of it before this is applied: kubectl delete externalsecret " + name + in(namespace) + " --cascade=orphan",
	}
	comments = append(comments, lost("spec", spec, "refreshInterval", "refreshPolicy", "secretStoreRef", "target", "data", "dataFrom")...)
	ours := object{}
	ref, _, _ := unstructured.NestedMap(spec, "secretStoreRef")
	store, reference := m.referred(ref, namespace)
	ours["vaultAuthRef"] = reference
	switch interval := text(spec, "refreshInterval"); {
	case strings.TrimRight(interval, "0hms") == "" && interval != "":
		comments = append(comments, "NOT CARRIED OVER: refreshInterval "+interval+": a Secret is always kept true")
	case interval != "":
		ours["refreshAfter"] = interval
	}
	parts, more := m.parts(spec, store)
	ours["sources"] = parts
	comments = append(comments, more...)
	target, more := aim(spec, name)
	ours["target"] = target
	comments = append(comments, more...)
	if len(parts) > 16 {
		comments = append(comments, "CHECK spec.sources: at most 16 are taken; make several VaultSecrets of it")
	}
	m.print(made("VaultSecret", namespace, name, ours), comments...)
}

// in is kubectl's option for a namespace.
func in(namespace string) string {
	if namespace == "" {
		return ""
	}
	return " -n " + namespace
}

// referred finds a store, and how a resource refers to the VaultAuth that it becomes.
func (m *migration) referred(ref object, namespace string) (store object, name string) {
	kind := cmp.Or(text(ref, "kind"), "SecretStore")
	store, _, _ = unstructured.NestedMap(m.stores[storeName(kind, namespace, text(ref, "name"))], "spec", "provider", "vault")
	name = text(ref, "name")
	if kind == "ClusterSecretStore" {
		name = m.operatorNamespace + "/" + name
	}
	return store, name
}

// full is a secret as the CLI names it: the store's path is the mount, which keys may repeat.
func full(store object, key string) (string, []string) {
	key = strings.Trim(key, "/")
	mount := strings.Trim(text(store, "path"), "/")
	if mount == "" {
		if store == nil {
			return key, []string{"CHECK the path " + key + ": its SecretStore is not among the input, so the mount may be missing in front"}
		}
		return key, nil
	}
	key = strings.TrimPrefix(key, mount+"/")
	if text(store, "version") != "v1" {
		key = strings.TrimPrefix(key, "data/")
	}
	return mount + "/" + key, nil
}

// parts are the sources of a VaultSecret.
func (m *migration) parts(spec, store object) ([]any, []string) {
	var parts []any
	var comments []string
	groups := make(map[string]object) // by path, the part that more keys may join
	data, _, _ := unstructured.NestedSlice(spec, "data")
	for _, item := range data {
		entry, _ := item.(object)
		remote, _, _ := unstructured.NestedMap(entry, "remoteRef")
		comments = append(comments, odd(entry, remote)...)
		path, more := full(store, text(remote, "key"))
		comments = append(comments, more...)
		property, as := text(remote, "property"), text(entry, "secretKey")
		if property == "" {
			comments = append(comments, fmt.Sprintf("NOT CARRIED OVER: key %s, which held all of %s as JSON: add it as a template: '{{ toJson .Secrets }}'", as, path))
			continue
		}
		group := groups[path]
		if group == nil || clashes(group, property, as) {
			group = object{"kv": object{"path": path}, "includes": []any{}, "rewrite": []any{}}
			groups[path] = group
			parts = append(parts, group)
		}
		choose(group, property, as)
	}
	for _, each := range parts {
		if part := each.(object); len(part["rewrite"].([]any)) == 0 {
			delete(part, "rewrite")
		}
	}
	from, _, _ := unstructured.NestedSlice(spec, "dataFrom")
	for _, item := range from {
		entry, _ := item.(object)
		part, more := whole(entry, store)
		comments = append(comments, more...)
		if part != nil {
			parts = append(parts, part)
		}
	}
	return parts, unique(comments)
}

// choose makes a part take one key, by the name as.
func choose(part object, key, as string) {
	pattern := "^" + regexp.QuoteMeta(key) + "$"
	part["includes"] = append(part["includes"].([]any), pattern)
	if key != as {
		part["rewrite"] = append(part["rewrite"].([]any), object{"pattern": pattern, "replacement": strings.ReplaceAll(as, "$", "$$")})
	}
}

// clashes tells whether a part's rules would name a key twice.
func clashes(group object, property, as string) bool {
	pattern := "^" + regexp.QuoteMeta(property) + "$"
	if slices.Contains(group["includes"].([]any), any(pattern)) || slices.Contains(group["includes"].([]any), any("^"+regexp.QuoteMeta(as)+"$")) && as != property {
		return true
	}
	return slices.ContainsFunc(group["rewrite"].([]any), func(each any) bool {
		return each.(object)["replacement"] == property
	})
}

// odd says what of a reference cannot be carried over.
func odd(entry, remote object) []string {
	comments := lost("data", entry, "secretKey", "remoteRef")
	where := text(remote, "key")
	if strings.Contains(text(remote, "property"), ".") {
		comments = append(comments, fmt.Sprintf("CHECK property %s of %s: a dot is part of a key's name here; for a value within JSON use a template: '{{ dig … (fromJson .KEY) }}'", text(remote, "property"), where))
	}
	if version := text(remote, "version"); version != "" {
		comments = append(comments, fmt.Sprintf("NOT CARRIED OVER: version %s of %s: a VaultSecret follows the latest; a VaultStaticSecret has a version", version, where))
	}
	if strategy := text(remote, "decodingStrategy"); strategy != "" && strategy != "None" {
		comments = append(comments, fmt.Sprintf("NOT CARRIED OVER: decodingStrategy %s of %s: use a template: '{{ .KEY | b64dec }}'", strategy, where))
	}
	if strategy := text(remote, "metadataPolicy"); strategy == "Fetch" {
		comments = append(comments, "NOT CARRIED OVER: metadataPolicy Fetch of "+where)
	}
	return comments
}

// whole makes a part of an entry of dataFrom.
func whole(entry, store object) (object, []string) {
	comments := lost("dataFrom", entry, "extract", "find", "rewrite")
	part := object{}
	if extract, found, _ := unstructured.NestedMap(entry, "extract"); found {
		path, more := full(store, text(extract, "key"))
		part["kv"], comments = object{"path": path}, append(comments, more...)
		comments = append(comments, odd(object{}, extract)...)
		if property := text(extract, "property"); property != "" {
			comments = append(comments, "NOT CARRIED OVER: extract of the JSON in property "+property+" of "+path)
		}
	}
	if find, found, _ := unstructured.NestedMap(entry, "find"); found {
		path, more := full(store, text(find, "path"))
		search := object{"path": strings.Trim(path, "/")}
		if pattern := text(find, "name", "regexp"); pattern != "" {
			search["match"] = pattern
		}
		part["find"], comments = search, append(comments, more...)
		comments = append(comments, "CHECK find in "+path+": keys are named PATH_KEY here, one for each key of each secret, not one JSON for each secret")
		comments = append(comments, lost("find", find, "path", "name", "conversionStrategy", "decodingStrategy")...)
	}
	if len(part) == 0 {
		return nil, comments
	}
	rules, _, _ := unstructured.NestedSlice(entry, "rewrite")
	var rewrite []any
	for _, item := range rules {
		rule, _ := item.(object)
		if pattern := text(rule, "regexp", "source"); pattern != "" {
			rewrite = append(rewrite, object{"pattern": pattern, "replacement": text(rule, "regexp", "target")})
		} else {
			comments = append(comments, "NOT CARRIED OVER: dataFrom.rewrite."+strings.Join(sortedKeys(rule), ", "))
		}
	}
	if len(rewrite) > 0 {
		part["rewrite"] = rewrite
	}
	return part, comments
}

// aim makes the target of a VaultSecret.
func aim(spec object, name string) (object, []string) {
	from, _, _ := unstructured.NestedMap(spec, "target")
	comments := lost("target", from, "name", "creationPolicy", "deletionPolicy", "immutable", "template")
	target := object{"name": cmp.Or(text(from, "name"), name), "overwrite": true}
	switch policy := text(from, "creationPolicy"); policy {
	case "Orphan":
		target["deletionPolicy"] = "Retain"
	case "Merge", "None":
		comments = append(comments, "NOT CARRIED OVER: creationPolicy "+policy+": a VaultSecret owns all of its Secret")
	}
	if policy := text(from, "deletionPolicy"); policy == "Delete" || policy == "Merge" {
		comments = append(comments, "NOT CARRIED OVER: deletionPolicy "+policy+": when the source goes, the last good Secret stays, and the status says so")
	}
	if immutable, _, _ := unstructured.NestedBool(from, "immutable"); immutable {
		target["immutable"] = true
	}
	template, found, _ := unstructured.NestedMap(from, "template")
	if !found {
		return target, comments
	}
	comments = append(comments, lost("target.template", template, "type", "data", "metadata", "engineVersion", "mergePolicy")...)
	shape := object{}
	if kind := text(template, "type"); kind != "" {
		shape["type"] = kind
	}
	if metadata, _, _ := unstructured.NestedMap(template, "metadata"); len(metadata) > 0 {
		shape["metadata"] = metadata
	}
	if data, _, _ := unstructured.NestedMap(template, "data"); len(data) > 0 {
		shape["stringData"] = data
		comments = append(comments, "CHECK the functions in spec.target.template: docs/operator.md lists those that there are")
		if text(template, "mergePolicy") == "Merge" {
			comments = append(comments, "NOT CARRIED OVER: mergePolicy Merge: with templates the Secret has only the keys that they name")
		}
	}
	if len(shape) > 0 {
		target["template"] = shape
	}
	return target, comments
}

// push makes VaultPushSecrets of a PushSecret, one for each path.
func (m *migration) push(each object) {
	namespace, name := text(each, "metadata", "namespace"), text(each, "metadata", "name")
	spec, _, _ := unstructured.NestedMap(each, "spec")
	comments := append([]string{"PushSecret " + name}, lost("spec", spec, "refreshInterval", "secretStoreRefs", "selector", "data", "deletionPolicy")...)
	refs, _, _ := unstructured.NestedSlice(spec, "secretStoreRefs")
	data, _, _ := unstructured.NestedSlice(spec, "data")
	for i, ref := range refs {
		ref, _ := ref.(object)
		store, reference := m.referred(ref, namespace)
		byPath := make(object)
		for _, item := range data {
			entry, _ := item.(object)
			path, more := full(store, text(entry, "match", "remoteRef", "remoteKey"))
			comments = append(comments, more...)
			keys, _ := byPath[path].(object)
			if keys == nil {
				keys = object{"includes": []any{}, "rewrite": []any{}}
				byPath[path] = keys
			}
			if from := text(entry, "match", "secretKey"); from != "" {
				choose(keys, from, cmp.Or(text(entry, "match", "remoteRef", "property"), from))
			}
		}
		for j, path := range sortedKeys(byPath) {
			mount, below, _ := strings.Cut(path, "/")
			if known := strings.Trim(text(store, "path"), "/"); known != "" {
				mount, below = known, strings.TrimPrefix(path, known+"/")
			}
			ours := object{
				"vaultAuthRef": reference, "secretRef": object{"name": text(spec, "selector", "secret", "name")},
				"mount": mount, "path": below, "type": "kv-" + cmp.Or(text(store, "version"), "v2"),
			}
			for field, rules := range byPath[path].(object) {
				if len(rules.([]any)) > 0 {
					ours[field] = rules
				}
			}
			if text(spec, "deletionPolicy") == "Delete" {
				ours["deletionPolicy"] = "Delete"
			}
			called := name
			if i+j > 0 {
				called = fmt.Sprintf("%s-%d", name, i*len(byPath)+j+1)
			}
			m.print(made("VaultPushSecret", namespace, called, ours), unique(comments)...)
			comments = nil
		}
	}
}

// unique drops what was said already.
func unique(comments []string) []string {
	var once []string
	for _, comment := range comments {
		if !slices.Contains(once, comment) {
			once = append(once, comment)
		}
	}
	return once
}
