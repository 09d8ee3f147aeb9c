package plugin

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// step is a part of the way from the server into a Secret.
type step int

const (
	atSpec step = iota
	atConnection
	atAuth
	atLogin
	atPolicy
	atPath
	atTemplate
	atTarget
	atRestart
	allWell
)

func (s step) String() string {
	return [...]string{"spec", "connection", "auth", "login", "policy", "path", "template", "target", "restart", ""}[s]
}

// where gives the step at which each of the operator's reasons stops. A test compares it with the API's reasons.
func where(reason string) (step, bool) {
	at, known := map[string]step{
		"Valid": allWell, "DryRun": allWell,
		"InvalidSpec": atSpec, "NotLeased": atSpec,
		"ConnectionNotFound": atConnection, "ServerSealed": atConnection, "ServerUnreachable": atConnection,
		"AuthNotFound": atAuth, "AuthGlobalNotFound": atAuth, "NamespaceNotAllowed": atAuth, "MethodNotSupported": atAuth,
		"LoginFailed": atLogin, "ServiceAccountNotFound": atLogin, "CredentialNotFound": atLogin,
		"PermissionDenied": atPolicy,
		"NotFound":         atPath, "MountNotFound": atPath,
		"TemplateError":  atTemplate,
		"TargetConflict": atTarget, "TargetRefused": atTarget, "SourceNotFound": atTarget, "Drift": atPath,
		"RestartFailed": atRestart,
	}[reason]
	return at, known
}

// explain says of each step whether it is passed, by the statuses that the operator wrote and, with -login, by trying.
func explain(ctx context.Context, c *call) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	object, err := c.find(ctx)
	if err != nil {
		return err
	}
	reason, message, current := ready(object)
	stop, known := where(reason)
	w := &walk{call: c, object: object, stop: stop, message: reason + ": " + message}
	fmt.Fprintln(c.Stdout, called(object))
	switch {
	case reason == "":
		w.stop, w.message = atSpec, fmt.Sprintf("the operator has not looked at it yet: is it running, and does it serve namespace %s (watchNamespaces)?", object.GetNamespace())
	case !current:
		w.note(fmt.Sprintf("the spec was changed since the operator looked last, so what follows may be of before: kubectl strongroom sync %s", object.GetName()))
	case !known:
		w.stop = atSpec
	}
	if object.GetAnnotations()[dryRun] == "true" {
		w.note("the annotation " + dryRun + " is set: nothing is written")
	}
	at := w.steps(ctx)
	if c.login && w.stop > atAuth {
		w.try(ctx, at)
	}
	w.print()
	if w.stop != allWell {
		return errSaid
	}
	return nil
}

// walk is the way of one resource.
type walk struct {
	*call
	object  *unstructured.Unstructured
	stop    step
	message string
	says    [allWell]string
	notes   []string
}

func (w *walk) note(text string) { w.notes = append(w.notes, text) }

// halt makes the way end at a step, unless it ends before.
func (w *walk) halt(at step, message string) {
	if at < w.stop {
		w.stop, w.message = at, message
	}
}

func (w *walk) print() {
	for _, note := range w.notes {
		fmt.Fprintf(w.Stdout, "  note  %s\n", note)
	}
	for at := atSpec; at < allWell; at++ {
		switch {
		case at == w.stop:
			fmt.Fprintf(w.Stdout, "  STOP  %-11s %s\n", at, w.message)
		case at > w.stop && w.says[at] != "":
			fmt.Fprintf(w.Stdout, "  -     %-11s %s\n", at, w.says[at])
		case w.says[at] != "":
			fmt.Fprintf(w.Stdout, "  ok    %-11s %s\n", at, w.says[at])
		}
	}
	if w.stop == allWell {
		fmt.Fprintf(w.Stdout, "  %s\n", w.message)
	}
}

// steps says what each step is about, and gives what a login takes.
func (w *walk) steps(ctx context.Context) *account {
	at, err := w.account(ctx, w.object)
	if err != nil {
		w.halt(at.failed, err.Error())
	}
	spec := w.object.Object
	w.says[atSpec] = "as the API server took it"
	w.says[atConnection], w.says[atAuth] = at.server, at.auth
	if at.role != "" {
		w.says[atLogin] = fmt.Sprintf("role %s at auth/%s", at.role, at.mount)
		if at.serviceAccount != "" {
			w.says[atLogin] += fmt.Sprintf(", as service account %s/%s", w.object.GetNamespace(), at.serviceAccount)
		}
	}
	path := cmp.Or(text(spec, "status", "sourcePath"), strings.Join(sources(w.object), ", "))
	w.says[atPolicy], w.says[atPath] = "read on "+path, path
	if w.object.GetKind() == "VaultPushSecret" {
		w.says[atPolicy] = "create, update and read on " + path
	}
	if _, found, _ := unstructured.NestedMap(spec, "spec", "target", "template"); found {
		w.says[atTemplate] = "spec.target.template"
	}
	w.says[atTarget] = "Secret " + target(w.object)
	if list, _, _ := unstructured.NestedSlice(spec, "spec", "rolloutRestartTargets"); len(list) > 0 {
		w.says[atRestart] = fmt.Sprintf("%d in spec.rolloutRestartTargets", len(list))
	}
	return at
}

// target is the name of the Secret that a resource fills, or pushes.
func target(object *unstructured.Unstructured) string {
	return cmp.Or(text(object.Object, "spec", "target", "name"), text(object.Object, "spec", "destination", "name"), text(object.Object, "spec", "secretRef", "name"))
}

// sources are what a resource reads or writes on the server, as the CLI names it.
func sources(object *unstructured.Unstructured) []string {
	spec, _, _ := unstructured.NestedMap(object.Object, "spec")
	if mount := text(spec, "mount"); mount != "" {
		return []string{strings.Trim(mount, "/") + "/" + strings.Trim(cmp.Or(text(spec, "path"), "issue/"+text(spec, "role")), "/")}
	}
	if path := text(spec, "source", "kv", "path"); path != "" {
		return []string{strings.Trim(path, "/")}
	}
	var all []string
	parts, _, _ := unstructured.NestedSlice(spec, "sources")
	for _, each := range parts {
		part, _ := each.(map[string]any)
		all = append(all, strings.Trim(cmp.Or(text(part, "kv", "path"), text(part, "find", "path"), text(part, "path")), "/"))
	}
	return all
}

// account is what a login takes, as far as this side can tell.
type account struct {
	server, auth             string // for people
	address, serverNamespace string
	ca                       []byte
	skipVerify               bool
	serverName               string
	method, mount, role      string
	serviceAccount           string
	audiences                []string
	failed                   step // where the way ends if there was an error
}

// account follows a resource's references. The operator's own rules on who may refer to what it leaves to its statuses.
func (c *call) account(ctx context.Context, object *unstructured.Unstructured) (*account, error) {
	spec, _, _ := unstructured.NestedMap(object.Object, "spec")
	at := &account{serviceAccount: text(spec, "serviceAccount")}
	if inline, found, _ := unstructured.NestedMap(spec, "vault"); found {
		at.address, at.serverNamespace, at.ca = text(inline, "address"), text(inline, "namespace"), []byte(text(inline, "caCert"))
		at.skipVerify, _, _ = unstructured.NestedBool(inline, "skipTLSVerify")
		at.server, at.auth, at.method = at.address, "in the spec itself: kubernetes", "kubernetes"
		login, _, _ := unstructured.NestedMap(inline, "auth", "kubernetes")
		at.take(login)
		at.mount = cmp.Or(strings.Trim(text(login, "mountPath"), "/"), "kubernetes")
		at.serviceAccount = cmp.Or(at.serviceAccount, "default")
		return at, nil
	}
	namespace, name := object.GetNamespace(), text(spec, "vaultAuthRef")
	if name == "" {
		at.auth = "VaultAuth default of the operator's namespace"
		at.server = "that of this VaultAuth"
		return at, nil
	}
	if other, rest, ok := strings.Cut(name, "/"); ok {
		namespace, name = other, rest
	}
	at.failed = atAuth
	auth, err := c.of("VaultAuth", namespace).Get(ctx, name, metav1.GetOptions{})
	at.auth = "VaultAuth " + namespace + "/" + name
	switch {
	case apierrors.IsForbidden(err):
		at.auth += " (which you may not see)"
		return at, nil
	case err != nil:
		return at, fmt.Errorf("%s: %w: create it, or correct vaultAuthRef", at.auth, err)
	}
	return at, c.follow(ctx, at, auth)
}

// take notes role, service account and audiences, where they are not known.
func (a *account) take(method map[string]any) {
	a.role, a.serviceAccount = cmp.Or(a.role, text(method, "role")), cmp.Or(a.serviceAccount, text(method, "serviceAccount"))
	if len(a.audiences) == 0 {
		a.audiences, _, _ = unstructured.NestedStringSlice(method, "audiences")
	}
}

// follow goes from a VaultAuth to its VaultAuthGlobal and its VaultConnection.
func (c *call) follow(ctx context.Context, at *account, auth *unstructured.Unstructured) error {
	spec, _, _ := unstructured.NestedMap(auth.Object, "spec")
	global := map[string]any{}
	if name := text(spec, "vaultAuthGlobalRef", "name"); name != "" {
		namespace := cmp.Or(text(spec, "vaultAuthGlobalRef", "namespace"), auth.GetNamespace())
		found, err := c.of("VaultAuthGlobal", namespace).Get(ctx, name, metav1.GetOptions{})
		switch {
		case err == nil:
			global, _, _ = unstructured.NestedMap(found.Object, "spec")
		case !apierrors.IsForbidden(err):
			return fmt.Errorf("VaultAuthGlobal %s/%s: %w: create it, or correct vaultAuthGlobalRef of %s", namespace, name, err, at.auth)
		}
	}
	at.method = cmp.Or(text(spec, "method"), text(global, "defaultAuthMethod"), "kubernetes")
	own, _, _ := unstructured.NestedMap(spec, at.method)
	shared, _, _ := unstructured.NestedMap(global, at.method)
	at.take(own)
	at.take(shared)
	if at.method != "appRole" && text(own, "secretRef") == "" {
		at.serviceAccount = cmp.Or(at.serviceAccount, "default")
	}
	at.mount = strings.Trim(cmp.Or(text(spec, "mount"), text(shared, "mount"), text(global, "defaultMount"), at.method), "/")
	at.serverNamespace = cmp.Or(text(spec, "namespace"), text(shared, "namespace"), text(global, "defaultVaultNamespace"))
	reason, message, _ := ready(auth)
	at.auth += ": " + at.method
	at.failed = atConnection
	if err := c.reach(ctx, at, auth.GetNamespace(), cmp.Or(text(spec, "vaultConnectionRef"), text(global, "vaultConnectionRef"))); err != nil {
		return err
	}
	if stop, known := where(reason); known && stop < allWell {
		at.failed = stop
		return fmt.Errorf("VaultAuth %s/%s is %s: %s", auth.GetNamespace(), auth.GetName(), reason, message)
	}
	return nil
}

// reach notes where the server is.
func (c *call) reach(ctx context.Context, at *account, namespace, name string) error {
	if name == "" {
		at.server = "VaultConnection default of the operator's namespace"
		return nil
	}
	if other, rest, ok := strings.Cut(name, "/"); ok {
		namespace, name = other, rest
	}
	at.server = "VaultConnection " + namespace + "/" + name
	connection, err := c.of("VaultConnection", namespace).Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsForbidden(err):
		at.server += " (which you may not see)"
		return nil
	case err != nil:
		return fmt.Errorf("%s: %w: create it, or correct vaultConnectionRef", at.server, err)
	}
	spec, _, _ := unstructured.NestedMap(connection.Object, "spec")
	at.address, at.serverName = text(spec, "address"), text(spec, "tlsServerName")
	at.skipVerify, _, _ = unstructured.NestedBool(spec, "skipTLSVerify")
	at.server += " at " + at.address
	if name := text(spec, "caCertSecretRef"); name != "" {
		data, err := c.secret(ctx, namespace, name)
		if err != nil && !apierrors.IsForbidden(err) {
			return fmt.Errorf("the CA of %s: %w", at.server, err)
		}
		at.ca = data["ca.crt"]
	}
	if reason, message, _ := ready(connection); reason != "" && reason != "Valid" {
		return fmt.Errorf("%s is %s: %s", at.server, reason, message)
	}
	return nil
}

// core names a resource of Kubernetes itself.
func core(resource string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Version: "v1", Resource: resource}
}
