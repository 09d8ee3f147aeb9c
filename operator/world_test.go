package operator_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"strongroom/api/v1beta1"
	"strongroom/operator"
	"strongroom/operator/vaultclient"
	"strongroom/operator/vaulttest"
	"strongroom/test/kubetest"
)

// canary is in every value of a secret here; it must never be seen in a log, an event or a status.
const canary = "s3cr3t-"

// limit is how long something may take that happens at once.
const limit = 40 * time.Second

// world is a control plane, a fake Vault that goes by the name vault.vault:8200, and the operator between them, which
// has the rights of config/rbac and no others.
type world struct {
	cp     *kubetest.ControlPlane
	kube   client.Client
	config *rest.Config
	vault  *vaulttest.Server
	front  *httptest.Server
	down   atomic.Bool

	address string // HOST:PORT that vault.vault:8200 stands for
	logs    *log
	// reportAs is what the operator is told that the cluster is called.
	reportAs string
	// wrap changes the operator's way to the API server from the next start on; may be nil.
	wrap func(http.RoundTripper) http.RoundTripper
	stop func()
}

// log is a buffer that many write to.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func newWorld(t *testing.T) *world {
	w := &world{vault: vaulttest.New()}
	w.front = httptest.NewServer(w.vault)
	t.Cleanup(w.front.Close)
	w.address = w.front.Listener.Addr().String()
	w.control(t)
	t.Cleanup(func() {
		if n := w.vault.Count("sys/kubernetes/report"); n > 0 && w.reportAs == "" {
			t.Errorf("the operator reports without having been told to: %d requests", n)
		}
	})
	return w
}

// control makes the control plane, and starts the operator.
func (w *world) control(t *testing.T) {
	w.cp, w.logs = kubetest.New(t), &log{}
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1beta1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", w.cp.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1
	if w.kube, err = client.New(config, client.Options{Scheme: scheme}); err != nil {
		t.Fatal(err)
	}
	w.kubectl(t, "", "apply", "-f", "../config/crd", "-f", "../config/rbac/role.yaml")
	w.kubectl(t, "", "create", "clusterrolebinding", "operator", "--clusterrole=strongroom-operator", "--user=operator")
	w.kubectl(t, "", "wait", "--for=condition=Established", "crd", "--all")
	w.config = config
	w.start(t, "operator")
	t.Cleanup(func() { w.stop() })
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the operator's log:\n%s", w.logs)
		}
	})
}

// start starts the operator as a user of the cluster, for some namespaces or all; stop ends it.
func (w *world) start(t *testing.T, user string, namespaces ...string) {
	t.Helper()
	w.stop = w.replica(t, user, func(o *operator.Options) { o.Namespaces, o.ReportAs = namespaces, w.reportAs }, nil)
}

// replica starts an operator. While cut is true, the API server does not answer it, and its end with an error is no fault.
func (w *world) replica(t *testing.T, user string, change func(*operator.Options), cut *atomic.Bool) (stop func()) {
	t.Helper()
	config := rest.CopyConfig(w.config)
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: []string{"system:authenticated"}}
	if cut != nil {
		config.Wrap(func(next http.RoundTripper) http.RoundTripper { return cable{next, cut} })
	}
	if w.wrap != nil {
		config.Wrap(w.wrap)
	}
	ctx, cancel := context.WithCancel(context.Background())
	logger := logr.FromSlogHandler(slog.NewTextHandler(w.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	ctrl.SetLogger(logger)
	redirect := vaultclient.Redirect(map[string]string{"vault.vault:8200": w.address})
	options := operator.Options{
		Logger: logger,
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			if w.down.Load() {
				return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
			}
			return redirect(ctx, network, address)
		},
	}
	change(&options)
	mgr, err := operator.New(ctx, config, options)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	var once sync.Once
	return func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil && (cut == nil || !cut.Load()) {
				t.Errorf("the operator ends with %v", err)
			}
		})
	}
}

// cable is a connection that can be cut.
type cable struct {
	next http.RoundTripper
	cut  *atomic.Bool
}

func (c cable) RoundTrip(request *http.Request) (*http.Response, error) {
	if c.cut.Load() {
		return nil, errors.New("cut")
	}
	return c.next.RoundTrip(request)
}

// setDown takes the server off the network, or brings it back.
func (w *world) setDown(down bool) {
	w.down.Store(down)
	if down {
		w.front.CloseClientConnections()
	}
}

// kubectl runs kubectl with input, and returns what it prints on both outputs.
func (w *world) kubectl(t *testing.T, input string, args ...string) string {
	t.Helper()
	out, err := w.try(input, args...)
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (w *world) try(input string, args ...string) (string, error) {
	command := w.cp.Kubectl(context.Background(), args...)
	command.Stdin = strings.NewReader(input)
	out, err := command.CombinedOutput()
	return string(out), err
}

// namespace makes a namespace with its default service account, and a role of the server for that account.
func (w *world) namespace(t *testing.T, name string, paths ...string) {
	t.Helper()
	w.kubectl(t, "", "create", "namespace", name)
	if err := w.cp.WaitServiceAccount(t.Context(), name, "default"); err != nil {
		t.Fatal(err)
	}
	w.vault.SetRole(name, vaulttest.Role{Namespace: name, Account: "default", Paths: paths})
}

// manifest is a VaultSecret of namespace that reads path every second into the Secret target; the two changes are
// appended to its spec and to its target.
func manifest(namespace, name, path, spec, target string) string {
	return fmt.Sprintf(`
apiVersion: secrets.hashicorp.com/v1beta1
kind: VaultSecret
metadata: {name: %[2]s, namespace: %[1]s}
spec:
  refreshAfter: 1s
  source: {kv: {path: %[3]s}}
  %[4]s
  target:
    name: %[2]s
    %[5]s
`, namespace, name, path, spec, target)
}

// inline is the login that a manifest's spec spells out.
func inline(role string) string {
	return fmt.Sprintf("vault: {address: 'http://vault.vault:8200', auth: {kubernetes: {role: %s}}}", role)
}

func (w *world) apply(t *testing.T, manifest string) {
	t.Helper()
	w.kubectl(t, manifest, "apply", "--validate=strict", "-f", "-")
}

// eventually waits until look finds nothing wrong.
func eventually(t *testing.T, within time.Duration, look func() (wrong string)) {
	t.Helper()
	deadline := time.Now().Add(within)
	for {
		wrong := look()
		if wrong == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %s: %s", within, wrong)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// status waits for a status of a resource with a message that says what it should, and returns the message.
func (w *world) status(t *testing.T, object interface {
	client.Object
	CommonStatus() *v1beta1.Status
}, namespace, name, want string, says ...string,
) string {
	t.Helper()
	message := ""
	eventually(t, limit, func() string {
		if err := w.kube.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, object); err != nil {
			return err.Error()
		}
		status := object.CommonStatus()
		if len(status.Conditions) == 0 {
			return "no condition yet"
		}
		message = status.Conditions[0].Message
		if status.Status != want || status.ObservedGeneration != object.GetGeneration() {
			return fmt.Sprintf("%s/%s is %s (generation %d of %d): %s; want %s",
				namespace, name, status.Status, status.ObservedGeneration, object.GetGeneration(), message, want)
		}
		for _, text := range says {
			if !strings.Contains(message, text) {
				return fmt.Sprintf("%s/%s says %q, want %q", namespace, name, message, text)
			}
		}
		return ""
	})
	return message
}

func (w *world) secretStatus(t *testing.T, namespace, name, want string, says ...string) *v1beta1.VaultSecret {
	t.Helper()
	vs := &v1beta1.VaultSecret{}
	w.status(t, vs, namespace, name, want, says...)
	return vs
}

// holds waits until a Secret holds exactly the data.
func (w *world) holds(t *testing.T, namespace, name string, data map[string]string) *corev1.Secret {
	t.Helper()
	secret := &corev1.Secret{}
	eventually(t, limit, func() string {
		var err error
		if secret, err = w.secret(namespace, name); err != nil {
			return err.Error()
		}
		return differs(secret, data)
	})
	return secret
}

func differs(secret *corev1.Secret, data map[string]string) string {
	got := make(map[string]string, len(secret.Data))
	for key, value := range secret.Data {
		got[key] = string(value)
	}
	if fmt.Sprint(got) != fmt.Sprint(data) {
		return fmt.Sprintf("Secret %s holds %v, want %v", secret.Name, got, data)
	}
	return ""
}

func (w *world) secret(namespace, name string) (*corev1.Secret, error) {
	secret := &corev1.Secret{}
	err := w.kube.Get(context.Background(), client.ObjectKey{Namespace: namespace, Name: name}, secret)
	return secret, err
}

func (w *world) gone(t *testing.T, namespace, name string) {
	t.Helper()
	eventually(t, limit, func() string {
		if _, err := w.secret(namespace, name); !apierrors.IsNotFound(err) {
			return fmt.Sprintf("Secret %s is still there (%v)", name, err)
		}
		return ""
	})
}

// plain makes a Secret that nobody owns.
func (w *world) plain(t *testing.T, namespace, name string, data map[string]string) {
	t.Helper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, StringData: data}
	if err := w.kube.Create(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
}
