package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"

	"strongroom/engine"
	"strongroom/internal/kube"
)

const (
	keysFresh = time.Hour // after which the cluster's keys are asked for again
	// keysKept is how long they count while the API server cannot be asked: logins outlast its outage, a key that was withdrawn does not last for ever.
	keysKept = 24 * time.Hour
	// keysPause is the least time between two questions: anybody can send tokens that name a key nobody knows.
	keysPause = 5 * time.Second
)

// published are the keys with which a cluster signs its service accounts' tokens.
type published struct {
	version uint64 // of the configuration
	set     jose.JSONWebKeySet
	at      time.Time // of the answer
	asked   time.Time // of the last question
}

// verify says whose c is by its signature alone, where the configuration wants that. What the API server would know beside, that the account or
// its pod are gone, shows only when the token ends; so one that never ends is refused.
func (m *Method) verify(ctx context.Context, conf *config, version uint64, c *claims, r *role, now time.Time) (account, error) {
	if c.Expiry == nil {
		return account{}, engine.Errorf(engine.Denied, "permission denied: the jwt never expires, and local_token_verification takes none of those; log in with a token that Kubernetes renews")
	}
	if c.NotBefore != nil && now.Add(leeway).Before(c.NotBefore.Time()) {
		return account{}, engine.Errorf(engine.Denied, "permission denied: the jwt is not valid before %s; check the clocks", c.NotBefore.Time().UTC().Format(time.RFC3339))
	}
	// The API server's own audience is its issuer, unless it was told otherwise (--api-audiences).
	if r.Audience == "" && !slices.Contains(c.Audience, c.Issuer) {
		return account{}, engine.Errorf(engine.Denied, "invalid audience (aud) claim: the jwt was made for somebody else than its issuer; give the role an audience")
	}
	if a, err := kube.ParseUsername(c.Subject); err != nil || a.Namespace != c.Namespace || a.Name != c.Name || c.UID == "" {
		return account{}, engine.Errorf(engine.Denied, "permission denied: the jwt is not a service account token")
	}
	if len(conf.keys) > 0 { // check has found the one that signed it
		return c.account, nil
	}
	for _, again := range []bool{false, true} {
		set, err := m.published(ctx, conf, version, c.text, again)
		if err != nil {
			return account{}, err
		}
		for _, k := range set.Keys {
			if len(c.token.Headers) == 1 && k.KeyID == c.token.Headers[0].KeyID && k.IsPublic() && c.signedBy(k.Key) {
				return c.account, nil
			}
		}
	}
	return account{}, engine.Errorf(engine.Denied, "permission denied: none of the cluster's keys has signed the jwt; it may be forged, or of another cluster")
}

// published returns the cluster's keys, at most keysFresh old if it can be asked, or with again at most keysPause old. Logins at the same time share one question.
func (m *Method) published(ctx context.Context, conf *config, version uint64, jwt string, again bool) (jose.JSONWebKeySet, error) {
	m.mu.Lock()
	k := m.keys
	m.mu.Unlock()
	known := k != nil && k.version == version
	limit := keysFresh
	if again {
		limit = keysPause
	}
	if known && (time.Since(k.at) < limit || time.Since(k.asked) < keysPause) && time.Since(k.at) < keysKept {
		return k.set, nil
	}
	shared := context.WithoutCancel(ctx) // others may wait for it
	answer := m.reviews.DoChan(fmt.Sprintf("keys %d", version), func() (any, error) {
		ctx, cancel := context.WithTimeout(shared, m.timeout)
		defer cancel()
		return m.askKeys(ctx, conf, version, jwt)
	})
	select {
	case a := <-answer:
		if a.Err == nil {
			return a.Val.(jose.JSONWebKeySet), nil
		}
		if known && time.Since(k.at) < keysKept {
			return k.set, nil
		}
		return jose.JSONWebKeySet{}, a.Err
	case <-ctx.Done():
		return jose.JSONWebKeySet{}, context.Cause(ctx)
	}
}

// askKeys asks the API server, and keeps what it answers.
func (m *Method) askKeys(ctx context.Context, conf *config, version uint64, jwt string) (jose.JSONWebKeySet, error) {
	c := m.clientFor(conf, version)
	reviewer, whose, err := m.reviewer(conf, jwt)
	if err != nil {
		return jose.JSONWebKeySet{}, err
	}
	now := time.Now()
	var set jose.JSONWebKeySet
	err = c.ServiceAccountKeys(ctx, string(reviewer), &set)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil {
		if m.keys != nil && m.keys.version == version {
			kept := *m.keys
			kept.asked = now
			m.keys = &kept
		}
		return set, m.explainKeys(conf.Host, whose, err)
	}
	m.keys = &published{version: version, set: set, at: now, asked: now}
	return set, nil
}

// explainKeys is explain for what askKeys asks.
func (m *Method) explainKeys(host string, w whose, err error) error {
	if refused, ok := errors.AsType[*kube.StatusError](err); ok && refused.Status == http.StatusForbidden {
		return engine.Errorf(engine.Upstream, "lookup failed: %s does not let this server read the keys of service account tokens; %s, or give them as pem_keys", host, refused.Role)
	}
	if errors.Is(err, kube.ErrNotKube) {
		return &engine.Error{Kind: engine.Upstream, Err: err, Text: "lookup failed: " + host + kube.KeysPath + " did not answer with keys; check that kubernetes_host is a Kubernetes API server"}
	}
	return m.explain(host, w, err)
}
