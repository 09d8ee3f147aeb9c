package vaultauth

import (
	"cmp"
	"maps"

	"strongroom/api/v1beta1"
)

// inherit is pure: it gives auth's spec with what it leaves out taken from global, nil for none. The VaultAuth's own
// settings win, then the global's for the method, then the global's defaults. Of allowedNamespaces nothing is
// inherited: who may use a VaultAuth is said by itself only.
func inherit(auth v1beta1.VaultAuthSpec, global *v1beta1.VaultAuthGlobalSpec) v1beta1.VaultAuthSpec {
	spec := *auth.DeepCopy()
	if global == nil {
		spec.Method = cmp.Or(spec.Method, v1beta1.MethodKubernetes)
		return spec
	}
	global = global.DeepCopy()
	spec.Method = cmp.Or(spec.Method, global.DefaultAuthMethod, v1beta1.MethodKubernetes)
	var method v1beta1.GlobalAuth
	switch spec.Method {
	case v1beta1.MethodKubernetes:
		if from := global.Kubernetes; from != nil {
			method = from.GlobalAuth
			own := orZero(spec.Kubernetes)
			spec.Kubernetes = &v1beta1.KubernetesAuth{
				Role:                   cmp.Or(own.Role, from.Role),
				ServiceAccount:         cmp.Or(own.ServiceAccount, from.ServiceAccount),
				Audiences:              orList(own.Audiences, from.Audiences),
				TokenExpirationSeconds: cmp.Or(own.TokenExpirationSeconds, from.TokenExpirationSeconds),
			}
		}
	case v1beta1.MethodJWT:
		if from := global.JWT; from != nil {
			method = from.GlobalAuth
			spec.JWT = inheritJWT(orZero(spec.JWT), from.JWTAuth)
		}
	case v1beta1.MethodAppRole:
		if from := global.AppRole; from != nil {
			method = from.GlobalAuth
			own := orZero(spec.AppRole)
			merged := v1beta1.AppRoleAuth{RoleID: cmp.Or(own.RoleID, from.RoleID), SecretRef: cmp.Or(own.SecretRef, from.SecretRef), SecretIDPath: own.SecretIDPath}
			if own.SecretRef == "" { // which excludes a path
				merged.SecretIDPath = cmp.Or(own.SecretIDPath, from.SecretIDPath)
			}
			spec.AppRole = &merged
		}
	}
	spec.Mount = cmp.Or(spec.Mount, method.Mount, global.DefaultMount)
	spec.Namespace = cmp.Or(spec.Namespace, method.Namespace, global.DefaultVaultNamespace)
	strategy := v1beta1.MergeStrategy{}
	if ref := auth.VaultAuthGlobalRef; ref != nil && ref.MergeStrategy != nil {
		strategy = *ref.MergeStrategy
	}
	spec.Headers = merge(strategy.Headers, spec.Headers, method.Headers, global.Headers)
	spec.Params = merge(strategy.Params, spec.Params, method.Params, global.Params)
	return spec
}

// inheritJWT takes a way to get the token, a Secret or a service account, as a whole: one that names a service account
// must not get a global's secretRef, which would win.
func inheritJWT(own, from v1beta1.JWTAuth) *v1beta1.JWTAuth {
	merged := &v1beta1.JWTAuth{
		Role:                   cmp.Or(own.Role, from.Role),
		SecretRef:              own.SecretRef,
		ServiceAccount:         own.ServiceAccount,
		Audiences:              orList(own.Audiences, from.Audiences),
		TokenExpirationSeconds: cmp.Or(own.TokenExpirationSeconds, from.TokenExpirationSeconds),
	}
	if own.SecretRef == "" && own.ServiceAccount == "" {
		merged.SecretRef, merged.ServiceAccount = from.SecretRef, from.ServiceAccount
	}
	return merged
}

// merge merges headers or params, given from the most particular to the most general.
func merge(strategy string, own map[string]string, inherited ...map[string]string) map[string]string {
	switch strategy {
	case v1beta1.MergeUnion:
		union := make(map[string]string)
		for i := len(inherited) - 1; i >= 0; i-- {
			maps.Copy(union, inherited[i])
		}
		maps.Copy(union, own)
		return union
	case v1beta1.MergeReplace:
		for _, some := range append([]map[string]string{own}, inherited...) {
			if len(some) > 0 {
				return some
			}
		}
	}
	return own
}

func orZero[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

func orList(own, from []string) []string {
	if len(own) > 0 {
		return own
	}
	return from
}
