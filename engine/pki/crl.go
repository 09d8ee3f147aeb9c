package pki

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"strongroom/engine"
	"strongroom/internal/storage"
)

const (
	// crlPrefix: crl/<authority> is which list of revoked certificates an authority is at.
	crlPrefix = "crl/"
	// listedPrefix: listed/<authority>/<n, 16 digits hex>/<serial>-<Unix time, hex> says
	// that a certificate stands in the lists from number n on. The key says it all, so
	// that a list is made by going through keys, and a revocation adds one.
	listedPrefix = "listed/"

	crlExpiry  = 72 * time.Hour
	crlGrace   = 12 * time.Hour
	ocspExpiry = 12 * time.Hour
	crlEntries = 100_000
	dueCRL     = "crl/" // before an authority, in the due index
)

// listState is which list an authority is at. The list itself is made when it is
// asked for, of this and of the keys, and is the same whoever makes it.
type listState struct {
	Number int64 `json:"number"`
	Made   int64 `json:"made"`          // Unix, seconds
	Due    int64 `json:"due,omitempty"` // where it stands in the due index
}

// lists are those that were made last, by authority.
type lists struct {
	mu   sync.Mutex // held while a list is made: what many ask for is made once
	made map[string]madeList
}

// madeList is a list and what it was made of.
type madeList struct {
	state, config uint64 // versions
	issuer        string
	der           []byte
}

// lives is how long a list is good for.
func (c *crlConfig) lives() time.Duration { return orDefault(c.Expiry, crlExpiry) }

// renewed is how long after it was made a list is replaced by the next.
func (c *crlConfig) renewed() time.Duration {
	return c.lives() - min(orDefault(c.Grace, crlGrace), c.lives()/2)
}

// crlRoutes are the settings of lists, and their renewal.
func (b *backend) crlRoutes() []engine.Route {
	return []engine.Route{
		{Path: "config/crl", Help: "How lists of revoked certificates are made.", Fields: []engine.Field{
			{Name: "expiry", Type: engine.Duration, Help: "How long a list is good for; 72 h."},
			{Name: "disable", Type: engine.Bool, Help: "Lists are empty."},
			{Name: "ocsp_disable", Type: engine.Bool, Help: "Kept, without effect: there is no OCSP responder."},
			{Name: "ocsp_expiry", Type: engine.Duration, Help: "Kept, without effect."},
			{Name: "auto_rebuild", Type: engine.Bool, Help: "A revocation waits for the next list, instead of making one."},
			{Name: "auto_rebuild_grace_period", Type: engine.Duration, Help: "A list is renewed so long before it ends; 12 h."},
			{Name: "enable_delta", Type: engine.Bool, Help: "Refused: no delta lists are made."},
			{Name: "delta_rebuild_interval", Type: engine.Duration, Help: "Without effect."},
			{Name: "cross_cluster_revocation", Type: engine.Bool, Help: "Refused."}, {Name: "unified_crl", Type: engine.Bool, Help: "Refused."},
			{Name: "unified_crl_on_existing_paths", Type: engine.Bool, Help: "Refused."},
			{Name: "max_crl_entries", Type: engine.Int, Help: "Certificates that a list holds at the most; 100000; -1: no limit."},
		}, Answers: engine.Answers{engine.Read: crlInfo{}, engine.Update: crlInfo{}}, Read: b.readCRLConfig, Write: b.writeCRLConfig},
		{Path: "crl/rotate", Help: "Make new lists of revoked certificates.", Answers: engine.Answers{engine.Read: rotated{}, engine.Update: rotated{}}, Read: b.rotate, Write: b.rotate},
	}
}

func (c *crlConfig) describe() map[string]any {
	ocsp := ocspExpiry
	if c.OCSPExpiry != nil {
		ocsp = time.Duration(*c.OCSPExpiry) * time.Second
	}
	entries := c.MaxEntries
	if entries == 0 {
		entries = crlEntries
	}
	return map[string]any{"expiry": short(c.lives()), "disable": c.Disable, "ocsp_disable": c.OCSPDisable, "ocsp_expiry": short(ocsp), "auto_rebuild": c.AutoRebuild,
		"auto_rebuild_grace_period": short(orDefault(c.Grace, crlGrace)), "enable_delta": false, "delta_rebuild_interval": "15m", "cross_cluster_revocation": false,
		"unified_crl": false, "unified_crl_on_existing_paths": false, "max_crl_entries": entries}
}

// short is a duration as people write it: 72h, not 72h0m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func (b *backend) readCRLConfig(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	c, err := b.settings(ctx, req.Storage)
	if err != nil {
		return nil, err
	}
	return &engine.Response{Data: c.CRL.describe()}, nil
}

func (b *backend) writeCRLConfig(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	c, err := configure(ctx, req.Storage, func(c *config) error { return c.CRL.edit(req.Data) })
	if err != nil {
		return nil, err
	}
	return &engine.Response{Data: c.CRL.describe()}, b.renewAll(ctx, req, c)
}

// edit sets what d gives.
func (c *crlConfig) edit(d engine.Data) error {
	if d.Bool("enable_delta") {
		return errDelta
	}
	for _, name := range []string{"cross_cluster_revocation", "unified_crl", "unified_crl_on_existing_paths"} {
		if d.Bool(name) {
			return engine.Invalidf("%s cannot be enabled: all nodes of this server are one cluster, whose lists are complete", name)
		}
	}
	for name, at := range map[string]*bool{"disable": &c.Disable, "ocsp_disable": &c.OCSPDisable, "auto_rebuild": &c.AutoRebuild} {
		if d.Has(name) {
			*at = d.Bool(name)
		}
	}
	for name, at := range map[string]*int64{"expiry": &c.Expiry, "auto_rebuild_grace_period": &c.Grace} {
		if !d.Has(name) {
			continue
		}
		if *at = int64(d.Duration(name) / time.Second); *at < 1 {
			return engine.Invalidf("%s must be a second or more", name)
		}
	}
	if d.Has("ocsp_expiry") {
		seconds := int64(d.Duration("ocsp_expiry") / time.Second)
		c.OCSPExpiry = &seconds
	}
	if d.Has("max_crl_entries") {
		if c.MaxEntries = d.Int("max_crl_entries"); c.MaxEntries < -1 {
			return engine.Invalidf("max_crl_entries must be -1 (no limit), 0 (the default) or more")
		}
	}
	if c.AutoRebuild && orDefault(c.Grace, crlGrace) >= c.lives() {
		return engine.Invalidf("CRL auto-rebuilding grace period (%s) must be strictly shorter than CRL expiry (%s) value when auto-rebuilding of CRLs is enabled", orDefault(c.Grace, crlGrace), c.lives())
	}
	return nil
}

func (b *backend) rotate(ctx context.Context, req *engine.Request) (*engine.Response, error) {
	c, err := b.settings(ctx, req.Storage)
	if err != nil {
		return nil, err
	}
	return &engine.Response{Data: map[string]any{"success": true}}, b.renewAll(ctx, req, c)
}

// authorities are those of c whose keys are here.
func (b *backend) authorities(ctx context.Context, v storage.View, c *config) ([]string, error) {
	var out []string
	for n := range c.Issuers {
		if c.Issuers[n].Key == "" {
			continue
		}
		i, err := b.load(ctx, v, &c.Issuers[n])
		if err != nil {
			return nil, err
		}
		if a := i.authority(); !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	return out, nil
}

// listAll begins the lists of those authorities of c that have none.
func (b *backend) listAll(ctx context.Context, req *engine.Request, c *config) error {
	all, err := b.authorities(ctx, req.Storage, c)
	for _, a := range all {
		if version, verr := req.Storage.Version(ctx, crlPrefix+a); verr != nil {
			return verr
		} else if version == 0 {
			err = renew(ctx, req, c, a, true)
		}
	}
	return err
}

// renewAll makes new lists of all authorities of c.
func (b *backend) renewAll(ctx context.Context, req *engine.Request, c *config) error {
	all, err := b.authorities(ctx, req.Storage, c)
	for _, a := range all {
		if err := renew(ctx, req, c, a, true); err != nil {
			return err
		}
	}
	return err
}

// renew has an authority go on to its next list. A revocation leaves the place in the
// due index as it is (again is false): it is looked at when it comes.
func renew(ctx context.Context, req *engine.Request, c *config, authority string, again bool) error {
	var s listState
	if _, err := storage.GetJSON(ctx, req.Storage, crlPrefix+authority, &s); err != nil {
		return err
	}
	s.Number++
	s.Made = time.Now().Unix()
	if again || s.Due == 0 {
		s.schedule(req, c, authority)
	}
	return storage.PutJSON(req.Storage, crlPrefix+authority, &s)
}

// schedule puts the renewal of the list into the due index.
func (s *listState) schedule(req *engine.Request, c *config, authority string) {
	if s.Due != 0 {
		req.Due.Remove(s.Due, dueCRL+authority)
	}
	s.Due = time.Unix(s.Made, 0).Add(c.CRL.renewed()).Unix()
	req.Due.Add(s.Due, dueCRL+authority)
}

// expireList renews the list of an authority, whose time at has come.
func (b *backend) expireList(ctx context.Context, req *engine.Request, at int64, authority string) error {
	c, err := b.settings(ctx, req.Storage)
	if err != nil {
		return err
	}
	var s listState
	if _, err := storage.GetJSON(ctx, req.Storage, crlPrefix+authority, &s); err != nil || s.Due == 0 || s.Due > at {
		return err // it stands in the index for another time, or there is none
	}
	all, err := b.authorities(ctx, req.Storage, c)
	if err != nil {
		return err
	}
	s.Due = 0
	if slices.Contains(all, authority) {
		if now := time.Now().Unix(); time.Unix(s.Made, 0).Add(c.CRL.renewed()).Unix() <= now {
			s.Number, s.Made = s.Number+1, now
		}
		s.schedule(req, c, authority)
	}
	return storage.PutJSON(req.Storage, crlPrefix+authority, &s)
}

// list is the list of certificates that the authority of i has revoked, signed; nil
// if i cannot sign it.
func (b *backend) list(ctx context.Context, v storage.View, i *issuer) ([]byte, error) {
	if i.Key == "" || !slices.Contains(i.Usage, useCRL) {
		return nil, nil
	}
	authority := i.authority()
	state, err := v.Version(ctx, crlPrefix+authority)
	if err != nil {
		return nil, err
	}
	settings, err := v.Version(ctx, configPlace)
	if err != nil {
		return nil, err
	}
	b.lists.mu.Lock()
	defer b.lists.mu.Unlock()
	if l := b.lists.made[authority]; l.der != nil && l.state == state && l.config == settings && l.issuer == i.ID {
		return l.der, nil
	}
	der, err := b.makeList(ctx, v, i, authority)
	if err != nil {
		return nil, err
	}
	if _, err := v.Version(ctx, crlPrefix+authority); err != nil { // another list has begun meanwhile: the request runs again
		return nil, err
	}
	if b.lists.made == nil {
		b.lists.made = map[string]madeList{}
	}
	b.lists.made[authority] = madeList{state, settings, i.ID, der}
	return der, nil
}

// makeList makes the list that the authority of i is at.
func (b *backend) makeList(ctx context.Context, v storage.View, i *issuer, authority string) ([]byte, error) {
	c, err := b.settings(ctx, v)
	if err != nil {
		return nil, err
	}
	k, err := b.key(ctx, v, i.Key)
	if err != nil {
		return nil, err
	}
	var s listState
	if _, err := storage.GetJSON(ctx, v, crlPrefix+authority, &s); err != nil {
		return nil, err
	}
	t := &x509.RevocationList{Number: big.NewInt(s.Number), ThisUpdate: time.Unix(s.Made, 0).UTC()}
	t.NextUpdate = t.ThisUpdate.Add(c.CRL.lives())
	if t.SignatureAlgorithm, err = parseAlgorithm(i.Algorithm, k.Public()); err != nil {
		return nil, err
	}
	if !c.CRL.Disable {
		if t.RevokedCertificateEntries, err = listed(ctx, v, authority, s.Number, c.CRL.MaxEntries); err != nil {
			return nil, err
		}
	}
	signer := *i.cert
	if len(signer.SubjectKeyId) == 0 {
		if signer.SubjectKeyId, err = keyID(signer.PublicKey); err != nil {
			return nil, err
		}
	}
	signer.KeyUsage |= x509.KeyUsageCRLSign // one without key usages may sign all: RFC 5280, 4.2.1.3
	der, err := x509.CreateRevocationList(rand.Reader, t, &signer, k.Signer)
	if err != nil {
		return nil, fmt.Errorf("pki: sign a list of revoked certificates: %w", err)
	}
	return der, nil
}

// listed are the entries of the list with that number, at most so many (0: the usual
// limit, -1: none).
func listed(ctx context.Context, v storage.View, authority string, number, most int64) (out []x509.RevocationListEntry, err error) {
	if most == 0 {
		most = crlEntries
	}
	prefix := listedPrefix + authority + "/"
	for k, err := range v.Keys(ctx, prefix, "") {
		if err != nil {
			return nil, err
		}
		from, serial, at, err := parseListed(k[len(prefix):])
		if err != nil {
			return nil, err
		}
		if from > number {
			break
		}
		if most >= 0 && int64(len(out)) == most {
			return nil, engine.Errorf(engine.Internal, "more than %d certificates are revoked: raise max_crl_entries at config/crl, or have tidy remove those that have expired", most)
		}
		out = append(out, x509.RevocationListEntry{SerialNumber: serial, RevocationTime: time.Unix(at, 0).UTC()})
	}
	return out, nil
}

// listedKey is the key, below its authority's, of a revocation.
func listedKey(authority string, from int64, serial string, at int64) string {
	return fmt.Sprintf("%s%s/%016x/%s-%x", listedPrefix, authority, from, serial, at)
}

// parseListed reads what listedKey has put after the authority.
func parseListed(key string) (from int64, serial *big.Int, at int64, err error) {
	number, rest, ok := strings.Cut(key, "/")
	digits, when, ok2 := strings.Cut(rest, "-")
	from, err1 := strconv.ParseInt(number, 16, 64)
	raw, err2 := hex.DecodeString(digits)
	at, err3 := strconv.ParseInt(when, 16, 64)
	if !ok || !ok2 || err1 != nil || err2 != nil || err3 != nil {
		return 0, nil, 0, fmt.Errorf("pki: malformed key %q of a revoked certificate", key)
	}
	return from, new(big.Int).SetBytes(raw), at, nil
}
