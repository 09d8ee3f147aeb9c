package vaultpkisecret

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"strongroom/api/v1beta1"
	"strongroom/operator/condition"
	"strongroom/operator/source"
)

const (
	leastWait = time.Second
	longest   = 24 * time.Hour // between two looks at a certificate that is good for years
)

func trim(path string) string { return strings.Trim(path, "/") }

// issuePath is where the role issues.
func issuePath(spec *v1beta1.VaultPKISecretSpec) string {
	if spec.IssuerRef != "" {
		return trim(spec.Mount) + "/issuer/" + trim(spec.IssuerRef) + "/issue/" + trim(spec.Role)
	}
	return trim(spec.Mount) + "/issue/" + trim(spec.Role)
}

// checkPaths finds what makes the path another one than it reads like. Errors are Problems: InvalidSpec.
func checkPaths(spec *v1beta1.VaultPKISecretSpec) error {
	err := errors.Join(source.CheckPath("spec.mount", spec.Mount), source.CheckPath("spec.role", spec.Role))
	if spec.IssuerRef != "" {
		err = errors.Join(err, source.CheckPath("spec.issuerRef", spec.IssuerRef))
	}
	return err
}

// issuedAt is the mount that issued the certificate at hand, though the spec may name another by now.
func issuedAt(pki *v1beta1.VaultPKISecret) string {
	path := pki.Status.SourcePath
	at := strings.LastIndex(path, "/issue/")
	if at < 0 || path == issuePath(&pki.Spec) {
		return trim(pki.Spec.Mount)
	}
	mount := path[:at]
	if at := strings.LastIndex(mount, "/issuer/"); at >= 0 {
		mount = mount[:at]
	}
	return mount
}

// request is the body of the request: what the spec names, and no more, so that the role's own defaults hold.
func request(spec *v1beta1.VaultPKISecretSpec) map[string]any {
	body := map[string]any{"remove_roots_from_chain": true}
	for name, value := range map[string]string{
		"common_name": spec.CommonName, "ttl": spec.TTL, "format": spec.Format,
		"private_key_format": spec.PrivateKeyFormat, "not_after": spec.NotAfter,
		"alt_names": strings.Join(spec.AltNames, ","), "ip_sans": strings.Join(spec.IPSans, ","),
		"uri_sans": strings.Join(spec.URISans, ","), "other_sans": strings.Join(spec.OtherSans, ","),
		"user_ids": strings.Join(spec.UserIDs, ","),
	} {
		if value != "" {
			body[name] = value
		}
	}
	if spec.ExcludeCNFromSans {
		body["exclude_cn_from_sans"] = true
	}
	return body
}

// issued is a certificate as the server gave it. It must not be logged.
type issued struct {
	serial               string
	expiration           int64 // seconds since 1970
	certificate, key, ca string
	chain                []string
}

// GoString keeps %#v from printing the key.
func (i *issued) GoString() string { return "certificate " + i.serial }

// String keeps %v from printing the key.
func (i *issued) String() string { return i.GoString() }

// parse reads the answer. One that lacks what makes it a certificate is none. Errors are Problems: InvalidSpec.
func parse(data map[string]any) (*issued, error) {
	text := func(name string) string { value, _ := data[name].(string); return value }
	found := &issued{serial: text("serial_number"), certificate: text("certificate"), key: text("private_key"), ca: text("issuing_ca")}
	if number, ok := data["expiration"].(json.Number); ok {
		found.expiration, _ = number.Int64()
	}
	if chain, ok := data["ca_chain"].([]any); ok {
		for _, each := range chain {
			if certificate, ok := each.(string); ok {
				found.chain = append(found.chain, certificate)
			}
		}
	}
	if found.serial == "" || found.certificate == "" || found.key == "" || found.expiration == 0 {
		return nil, condition.Problemf(v1beta1.ReasonInvalidSpec,
			"the server's answer lacks serial_number, certificate, private_key or expiration: see that spec.mount is a PKI engine and spec.role issues")
	}
	return found, nil
}

// addTLS adds the keys of a kubernetes.io/tls Secret: the certificate with its chain, or the issuer where there is none.
func (i *issued) addTLS(kind corev1.SecretType, data map[string][]byte) {
	if kind != corev1.SecretTypeTLS {
		return
	}
	parts := []string{i.certificate}
	if len(i.chain) > 0 {
		parts = append(parts, i.chain...)
	} else if i.ca != "" {
		parts = append(parts, i.ca)
	}
	for at, part := range parts {
		parts[at] = strings.TrimSpace(part)
	}
	data[corev1.TLSCertKey] = []byte(strings.Join(parts, "\n"))
	data[corev1.TLSPrivateKeyKey] = []byte(i.key)
}

// goodFor is pure: how long the certificate needs no other; 0 if one is due. Without an offset it is replaced when a
// tenth of its time is left.
func goodFor(pki *v1beta1.VaultPKISecret, intact bool, offset time.Duration, now time.Time) time.Duration {
	status := &pki.Status
	if !intact || status.SerialNumber == "" {
		return 0
	}
	end, start := time.Unix(status.Expiration, 0), time.Unix(status.LastRotation, 0)
	if whole := end.Sub(start); offset <= 0 || offset >= whole { // an offset as long as its time would replace it without end
		offset = whole / 10
	}
	return min(max(end.Add(-offset).Sub(now), 0), longest)
}
