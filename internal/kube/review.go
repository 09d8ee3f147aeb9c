package kube

import (
	"context"
	"errors"
	"net/http"
	"strings"
)

const maxReview = 1 << 20 // bytes of an answer

// ReviewPath is where TokenReviews are created.
const ReviewPath = "/apis/authentication.k8s.io/v1/tokenreviews"

// Keys of Review's Extra that name the pod a token is bound to.
// https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#tokenreview
const (
	ExtraPodName = "authentication.kubernetes.io/pod-name"
	ExtraPodUID  = "authentication.kubernetes.io/pod-uid"
)

// TokenReview is the part of authentication.k8s.io/v1 TokenReview that is used.
type TokenReview struct {
	APIVersion string     `json:"apiVersion"`
	Kind       string     `json:"kind"`
	Spec       ReviewSpec `json:"spec"`
	Status     Review     `json:"status"`
}

// ReviewSpec is the question of a TokenReview.
type ReviewSpec struct {
	Token     string   `json:"token"`
	Audiences []string `json:"audiences,omitempty"`
}

// Review is the API server's answer about a token. Authenticated is not enough
// by itself: an API server that knows nothing of audiences leaves Audiences empty.
type Review struct {
	Authenticated bool     `json:"authenticated"`
	User          User     `json:"user"`
	Audiences     []string `json:"audiences"`
	Error         string   `json:"error"` // may be shown once the token is cut out
}

// User is whose a token is.
type User struct {
	Username string              `json:"username"`
	UID      string              `json:"uid"`
	Extra    map[string][]string `json:"extra"`
}

// ReviewToken asks whose token is, for any of audiences (none: the API server's
// own). bearer is who asks, "" the client's own token. It needs the cluster role
// system:auth-delegator.
func (c *Client) ReviewToken(ctx context.Context, bearer, token string, audiences ...string) (Review, error) {
	in := TokenReview{APIVersion: "authentication.k8s.io/v1", Kind: "TokenReview", Spec: ReviewSpec{Token: token, Audiences: audiences}}
	var out TokenReview
	err := c.ask(ctx, question{method: http.MethodPost, path: ReviewPath, body: in, bearer: bearer, limit: maxReview, what: "create TokenReviews",
		role: "bind the cluster role system:auth-delegator to its service account"}, &out)
	return out.Status, err
}

// KeysPath is where an API server publishes the keys that sign its service accounts' tokens, a JSON Web Key Set (RFC 7517).
const KeysPath = "/openid/v1/jwks"

// ServiceAccountKeys decodes that key set into out. bearer is who asks, "" the client's own token. Every
// service account may, unless the cluster role system:service-account-issuer-discovery is bound otherwise.
func (c *Client) ServiceAccountKeys(ctx context.Context, bearer string, out any) error {
	return c.ask(ctx, question{method: http.MethodGet, path: KeysPath, accept: "application/jwk-set+json", bearer: bearer, limit: maxReview, what: "read the keys of service account tokens",
		role: "bind the cluster role system:service-account-issuer-discovery to its service account"}, out)
}

// Account is a service account.
type Account struct{ Namespace, Name string }

// ErrNotServiceAccount: a user is somebody else.
var ErrNotServiceAccount = errors.New("not the token of a service account")

// ParseUsername takes "system:serviceaccount:NAMESPACE:NAME" apart.
func ParseUsername(user string) (Account, error) {
	rest, ok := strings.CutPrefix(user, "system:serviceaccount:")
	namespace, name, two := strings.Cut(rest, ":")
	if !ok || !two || namespace == "" || name == "" || strings.Contains(name, ":") {
		return Account{}, ErrNotServiceAccount
	}
	return Account{Namespace: namespace, Name: name}, nil
}
