// Package tlssecret owns the two Kubernetes Secrets from which a server's listeners get their TLS: a certificate with its key, and, apart from it,
// the certificate authority that issues it. It makes and renews both; it never replaces what somebody else has made, and serves nothing.
package tlssecret

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"strongroom/internal/kube"
)

// Keys of the Secrets. The first three are of type kubernetes.io/tls, in NAME; NAME-ca holds all authorities under caKey, and their keys.
const (
	certKey   = "tls.crt"
	keyKey    = "tls.key"
	caKey     = "ca.crt"
	caKeysKey = "ca.key"
)

// label says that this package has made a Secret, and may change it.
const label, labelValue = "app.kubernetes.io/managed-by", "strongroom-tls"

// attempts bounds how often a run begins again because another one was faster.
const attempts = 10

// Store keeps Secrets; *kube.Client is one.
type Store interface {
	Secret(ctx context.Context, namespace, name string) (*kube.Secret, error)
	PutSecret(ctx context.Context, s *kube.Secret) error
}

// Request says what there is to be.
type Request struct {
	Namespace, Name string
	Names           Names
	Valid           time.Duration // of a certificate
	RenewBefore     time.Duration // its end
	Force           bool          // renew even if it is good
}

// Result is what there is.
type Result struct {
	Cert    *x509.Certificate
	Reason  string // why it was made anew; "": it was good and stays
	Trusted int    // authorities in ca.crt
}

// ErrForeign: the Secret is there, and this program did not make it.
var ErrForeign = errors.New("tlssecret: there is such a Secret already, which was not made by this command: delete it, or choose another name")

// Ensure makes the Secrets of r true, and does nothing if they are. Several may do so at once: the API server's versions decide, and who is late
// begins again. A new authority is published in ca.crt for as long as r.RenewBefore before it issues anything, so that whoever copies ca.crt from
// time to time trusts it by then.
func Ensure(ctx context.Context, store Store, r Request) (Result, error) {
	var err error
	for attempt := range attempts {
		var out Result
		if out, err = ensure(ctx, store, r, time.Now()); !errors.Is(err, kube.ErrConflict) {
			return out, err
		}
		select {
		case <-ctx.Done():
			return Result{}, ctx.Err()
		case <-time.After(rand.N(100*time.Millisecond) << min(attempt, 5)):
		}
	}
	return Result{}, fmt.Errorf("tlssecret: others change the Secret all the time: %w", err)
}

func ensure(ctx context.Context, store Store, r Request, now time.Time) (Result, error) {
	leaf, err := own(ctx, store, r.Namespace, r.Name, "kubernetes.io/tls")
	if err != nil {
		return Result{}, err
	}
	authorities, err := ensureAuthorities(ctx, store, r, now)
	if err != nil {
		return Result{}, err
	}
	trusted := make([]*x509.Certificate, 0, len(authorities))
	for _, a := range authorities {
		trusted = append(trusted, a.cert)
	}
	// An authority whose key was lost is trusted until its end: there may be servers that still show what it issued.
	before, _, _ := parse(leaf.Data[caKey])
	for _, c := range before {
		if c.IsCA && now.Before(c.NotAfter) && !slices.ContainsFunc(trusted, c.Equal) {
			trusted = append(trusted, c)
		}
	}
	out := Result{Trusted: len(trusted)}
	bundle := certPEM(trusted...)
	if out.Cert, out.Reason = judge(leaf, authorities, r, now); out.Reason == "" && bytes.Equal(bundle, leaf.Data[caKey]) {
		return out, nil
	}
	leaf.Data[caKey] = bundle
	if out.Reason != "" {
		var key *ecdsa.PrivateKey
		if out.Cert, key, err = issuer(authorities, r, now).issue(r.Names, now, r.Valid); err != nil {
			return Result{}, err
		}
		leaf.Data[certKey] = certPEM(out.Cert)
		if leaf.Data[keyKey], err = keyPEM(key); err != nil {
			return Result{}, err
		}
	}
	return out, store.PutSecret(ctx, leaf)
}

// own reads a Secret of this package's, or begins a new one.
func own(ctx context.Context, store Store, namespace, name, kind string) (*kube.Secret, error) {
	s, err := store.Secret(ctx, namespace, name)
	switch {
	case errors.Is(err, kube.ErrNotFound):
		return &kube.Secret{Namespace: namespace, Name: name, Type: kind, Labels: map[string]string{label: labelValue}, Data: map[string][]byte{}}, nil
	case err != nil:
		return nil, err
	case s.Labels[label] != labelValue:
		return nil, fmt.Errorf("%w: %s/%s", ErrForeign, namespace, name)
	}
	if s.Data == nil {
		s.Data = map[string][]byte{}
	}
	return s, nil
}

// judge is the certificate in leaf, and why it has to be made anew.
func judge(leaf *kube.Secret, authorities []*authority, r Request, now time.Time) (*x509.Certificate, string) {
	certs, _, err := parse(leaf.Data[certKey])
	if len(leaf.Data[certKey]) == 0 {
		return nil, "there was none"
	}
	_, keys, keyErr := parse(leaf.Data[keyKey])
	if err != nil || keyErr != nil || len(certs) != 1 || len(keys) != 1 || !keys[0].PublicKey.Equal(certs[0].PublicKey) {
		return nil, "the old one was damaged"
	}
	c := certs[0]
	switch {
	case !slices.ContainsFunc(authorities, func(a *authority) bool { return c.CheckSignatureFrom(a.cert) == nil }):
		return c, "its authority is gone"
	case !r.Names.covers(c):
		return c, "the names have changed"
	case !now.Before(c.NotAfter.Add(-r.RenewBefore)):
		return c, "the old one ends on " + c.NotAfter.UTC().Format(time.DateOnly)
	case r.Force:
		return c, "asked for"
	}
	return c, ""
}

// ensureAuthorities is the authorities that live, the oldest first; at least one will for long enough.
func ensureAuthorities(ctx context.Context, store Store, r Request, now time.Time) ([]*authority, error) {
	s, err := own(ctx, store, r.Namespace, r.Name+"-ca", "Opaque")
	if err != nil {
		return nil, err
	}
	certs, _, err := parse(s.Data[caKey])
	_, keys, keyErr := parse(s.Data[caKeysKey])
	if err = errors.Join(err, keyErr); err != nil || len(certs) != len(keys) {
		return nil, fmt.Errorf("tlssecret: the Secret %s/%s is damaged: delete it, and clients will need the new ca.crt of %s", r.Namespace, s.Name, r.Name)
	}
	var all []*authority
	for i, c := range certs {
		if now.Before(c.NotAfter) && keys[i].PublicKey.Equal(c.PublicKey) {
			all = append(all, &authority{c, keys[i]})
		}
	}
	if n := len(all); n > 0 && all[n-1].cert.NotAfter.Sub(now) >= caSpare*r.Valid && n == len(certs) {
		return all, nil
	}
	if n := len(all); n == 0 || all[n-1].cert.NotAfter.Sub(now) < caSpare*r.Valid {
		next, err := newAuthority(r.Namespace+"/"+r.Name+" CA", now, caLives*r.Valid)
		if err != nil {
			return nil, err
		}
		all = append(all, next)
	}
	s.Data[caKey], s.Data[caKeysKey] = nil, nil
	for _, a := range all {
		key, err := keyPEM(a.key)
		if err != nil {
			return nil, err
		}
		s.Data[caKey] = append(s.Data[caKey], certPEM(a.cert)...)
		s.Data[caKeysKey] = append(s.Data[caKeysKey], key...)
	}
	return all, store.PutSecret(ctx, s)
}

// issuer is the newest authority that has been published for long enough, or, where nothing else issues a whole certificate, the newest.
func issuer(all []*authority, r Request, now time.Time) *authority {
	for _, a := range slices.Backward(all) {
		if now.Sub(a.cert.NotBefore) >= r.RenewBefore && a.cert.NotAfter.Sub(now) >= r.Valid {
			return a
		}
	}
	for _, a := range all { // none is old enough: the oldest is trusted by most
		if a.cert.NotAfter.Sub(now) >= r.Valid {
			return a
		}
	}
	return all[len(all)-1]
}
