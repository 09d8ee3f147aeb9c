package pki

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"strongroom/engine"
	"strongroom/internal/storage"
)

// issuerPrefix: issuer/<id> is an issuerRecord.
const issuerPrefix = "issuer/"

// What an issuer may be used for; reading it is always allowed.
const (
	readOnly    = "read-only"
	useIssuing  = "issuing-certificates"
	useCRL      = "crl-signing"
	useOCSP     = "ocsp-signing"
	usagesKnown = readOnly + "," + useIssuing + "," + useCRL + "," + useOCSP
)

// What happens to a certificate that would outlive its issuer.
const (
	outliveErr      = "err"
	outliveAlways   = "always_enforce_err" // also where CA certificates are truncated
	outliveTruncate = "truncate"
	outlivePermit   = "permit"
)

// issuerRecord is an issuer as stored, beside its entry. One that the cache gives is shared.
type issuerRecord struct {
	Certificate []byte   `json:"certificate"` // DER
	Outlive     string   `json:"leaf_not_after_behavior"`
	ManualChain []string `json:"manual_chain,omitempty"` // IDs; empty: who signed whom is found
	Usage       []string `json:"usage"`
	Algorithm   string   `json:"revocation_signature_algorithm,omitempty"`
	URLs        urls     `json:"urls,omitzero"`    // empty: the mount's
	Revoked     int64    `json:"revoked,omitzero"` // Unix, seconds

	cert *x509.Certificate
	pem  string
}

// issuer is an issuer and what it is called.
type issuer struct {
	issuerEntry
	*issuerRecord
}

func decodeIssuer(b []byte) (*issuerRecord, error) {
	i := &issuerRecord{}
	if err := json.Unmarshal(b, i); err != nil {
		return nil, err
	}
	var err error
	i.cert, err = x509.ParseCertificate(i.Certificate)
	i.pem = pemText("CERTIFICATE", i.Certificate)
	return i, err
}

// noIssuer says that ref names no issuer.
func noIssuer(ref string) error {
	if ref == "default" {
		return engine.Invalidf("no default issuer currently configured: make or import one, or name one at config/issuers")
	}
	return engine.Invalidf("unable to find PKI issuer for reference: %s", ref)
}

// issuer returns the issuer that ref names, or an error that says there is none.
func (b *backend) issuer(ctx context.Context, v storage.View, ref string) (*issuer, error) {
	c, err := b.settings(ctx, v)
	if err != nil {
		return nil, err
	}
	e := c.issuer(ref)
	if e == nil {
		return nil, noIssuer(ref)
	}
	return b.load(ctx, v, e)
}

// load is the issuer of an entry.
func (b *backend) load(ctx context.Context, v storage.View, e *issuerEntry) (*issuer, error) {
	r, err := cachedAt(ctx, b.issuers, v, issuerPrefix+e.ID, decodeIssuer)
	if err == nil && r == nil {
		err = fmt.Errorf("pki: issuer %s is missing", e.ID)
	}
	return &issuer{*e, r}, err
}

// chain is i and who signed it, as far as this mount has them.
func (b *backend) chain(ctx context.Context, v storage.View, i *issuer) ([]*issuer, error) {
	c, err := b.settings(ctx, v)
	if err != nil {
		return nil, err
	}
	out := make([]*issuer, 0, len(i.Chain))
	for _, id := range i.Chain {
		e := c.issuer(id)
		if e == nil {
			continue // of a manual chain, it may have been deleted
		}
		each, err := b.load(ctx, v, e)
		if err != nil {
			return nil, err
		}
		out = append(out, each)
	}
	return out, nil
}

// may says whether i may be used for usage.
func (i *issuer) may(usage string) bool { return slices.Contains(i.Usage, usage) && i.Revoked == 0 }

// authority names who i is to those who verify: issuers of one subject and one key
// are one authority, whose revoked certificates stand in one list.
func (r *issuerRecord) authority() string {
	sum := sha256.Sum256(append(slices.Clip(r.cert.RawSubject), r.cert.RawSubjectPublicKeyInfo...))
	return hex.EncodeToString(sum[:authoritySize])
}

const authoritySize = 16 // bytes of a name of an authority

// selfSigned says whether c is by its own subject and key.
func selfSigned(c *x509.Certificate) bool {
	return bytes.Equal(c.RawSubject, c.RawIssuer) && c.CheckSignatureFrom(c) == nil
}

// addIssuer writes an issuer into c, which has yet to be saved: its name has been checked.
func (c *config) addIssuer(v storage.View, cert *x509.Certificate, name string) (*issuer, error) {
	public, err := fingerprint(cert.PublicKey)
	if err != nil {
		return nil, err
	}
	e := issuerEntry{ID: uuid.NewString(), Name: name, Print: public}
	e.Chain = []string{e.ID}
	if k := c.keyOf(public); k != nil {
		e.Key = k.ID
	}
	r := &issuerRecord{Certificate: cert.Raw, Outlive: outliveErr, Usage: strings.Split(usagesKnown, ","), cert: cert, pem: pemText("CERTIFICATE", cert.Raw)}
	if cert.KeyUsage != 0 && cert.KeyUsage&x509.KeyUsageCRLSign == 0 {
		r.Usage = []string{readOnly, useIssuing, useOCSP}
	}
	c.Issuers = append(c.Issuers, e)
	return &issuer{e, r}, storage.PutJSON(v, issuerPrefix+e.ID, r)
}

// prefer makes i the default where the settings want that: it is the first with a
// key, or the latest is to be the default.
func (c *config) prefer(i *issuer) {
	if i.Key != "" && (c.DefaultIssuer == "" || c.FollowLatest) {
		c.DefaultIssuer = i.ID
	}
}

// rechain finds anew who signed whom, in c, which has yet to be saved.
func (b *backend) rechain(ctx context.Context, v storage.View, c *config) error {
	all := make([]*issuer, len(c.Issuers))
	for i := range c.Issuers {
		var err error
		if all[i], err = b.load(ctx, v, &c.Issuers[i]); err != nil {
			return err
		}
	}
	for n, i := range all {
		c.Issuers[n].Chain = slices.Clone(i.ManualChain)
		if len(i.ManualChain) == 0 {
			c.Issuers[n].Chain = chainOf(i, all)
		}
	}
	return nil
}

// chainOf is the way from i up to a root, or as far as all goes. Of two that have
// signed one of its links, that which is a root is taken, else that which lasts longer.
func chainOf(i *issuer, all []*issuer) []string {
	ids := []string{i.ID}
	for !selfSigned(i.cert) {
		var next *issuer
		for _, p := range all {
			if !bytes.Equal(p.cert.RawSubject, i.cert.RawIssuer) || slices.Contains(ids, p.ID) || i.cert.CheckSignatureFrom(p.cert) != nil {
				continue
			}
			if next == nil || better(p.cert, next.cert) {
				next = p
			}
		}
		if next == nil {
			break
		}
		ids = append(ids, next.ID)
		i = next
	}
	return ids
}

// better says whether p is a better parent than q.
func better(p, q *x509.Certificate) bool {
	if a, b := selfSigned(p), selfSigned(q); a != b {
		return a
	}
	return p.NotAfter.After(q.NotAfter)
}

// change has edit change the record of the issuer that req names, and what c says of
// it, and saves both.
func (b *backend) change(ctx context.Context, req *engine.Request, edit func(c *config, e *issuerEntry, r *issuerRecord) error) (*issuer, error) {
	var changed *issuer
	_, err := configure(ctx, req.Storage, func(c *config) error {
		name := req.Data.String("issuer_ref")
		e := c.issuer(name)
		if e == nil {
			return noIssuer(name)
		}
		shared, err := b.load(ctx, req.Storage, e)
		if err != nil {
			return err
		}
		r := *shared.issuerRecord
		if err := edit(c, e, &r); err != nil {
			return err
		}
		if err := storage.PutJSON(req.Storage, issuerPrefix+e.ID, &r); err != nil {
			return err
		}
		if err := b.rechain(ctx, req.Storage, c); err != nil {
			return err
		}
		changed = &issuer{*e, &r}
		return nil
	})
	return changed, err
}

// describe is i in the form of the API.
func (b *backend) describe(ctx context.Context, v storage.View, i *issuer) (map[string]any, error) {
	chain, err := b.chain(ctx, v, i)
	if err != nil {
		return nil, err
	}
	usage := slices.Clone(i.Usage)
	slices.SortFunc(usage, func(a, b string) int { return strings.Index(usagesKnown, a) - strings.Index(usagesKnown, b) })
	data := i.URLs.describe("enable_aia_url_templating")
	for name, value := range map[string]any{
		"issuer_id": i.ID, "issuer_name": i.Name, "key_id": i.Key, "certificate": i.pem, "ca_chain": pems(chain),
		"manual_chain": i.ManualChain, "leaf_not_after_behavior": i.Outlive, "usage": strings.Join(usage, ","),
		"revocation_signature_algorithm": i.Algorithm, "revoked": i.Revoked != 0,
	} {
		data[name] = value
	}
	if i.Revoked != 0 {
		data["revocation_time"], data["revocation_time_rfc3339"] = i.Revoked, time.Unix(i.Revoked, 0).UTC().Format(time.RFC3339Nano)
	}
	return data, nil
}

// pems are the certificates of issuers.
func pems(chain []*issuer) []string {
	out := make([]string, len(chain))
	for n, i := range chain {
		out[n] = i.pem
	}
	return out
}
