package vaultdynamicsecret

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"

	"strongroom/api/v1beta1"
	"strongroom/operator/syncer"
	"strongroom/operator/target"
	"strongroom/operator/transform"
	"strongroom/operator/vaultclient"
	"strongroom/operator/vaulttest"
)

// dealer is a kind with a server whose role app may use the paths.
func dealer(t *testing.T, paths ...string) (*Kind, *vaulttest.Server, vaultclient.Login, *events.FakeRecorder) {
	server := vaulttest.New()
	server.SetRole("app", vaulttest.Role{Namespace: "shop", Account: "default", Paths: paths})
	server.SetLeases(time.Hour, true)
	pool := vaultclient.NewPool(func(_ context.Context, login vaultclient.Login) (string, error) {
		return vaulttest.Token(login.ServiceAccount.Namespace, login.ServiceAccount.Name), nil
	}, server.Dial(t))
	login := vaultclient.Login{
		Server: vaultclient.Server{Address: "http://vault.vault:8200"}, Mount: "kubernetes", Role: "app",
		ServiceAccount: types.NamespacedName{Namespace: "shop", Name: "default"}, Leases: true,
	}
	recorder := events.NewFakeRecorder(10)
	return &Kind{Pool: pool, Events: recorder}, server, login, recorder
}

func wants() *v1beta1.VaultDynamicSecret {
	return &v1beta1.VaultDynamicSecret{Spec: v1beta1.VaultDynamicSecretSpec{Mount: "db", Path: "creds/app"}}
}

// A credential whose lease cannot be noted, because the API server does not take the status, is given back at once.
func TestALeaseThatIsNotNotedIsRevoked(t *testing.T) {
	kind, server, login, _ := dealer(t, "db/*", "sys/leases/*")
	made, down := 0, errors.New("the API server is away")
	held := syncer.Held{Store: func(context.Context) error { made = len(server.Leases()); return down }}
	if _, err := kind.issue(t.Context(), login, wants(), &transform.Rules{}, "db/creds/app", held); !errors.Is(err, down) {
		t.Fatal(err)
	}
	if left := server.Leases(); made != 1 || len(left) != 0 {
		t.Errorf("%d leases made, %d left that nobody knows", made, len(left))
	}
}

// What an operator made and did not deliver before it ended is revoked, unless the target may hold it or the login may
// not: then it is remembered, and nothing keeps the resource from new credentials.
func TestSettle(t *testing.T) {
	for _, test := range []struct {
		name, target string // its resourceVersion, 7 when last synced; "": there is none
		paths        []string
		lives        bool
		event        string
	}{
		{"not delivered", "7", []string{"db/*", "sys/leases/*"}, false, ""},
		{"no target", "", []string{"db/*", "sys/leases/*"}, false, ""},
		{"perhaps delivered", "8", []string{"db/*", "sys/leases/*"}, true, ""},
		{"may not be revoked", "7", []string{"db/*"}, true, `attach a policy with path "sys/leases/revoke" { capabilities = ["update"] }`},
	} {
		kind, server, login, recorder := dealer(t, test.paths...)
		noted := 0
		held := syncer.Held{
			Store: func(context.Context) error { noted++; return nil },
			Live: func(context.Context) (*target.Live, error) {
				if test.target == "" {
					return nil, nil
				}
				return &target.Live{ObjectMeta: metav1.ObjectMeta{ResourceVersion: test.target}}, nil
			},
		}
		vds := wants()
		vds.Status.TargetResourceVersion = "7"
		if _, err := kind.issue(t.Context(), login, vds, &transform.Rules{}, "db/creds/app", held); err != nil {
			t.Fatal(err)
		}
		orphan := vds.Status.MadeLease // the operator ends here
		if err := kind.settle(t.Context(), login, vds, held); err != nil {
			t.Errorf("%s: it is in the way: %v", test.name, err)
		}
		if lives := slices.Contains(server.Leases(), orphan); lives != test.lives || vds.Status.MadeLease != "" || slices.Contains(vds.Status.FormerLeases, orphan) != lives {
			t.Errorf("%s: it lives: %v, status %+v", test.name, lives, vds.Status)
		}
		content, err := kind.issue(t.Context(), login, vds, &transform.Rules{}, "db/creds/app", held)
		if err != nil || noted != 2 {
			t.Fatalf("%s: %v, noted %d times", test.name, err, noted)
		}
		if content.Commit(); vds.Status.SecretLease.ID == orphan || slices.Contains(vds.Status.FormerLeases, orphan) != test.lives {
			t.Errorf("%s: after the next ones: %+v", test.name, vds.Status)
		}
		said := ""
		select {
		case said = <-recorder.Events:
		default:
		}
		if (test.event == "") != (said == "") || !strings.Contains(said, test.event) {
			t.Errorf("%s: the event is %q", test.name, said)
		}
	}
}

// Credentials that a template cannot use are given back at once, not made anew at each attempt.
func TestWhatATemplateCannotUseIsRevoked(t *testing.T) {
	kind, server, login, _ := dealer(t, "db/*", "sys/leases/*")
	vds := wants()
	rules, err := transform.Library{}.Resolve(t.Context(), "shop", v1beta1.Transformation{Templates: map[string]v1beta1.Template{"a": {Text: "{{ .Secrets.nothing }}"}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kind.issue(t.Context(), login, vds, rules, "db/creds/app", syncer.Held{}); err == nil {
		t.Error("the template renders")
	}
	if left := server.Leases(); len(left) != 0 || vds.Status.MadeLease != "" {
		t.Errorf("left: %v, noted: %q", left, vds.Status.MadeLease)
	}
}
