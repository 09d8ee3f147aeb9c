package pki

import (
	"crypto/x509"
	"fmt"
	"time"

	"strongroom/engine"
)

// lifetime is how long a certificate is asked to live, and may.
type lifetime struct {
	ttl      time.Duration // asked for; 0: usual
	until    string        // or the end that is asked for
	usual    time.Duration
	most     time.Duration // 0: no limit
	anyUntil bool          // until is not held to most: an operator says it
	before   time.Duration // the certificate begins so long before now
}

// lifetimeFields are the parameters of a certificate's life.
func lifetimeFields() []engine.Field {
	return []engine.Field{
		{Name: "ttl", Type: engine.Duration, Help: "How long the certificate lives."},
		{Name: "not_after", Help: "When the certificate ends: YYYY-MM-ddTHH:MM:SSZ."},
	}
}

// parseLifetime is the life that a request asks for, by the limits of its mount.
func parseLifetime(req *engine.Request) (lifetime, error) {
	l := lifetime{ttl: req.Data.Duration("ttl"), until: req.Data.String("not_after"), usual: req.Mount.DefaultTTL, most: req.Mount.MaxTTL, before: 30 * time.Second}
	if req.Data.Has("not_before_duration") {
		l.before = req.Data.Duration("not_before_duration")
	}
	if l.ttl != 0 && l.until != "" {
		return l, engine.Invalidf("Either ttl or not_after should be provided. Both should not be provided in the same request.")
	}
	return l, nil
}

// period is the life of a certificate that is made now, and what the caller should know of it.
func (l lifetime) period(now time.Time) (from, to time.Time, warnings []string, err error) {
	from = now.Add(-l.before)
	if l.until != "" {
		if to, err = time.Parse(time.RFC3339, l.until); err != nil {
			return from, to, nil, engine.Invalidf("unable to parse not_after: it must be of the form YYYY-MM-ddTHH:MM:SSZ")
		}
		if !to.After(now) {
			return from, to, nil, engine.Invalidf("not_after %s has passed", l.until)
		}
		if limit := now.Add(l.most); !l.anyUntil && l.most > 0 && to.After(limit) {
			warnings = append(warnings, fmt.Sprintf("not_after %s is later than the permitted maxTTL %s allows, so the latest permitted time is being used", l.until, l.most))
			to = limit
		}
		return from, to, warnings, nil
	}
	ttl := l.ttl
	if ttl == 0 {
		ttl = l.usual
	}
	if l.most > 0 && ttl > l.most {
		if l.ttl > 0 {
			warnings = append(warnings, fmt.Sprintf("TTL %s is longer than permitted maxTTL %s, so maxTTL is being used", ttl, l.most))
		}
		ttl = l.most
	}
	return from, now.Add(ttl), warnings, nil
}

// within sets the life of t, in whole seconds as certificates have it, and holds it to that of its issuer as behavior says.
func (l lifetime) within(t *x509.Certificate, parent *x509.Certificate, behavior string) (warnings []string, err error) {
	if t.NotBefore, t.NotAfter, warnings, err = l.period(time.Now().Truncate(time.Second)); err != nil {
		return nil, err
	}
	if parent == nil || !t.NotAfter.After(parent.NotAfter) {
		return warnings, nil
	}
	switch behavior {
	case outlivePermit:
	case outliveTruncate:
		t.NotAfter = parent.NotAfter
	default:
		return nil, engine.Invalidf("cannot satisfy request, as TTL would result in notAfter %s that is beyond the expiration of the CA certificate at %s",
			t.NotAfter.UTC().Format(time.RFC3339Nano), parent.NotAfter.UTC().Format(time.RFC3339Nano))
	}
	return warnings, nil
}
