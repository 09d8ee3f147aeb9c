package plugin

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	vault "github.com/hashicorp/vault/api"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// tokenSeconds is how long the token lives with which a command logs in: the API server's least.
const tokenSeconds = 600

// secret reads the data of a Secret.
func (c *call) secret(ctx context.Context, namespace, name string) (map[string][]byte, error) {
	object, err := c.kube.Resource(core("secrets")).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	encoded, _, _ := unstructured.NestedStringMap(object.Object, "data")
	data := make(map[string][]byte, len(encoded))
	for key, value := range encoded {
		if data[key], err = base64.StdEncoding.DecodeString(value); err != nil {
			return nil, fmt.Errorf("key %s of Secret %s is not base64", key, name)
		}
	}
	return data, nil
}

// dial makes a client of the server. Of the environment only a proxy has a part in it, and no redirect is followed.
func (c *call) dial(at *account) (*vault.Client, error) {
	address := cmp.Or(c.address, at.address)
	if address == "" {
		return nil, errors.New("the address of the server is not known here: give --address")
	}
	trust := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: at.serverName, InsecureSkipVerify: at.skipVerify} //nolint:gosec // as the resource asks
	if len(at.ca) > 0 {
		trust.RootCAs = x509.NewCertPool()
		if !trust.RootCAs.AppendCertsFromPEM(at.ca) {
			return nil, fmt.Errorf("the CA certificate for %s is not PEM", address)
		}
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: trust, ForceAttemptHTTP2: true, TLSHandshakeTimeout: 10 * time.Second}
	// Not vault.DefaultConfig, which takes more from the environment than can be undone: VAULT_SKIP_VERIFY, VAULT_AGENT_ADDR.
	client, err := vault.NewClient(&vault.Config{Address: address, DisableRedirects: true, HttpClient: &http.Client{
		Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error {
			return errors.New("it redirects to another address, which is not followed: give --address")
		},
	}})
	if err != nil {
		return nil, err
	}
	client.ClearNamespace()
	client.SetHeaders(http.Header{vault.RequestHeaderName: {"true"}})
	client.SetToken("")
	if at.serverNamespace != "" {
		client.SetNamespace(at.serverNamespace)
	}
	return client, nil
}

// enter logs in as a resource of namespace does. The caller ends the login.
func (c *call) enter(ctx context.Context, at *account, namespace string) (*vault.Client, *vault.SecretAuth, error) {
	client, err := c.dial(at)
	if err != nil {
		return nil, nil, err
	}
	if at.serviceAccount == "" || at.role == "" || at.method != "kubernetes" && at.method != "jwt" {
		return nil, nil, errors.New("only logins with a service account can be tried from here")
	}
	wish := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "metadata": map[string]any{"name": at.serviceAccount},
		"spec": map[string]any{"expirationSeconds": int64(tokenSeconds)},
	}}
	if len(at.audiences) > 0 {
		if err := unstructured.SetNestedStringSlice(wish.Object, at.audiences, "spec", "audiences"); err != nil {
			return nil, nil, err
		}
	}
	answer, err := c.kube.Resource(core("serviceaccounts")).Namespace(namespace).Create(ctx, wish, metav1.CreateOptions{}, "token")
	switch {
	case apierrors.IsForbidden(err):
		return nil, nil, fmt.Errorf("you may not create tokens of service account %s/%s", namespace, at.serviceAccount)
	case err != nil:
		return nil, nil, fmt.Errorf("create a token of service account %s/%s: %w", namespace, at.serviceAccount, err)
	}
	body := map[string]any{"role": at.role, "jwt": text(answer.Object, "status", "token")}
	login, err := client.Logical().WriteWithContext(ctx, "auth/"+at.mount+"/login", body)
	if err != nil {
		return nil, nil, fmt.Errorf("log in with role %s at auth/%s: %s", at.role, at.mount, says(err))
	}
	if login == nil || login.Auth == nil {
		return nil, nil, fmt.Errorf("auth/%s answers no token", at.mount)
	}
	client.SetToken(login.Auth.ClientToken)
	return client, login.Auth, nil
}

// leave ends a login, also after an interrupt.
func leave(ctx context.Context, client *vault.Client) {
	_ = client.Auth().Token().RevokeSelfWithContext(context.WithoutCancel(ctx), "") // it ends by itself as well
}

// says is what a server answered.
func says(err error) string {
	var answer *vault.ResponseError
	if errors.As(err, &answer) && len(answer.Errors) > 0 {
		return fmt.Sprintf("HTTP %d: %s", answer.StatusCode, strings.Join(strings.Fields(strings.Join(answer.Errors, "; ")), " "))
	}
	return err.Error()
}

// try logs in and asks what the login may do with each source.
func (w *walk) try(ctx context.Context, at *account) {
	client, auth, err := w.enter(ctx, at, w.object.GetNamespace())
	if err != nil {
		if strings.HasPrefix(err.Error(), "log in with") {
			w.halt(atLogin, err.Error())
		} else {
			w.note("not tried: " + err.Error())
		}
		return
	}
	defer leave(ctx, client)
	w.says[atLogin] += ": tried just now, policies " + strings.Join(auth.TokenPolicies, ", ")
	need := "read"
	if w.object.GetKind() == "VaultPushSecret" {
		need = "update"
	}
	for _, name := range sources(w.object) {
		path, _ := locate(ctx, client, w.object, name)
		w.says[atPath] = path
		able, err := client.Sys().CapabilitiesSelfWithContext(ctx, path)
		switch {
		case err != nil:
			w.note(fmt.Sprintf("what the login may do with %s is not known: %s", path, says(err)))
		case !slices.Contains(able, need) && !slices.Contains(able, "root"):
			w.halt(atPolicy, fmt.Sprintf("role %s has [%s] on %s: attach a policy with path %q { capabilities = [%q] }", at.role, strings.Join(able, ", "), path, path, need))
		default:
			w.says[atPolicy] = fmt.Sprintf("%s on %s: asked just now", strings.Join(able, ", "), path)
		}
	}
}

// locate gives the path on the API of a secret as the CLI names it, and whether it is of KV v2.
func locate(ctx context.Context, client *vault.Client, object *unstructured.Unstructured, name string) (path string, v2 bool) {
	mount, _, _ := strings.Cut(name, "/")
	v2 = text(object.Object, "spec", "type") != "kv-v1"
	if known := strings.Trim(text(object.Object, "spec", "mount"), "/"); known != "" {
		mount = known
		if text(object.Object, "spec", "type") == "" {
			return name, false // of another engine
		}
	} else if answer, err := client.Logical().ReadWithContext(ctx, "sys/internal/ui/mounts/"+name); err == nil && answer != nil {
		mount = strings.Trim(text(answer.Data, "path"), "/")
		options, _ := answer.Data["options"].(map[string]any)
		v2 = fmt.Sprint(options["version"]) == "2"
	}
	key := strings.TrimPrefix(name, mount+"/")
	if !v2 {
		return name, false
	}
	return mount + "/data/" + strings.TrimPrefix(key, "data/"), true
}

// read reads a KV secret's data; nil if there is none.
func read(ctx context.Context, client *vault.Client, object *unstructured.Unstructured, name string) (map[string]any, error) {
	path, v2 := locate(ctx, client, object, name)
	answer, err := client.Logical().ReadWithContext(ctx, path)
	var refused *vault.ResponseError
	switch {
	case errors.As(err, &refused) && refused.StatusCode == http.StatusForbidden:
		return nil, fmt.Errorf("the login may not read %s", path)
	case err != nil:
		return nil, fmt.Errorf("read %s: %s", path, says(err))
	case answer == nil:
		return nil, nil
	case !v2:
		return answer.Data, nil
	}
	data, _ := answer.Data["data"].(map[string]any)
	return data, nil
}
