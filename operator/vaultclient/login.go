package vaultclient

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	vault "github.com/hashicorp/vault/api"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validation/path"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"strongroom/api/v1beta1"
	"strongroom/operator/condition"
)

const (
	minTokenSeconds = 600       // the API server's least
	unknownTTL      = time.Hour // how long a token is used that says it never ends
)

// Credentials issues tokens of service accounts with Kubernetes' TokenRequest, and reads Secrets. These are named by the
// resource that logs in, and are of its own namespace; the operator's own token is never among them.
func Credentials(kube client.Client, live client.Reader) TokenSource {
	return func(ctx context.Context, login Login) (string, error) {
		switch {
		case login.Secret.Name != "":
			return fromSecret(ctx, live, login)
		case login.ServiceAccount.Name == "":
			return "", nil // an AppRole that asks for no secret id
		case len(path.IsValidPathSegmentName(login.ServiceAccount.Name)) > 0:
			return "", condition.Problemf(v1beta1.ReasonInvalidSpec,
				"the service account %q is not a name in namespace %s: one of another namespace cannot be used", login.ServiceAccount.Name, login.ServiceAccount.Namespace)
		}
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

func fromSecret(ctx context.Context, live client.Reader, login Login) (string, error) {
	secret := &corev1.Secret{}
	err := live.Get(ctx, login.Secret, secret)
	if err != nil && !apierrors.IsNotFound(err) {
		return "", fmt.Errorf("read the credential in Secret %s: %w", login.Secret, err)
	}
	value := strings.TrimSpace(string(secret.Data[login.SecretKey]))
	if value == "" {
		return "", condition.Problemf(v1beta1.ReasonCredentialNotFound,
			"the login takes its credential from key %s of Secret %s, which namespace %s lacks: create it", login.SecretKey, login.Secret.Name, login.Secret.Namespace)
	}
	return value, nil
}

// login makes a new session. Errors are Problems: LoginFailed, MountNotFound, and those of the token source and of
// the connection.
func (p *Pool) login(ctx context.Context, login Login) (*session, error) {
	client, err := p.connect(login.Server, login.Namespace, login.ExtraHeaders)
	if err != nil {
		return nil, err
	}
	presented, err := p.tokens(ctx, login)
	if err != nil {
		return nil, err
	}
	body := make(map[string]any, len(login.Params)+2)
	for name, value := range login.Params {
		body[name] = value
	}
	switch {
	case login.Method != v1beta1.MethodAppRole:
		body["role"], body["jwt"] = login.Role, presented
	case presented != "":
		body["role_id"], body["secret_id"] = login.Role, presented
	default:
		body["role_id"] = login.Role
	}
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
		client: client, login: login, id: identify(secret.Auth), born: now, renewed: now, used: now,
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
			"there is no auth method at auth/%s/ on %s: run `vault auth enable -path=%s %s`, or correct the mount",
			mount, login.Address, mount, strings.ToLower(cmp.Or(login.Method, v1beta1.MethodKubernetes)))
	}
	account := login.ServiceAccount
	switch {
	case login.Method == v1beta1.MethodAppRole:
		return condition.Problemf(v1beta1.ReasonLoginFailed,
			"the AppRole %q cannot log in at auth/%s with %s: %s; see that the role id and the secret id are right and not used up",
			login.Role, mount, login.Who(), refused)
	case login.Method == v1beta1.MethodJWT:
		return condition.Problemf(v1beta1.ReasonLoginFailed,
			"%s cannot log in with role %q at auth/%s: %s; see what `vault read auth/%s/role/%s` binds", login.Who(), login.Role, mount, refused, mount, login.Role)
	}
	return condition.Problemf(v1beta1.ReasonLoginFailed,
		"service account %s of namespace %s cannot log in with role %q at auth/%s: %s; "+
			"see that `vault read auth/%s/role/%s` shows bound_service_account_names with %s and bound_service_account_namespaces with %s",
		account.Name, account.Namespace, login.Role, mount, refused, mount, login.Role, account.Name, account.Namespace)
}

// Client is a logged-in client, for the time of one Do.
type Client struct {
	vault *vault.Client
	login Login
	id    string
	pool  *Pool
}

// LoginID tells one login from the next. It is not secret, and never empty. What was leased under another one has ended
// or will end with it.
func (c *Client) LoginID() string { return c.id }

// identify gives a text that differs from token to token and gives none away.
func identify(auth *vault.SecretAuth) string {
	sum := sha256.Sum256([]byte("strongroom-operator login " + cmp.Or(auth.Accessor, auth.ClientToken)))
	return hex.EncodeToString(sum[:8])
}

// Read answers a GET of a path of the API, without /v1/. A 404 with a body, such as a deleted version's, gives that
// body together with the *Refused. Other errors are *Refused, or Problems of the connection.
func (c *Client) Read(ctx context.Context, path string) (*vault.Secret, error) {
	return c.ReadWith(ctx, path, nil)
}
