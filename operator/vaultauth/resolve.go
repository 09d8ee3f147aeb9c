package vaultauth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validation/path"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"strongroom/api/v1beta1"
	"strongroom/operator/condition"
	"strongroom/operator/vaultclient"
	"strongroom/operator/vaultconnection"
)

const (
	defaultName    = "default" // of the VaultAuth, VaultConnection and VaultAuthGlobal that are meant where none is named
	defaultAccount = "default"
)

// Resolver turns VaultAuths into Logins.
type Resolver struct {
	Connections vaultconnection.Resolver
	Namespaces  []string // that the operator serves; none: all
	// OperatorNamespace is the operator's own: of the defaults, and always allowed. Empty if unknown: then a resource's
	// defaults are those of its own namespace.
	OperatorNamespace string
	// AllowDefaultGlobals lets VaultAuths inherit from a VaultAuthGlobal that they do not name.
	AllowDefaultGlobals bool
}

// Ref gives the resource that one of namespace refers to as ref: NAME, or NAMESPACE/NAME.
func Ref(namespace, ref string) types.NamespacedName {
	if other, name, qualified := strings.Cut(ref, "/"); qualified {
		return types.NamespacedName{Namespace: other, Name: name}
	}
	return types.NamespacedName{Namespace: namespace, Name: ref}
}

// AuthName gives the VaultAuth that a resource of namespace refers to as ref; the empty one means the VaultAuth default
// in the operator's namespace.
func (r Resolver) AuthName(namespace, ref string) types.NamespacedName {
	if ref == "" {
		return types.NamespacedName{Namespace: cmp.Or(r.OperatorNamespace, namespace), Name: defaultName}
	}
	return Ref(namespace, ref)
}

// Allowed tells whether a resource of namespace owner, which allows the namespaces of list, may be referred to from
// namespace from. Its own namespace and the operator's may always.
func Allowed(list []string, owner, from, operatorNamespace string) bool {
	return from == owner || (from != "" && from == operatorNamespace) || slices.Contains(list, from) || slices.Contains(list, "*")
}

// Login resolves ref for a resource of namespace, which logs in as account ("": what the VaultAuth names) of its own
// namespace: a VaultAuth of another namespace lends its settings, never a service account or a Secret. Errors are
// Problems: AuthNotFound, AuthGlobalNotFound, NamespaceNotAllowed, MethodNotSupported, ConnectionNotFound, InvalidSpec.
func (r Resolver) Login(ctx context.Context, namespace, ref, account string) (vaultclient.Login, error) {
	name := r.AuthName(namespace, ref)
	auth := &v1beta1.VaultAuth{}
	found, err := r.get(ctx, name, auth)
	switch {
	case err != nil:
		return vaultclient.Login{}, err
	case name.Namespace != namespace && (!found || !Allowed(auth.Spec.AllowedNamespaces, name.Namespace, namespace, r.OperatorNamespace)):
		// The same words whether it exists or not: who may not use it learns nothing of it.
		return vaultclient.Login{}, condition.Problemf(v1beta1.ReasonNamespaceNotAllowed,
			"VaultAuth %s does not allow namespace %s: add it to its spec.allowedNamespaces%s", name, namespace, unnamed(ref))
	case !found:
		return vaultclient.Login{}, condition.Problemf(v1beta1.ReasonAuthNotFound,
			"there is no VaultAuth %s in namespace %s: create it, or name another", name.Name, name.Namespace)
	}
	return r.login(ctx, auth, namespace, account)
}

// unnamed tells those who wrote no reference where it came from.
func unnamed(ref string) string {
	if ref != "" {
		return ""
	}
	return ", or name a VaultAuth of this namespace in spec.vaultAuthRef"
}

// get reads a resource and tells whether there is one. Of namespaces that the operator does not serve there is none.
func (r Resolver) get(ctx context.Context, name types.NamespacedName, into client.Object) (found bool, err error) {
	if len(r.Namespaces) > 0 && !slices.Contains(r.Namespaces, name.Namespace) { // the cache holds no others
		return false, nil
	}
	err = r.Connections.Cache.Get(ctx, name, into)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("get %T %s: %w", into, name, err)
	}
	return true, nil
}

// settled is a VaultAuth with all that it inherits.
type settled struct {
	spec       v1beta1.VaultAuthSpec
	connection types.NamespacedName
	global     types.NamespacedName // zero: none
}

// settle finds what auth inherits. Errors are Problems: AuthGlobalNotFound, NamespaceNotAllowed.
func (r Resolver) settle(ctx context.Context, auth *v1beta1.VaultAuth) (settled, error) {
	global, err := r.global(ctx, auth)
	if err != nil {
		return settled{}, err
	}
	result := settled{connection: types.NamespacedName{Namespace: cmp.Or(r.OperatorNamespace, auth.Namespace), Name: defaultName}}
	var inherited *v1beta1.VaultAuthGlobalSpec
	if global != nil {
		inherited = &global.Spec
		result.global = client.ObjectKeyFromObject(global)
	}
	result.spec = inherit(auth.Spec, inherited)
	switch {
	case auth.Spec.VaultConnectionRef != "":
		result.connection = Ref(auth.Namespace, auth.Spec.VaultConnectionRef)
	case global != nil && global.Spec.VaultConnectionRef != "":
		result.connection = Ref(global.Namespace, global.Spec.VaultConnectionRef)
	}
	return result, nil
}

// global finds the VaultAuthGlobal that auth inherits from, nil if none.
func (r Resolver) global(ctx context.Context, auth *v1beta1.VaultAuth) (*v1beta1.VaultAuthGlobal, error) {
	ref := auth.Spec.VaultAuthGlobalRef
	if ref == nil {
		return nil, nil
	}
	var candidates []types.NamespacedName
	switch {
	case ref.Name != "":
		candidates = append(candidates, types.NamespacedName{Namespace: cmp.Or(ref.Namespace, auth.Namespace), Name: ref.Name})
	case ref.AllowDefault == nil || !*ref.AllowDefault:
		return nil, condition.Problemf(v1beta1.ReasonInvalidSpec,
			"VaultAuth %s/%s has spec.vaultAuthGlobalRef without a name: give one, or set allowDefault: true", auth.Namespace, auth.Name)
	case !r.AllowDefaultGlobals:
		return nil, condition.Problemf(v1beta1.ReasonInvalidSpec,
			"VaultAuth %s/%s asks for the default VaultAuthGlobal, which this operator does not allow: give spec.vaultAuthGlobalRef.name, "+
				"or start the operator with --global-vault-auth-options=allow-default-globals", auth.Namespace, auth.Name)
	case ref.Namespace != "":
		candidates = append(candidates, types.NamespacedName{Namespace: ref.Namespace, Name: defaultName})
	default:
		for _, namespace := range []string{auth.Namespace, r.OperatorNamespace} {
			candidates = append(candidates, types.NamespacedName{Namespace: namespace, Name: defaultName})
		}
	}
	for _, name := range candidates {
		global := &v1beta1.VaultAuthGlobal{}
		found, err := r.get(ctx, name, global)
		if err != nil {
			return nil, err
		}
		if name.Namespace != auth.Namespace && (!found || !Allowed(global.Spec.AllowedNamespaces, name.Namespace, auth.Namespace, r.OperatorNamespace)) {
			return nil, condition.Problemf(v1beta1.ReasonNamespaceNotAllowed,
				"VaultAuthGlobal %s does not allow namespace %s: add it to its spec.allowedNamespaces", name, auth.Namespace)
		}
		if found {
			return global, nil
		}
	}
	return nil, condition.Problemf(v1beta1.ReasonAuthGlobalNotFound,
		"there is no VaultAuthGlobal %s in namespace %s: create it, or name another", candidates[0].Name, candidates[0].Namespace)
}

// connection finds a VaultConnection that namespace may use. Errors are Problems: NamespaceNotAllowed,
// ConnectionNotFound.
func (r Resolver) connection(ctx context.Context, name types.NamespacedName, namespace string) (*v1beta1.VaultConnection, error) {
	connection := &v1beta1.VaultConnection{}
	found, err := r.get(ctx, name, connection)
	allowed := connection.Spec.AllowedNamespaces
	if name == (types.NamespacedName{Namespace: r.OperatorNamespace, Name: defaultName}) && len(allowed) == 0 {
		allowed = []string{"*"} // as documented: it is there for all
		if err == nil && !found {
			return nil, condition.Problemf(v1beta1.ReasonConnectionNotFound,
				"there is no VaultConnection default in the operator's namespace %s: create it, or give spec.vaultConnectionRef", name.Namespace)
		}
	}
	switch {
	case err != nil:
		return nil, err
	case name.Namespace != namespace && (!found || !Allowed(allowed, name.Namespace, namespace, r.OperatorNamespace)):
		return nil, condition.Problemf(v1beta1.ReasonNamespaceNotAllowed,
			"VaultConnection %s does not allow namespace %s: add it to its spec.allowedNamespaces, or create one in %s", name, namespace, namespace)
	case !found:
		return nil, condition.Problemf(v1beta1.ReasonConnectionNotFound,
			"there is no VaultConnection %s in namespace %s: create it, or name another", name.Name, name.Namespace)
	}
	return connection, nil
}

func (r Resolver) login(ctx context.Context, auth *v1beta1.VaultAuth, namespace, account string) (vaultclient.Login, error) {
	all, err := r.settle(ctx, auth)
	if err != nil {
		return vaultclient.Login{}, err
	}
	login, err := credential(all.spec, namespace, account)
	if err != nil {
		return vaultclient.Login{}, &condition.Problem{Reason: reason(err), Message: fmt.Sprintf("VaultAuth %s/%s %v", auth.Namespace, auth.Name, err)}
	}
	connection, err := r.connection(ctx, all.connection, auth.Namespace)
	if err != nil {
		return vaultclient.Login{}, err
	}
	login.Server, err = r.Connections.Server(ctx, connection)
	return login, err
}

// errMethod says that a method is not supported; other errors of credential are about the spec.
var errMethod = errors.New("and this operator logs in with kubernetes, jwt or appRole only")

func reason(err error) string {
	if errors.Is(err, errMethod) {
		return v1beta1.ReasonMethodNotSupported
	}
	return v1beta1.ReasonInvalidSpec
}

// credential is pure: it gives the login of a spec that has inherited, for a resource of namespace, without its server.
func credential(spec v1beta1.VaultAuthSpec, namespace, account string) (vaultclient.Login, error) {
	login := vaultclient.Login{
		Method: spec.Method, Namespace: spec.Namespace, Params: spec.Params, ExtraHeaders: spec.Headers,
		Mount: cmp.Or(spec.Mount, strings.ToLower(spec.Method)),
	}
	within := func(name string) types.NamespacedName { return types.NamespacedName{Namespace: namespace, Name: name} }
	needs := func(field string) error {
		return fmt.Errorf("has method %s, and needs spec.%s.%s", spec.Method, spec.Method, field)
	}
	switch spec.Method {
	case v1beta1.MethodKubernetes:
		own := orZero(spec.Kubernetes)
		if own.Role == "" {
			return login, needs("role")
		}
		login.Role, login.Audiences, login.TokenExpirationSeconds = own.Role, own.Audiences, own.TokenExpirationSeconds
		login.ServiceAccount = within(cmp.Or(account, own.ServiceAccount, defaultAccount))
	case v1beta1.MethodJWT:
		own := orZero(spec.JWT)
		if own.Role == "" {
			return login, needs("role")
		}
		login.Role = own.Role
		if own.SecretRef != "" && account == "" {
			login.Secret, login.SecretKey = within(own.SecretRef), "jwt"
			return login, plain("spec.jwt.secretRef", own.SecretRef)
		}
		login.Audiences, login.TokenExpirationSeconds = own.Audiences, own.TokenExpirationSeconds
		login.ServiceAccount = within(cmp.Or(account, own.ServiceAccount, defaultAccount))
	case v1beta1.MethodAppRole:
		own := orZero(spec.AppRole)
		if own.RoleID == "" {
			return login, needs("roleId")
		}
		if own.SecretIDPath != "" {
			return login, errors.New("has spec.appRole.secretIDPath, a file, and this operator reads none that a resource names: put the secret id into a Secret as key id, and name it in secretRef")
		}
		login.Role = own.RoleID
		if own.SecretRef != "" {
			login.Secret, login.SecretKey = within(own.SecretRef), "id"
			return login, plain("spec.appRole.secretRef", own.SecretRef)
		}
	default:
		return login, fmt.Errorf("uses method %q, %w", spec.Method, errMethod)
	}
	return login, nil
}

// plain refuses a reference that could be read as one to another namespace.
func plain(field, name string) error {
	if len(path.IsValidPathSegmentName(name)) > 0 || strings.Contains(name, " ") {
		return fmt.Errorf("has %s %q, which must be the name of a Secret in the namespace of the resource that logs in", field, name)
	}
	return nil
}

// Inline gives the login that a VaultSecret of namespace spells out itself.
func Inline(namespace string, spec *v1beta1.VaultSecretServer, account string) vaultclient.Login {
	kubernetes := spec.Auth.Kubernetes
	return vaultclient.Login{
		Server: vaultclient.Server{
			Address: strings.TrimSuffix(spec.Address, "/"), SkipTLSVerify: spec.SkipTLSVerify, CACert: spec.CACert,
		},
		Method:    v1beta1.MethodKubernetes,
		Namespace: spec.Namespace,
		Mount:     cmp.Or(kubernetes.MountPath, v1beta1.MethodKubernetes),
		Role:      kubernetes.Role,
		ServiceAccount: types.NamespacedName{
			Namespace: namespace, Name: cmp.Or(account, kubernetes.ServiceAccount, defaultAccount),
		},
		Audiences: kubernetes.Audiences,
	}
}

// CheckGlobal finds what is wrong with global by itself: a default method that is not supported, or a VaultConnection
// that is not there. Errors are Problems.
func (r Resolver) CheckGlobal(ctx context.Context, global *v1beta1.VaultAuthGlobal) error {
	switch method := global.Spec.DefaultAuthMethod; method {
	case v1beta1.MethodAWS, v1beta1.MethodGCP:
		return condition.Problemf(v1beta1.ReasonMethodNotSupported, "defaultAuthMethod is %q, %v", method, errMethod)
	}
	if global.Spec.VaultConnectionRef == "" {
		return nil
	}
	_, err := r.connection(ctx, Ref(global.Namespace, global.Spec.VaultConnectionRef), global.Namespace)
	return err
}

// Permits is Allowed for an operator of this namespace.
func (r Resolver) Permits(list []string, owner, from string) bool {
	return Allowed(list, owner, from, r.OperatorNamespace)
}
