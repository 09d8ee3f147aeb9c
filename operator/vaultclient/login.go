package vaultclient

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	vault "github.com/hashicorp/vault/api"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"strongroom/api/v1beta1"
	"strongroom/operator/condition"
)

const (
	minTokenSeconds = 600       // the API server's least
	unknownTTL      = time.Hour // how long a token is used that says it never ends
)

// ServiceAccountTokens issues tokens with Kubernetes' TokenRequest.
func ServiceAccountTokens(kube client.Client) TokenSource {
	return func(ctx context.Context, login Login) (string, error) {
		account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{
			Namespace: login.ServiceAccount.Namespace, Name: login.ServiceAccount.Name,
		}}
		seconds := max(login.TokenExpirationSeconds, minTokenSeconds)
		request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
			Audiences: login.Audiences, ExpirationSeconds: &seconds,
		}}
		err := kube.SubResource("token").Create(ctx, account, request)
		switch {
		case apierrors.IsNotFound(err):
			return "", condition.Problemf(v1beta1.ReasonServiceAccountNotFound,
				"there is no service account %s in namespace %s: create it, or name another", account.Name, account.Namespace)
		case apierrors.IsInvalid(err):
			return "", condition.Problemf(v1beta1.ReasonInvalidSpec,
				"the API server issues no such token of service account %s/%s: %v", account.Namespace, account.Name, err)
		case err != nil:
			return "", fmt.Errorf("request a token of service account %s: %w", login.ServiceAccount, err)
		}
		return request.Status.Token, nil
	}
}

// login makes a new session. Errors are Problems: LoginFailed, MountNotFound, and those of the token source and of
// the connection.
func (p *Pool) login(ctx context.Context, login Login) (*session, error) {
	client, err := p.connect(login.Server, login.Namespace, login.ExtraHeaders)
	if err != nil {
		return nil, err
	}
	jwt, err := p.tokens(ctx, login)
	if err != nil {
		return nil, err
	}
	body := make(map[string]any, len(login.Params)+2)
	for name, value := range login.Params {
		body[name] = value
	}
	body["role"], body["jwt"] = login.Role, jwt
	mount := strings.Trim(login.Mount, "/")
	secret, err := client.Logical().WriteWithContext(ctx, "auth/"+mount+"/login", body)
	if err = classify(login.Address, err); err != nil {
		return nil, loginProblem(login, mount, err)
	}
	if secret == nil || secret.Auth == nil || secret.Auth.ClientToken == "" {
		return nil, unreachable(login.Address, "its answer to the login holds no token")
	}
	client.SetToken(secret.Auth.ClientToken)
	ttl := time.Duration(secret.Auth.LeaseDuration) * time.Second
	if ttl <= 0 {
		ttl = unknownTTL
	}
	now := time.Now()
	return &session{
		client: client, born: now, renewed: now, used: now,
		ttl: ttl, full: ttl, renewable: secret.Auth.Renewable,
	}, nil
}

func loginProblem(login Login, mount string, err error) error {
	var refused *Refused
	if !errors.As(err, &refused) {
		return err
	}
	if refused.Status == http.StatusNotFound {
		return condition.Problemf(v1beta1.ReasonMountNotFound,
			"there is no auth method at auth/%s/ on %s: run `vault auth enable -path=%s kubernetes`, or correct the mount",
			mount, login.Address, mount)
	}
	account := login.ServiceAccount
	return condition.Problemf(v1beta1.ReasonLoginFailed,
		"service account %s of namespace %s cannot log in with role %q at auth/%s: %s; "+
			"see that `vault read auth/%s/role/%s` shows bound_service_account_names with %s and bound_service_account_namespaces with %s",
		account.Name, account.Namespace, login.Role, mount, refused, mount, login.Role, account.Name, account.Namespace)
}

// Client is a logged-in client, for the time of one Do.
type Client struct {
	vault *vault.Client
	login Login
}

// Read answers a GET of a path of the API, without /v1/. A 404 with a body, such as a deleted version's, gives that
// body together with the *Refused. Other errors are *Refused, or Problems of the connection.
func (c *Client) Read(ctx context.Context, path string) (*vault.Secret, error) {
	return c.ReadWith(ctx, path, nil)
}
