package e2e_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// tlsSpace has a second release, of servers that speak TLS and unseal each other.
const tlsSpace = "vault-tls"

// peersUnseal installs it, kills the leader, and wants it to be unsealed without
// anybody's share; and so an upgrade to roll by itself.
func peersUnseal(t *testing.T, d *days) {
	d.restricted(t, tlsSpace)
	d.helm(t, "install", "open", "./charts/vault", "-n", tlsSpace, "--set", "server.ha.enabled=true,server.ha.raft.enabled=true",
		"--set", "server.tls.enabled=true,server.peerUnseal.enabled=true", "--timeout", "90s")
	names := []string{"open-vault-0", "open-vault-1", "open-vault-2"}
	for _, name := range names {
		d.replaced(t, tlsSpace, name, "")
	}
	var out string
	eventually(t, soonPods, func() (problem string) {
		var err error
		if out, err = d.inPod(t, tlsSpace, names[0], "vault", "operator", "init"); err != nil {
			return fmt.Sprintf("initialize: %v\n%s", err, out)
		}
		return ""
	})
	for _, name := range names {
		for _, m := range regexp.MustCompile(`(?m)^Unseal Key [123]: (\S+)$`).FindAllStringSubmatch(out, -1) {
			if out, err := d.inPod(t, tlsSpace, name, "vault", "operator", "unseal", m[1]); err != nil {
				t.Fatalf("unseal %s: %v\n%s", name, err, out)
			}
		}
	}
	d.allReady(t, names)
	for name, one := range d.servers(t, tlsSpace) {
		if !one.active() {
			continue
		}
		began := time.Now()
		d.kubectl(t, "delete", "pod", name, "-n", tlsSpace, "--wait=false")
		d.replaced(t, tlsSpace, name, one.Metadata.UID)
		d.allReady(t, names)
		t.Logf("%s is unsealed and ready %v after it was deleted", name, time.Since(began).Round(time.Second))
	}
	began := time.Now()
	d.helm(t, "upgrade", "open", "./charts/vault", "-n", tlsSpace, "--reuse-values", "--set", "server.annotations.rolled=yes", "--timeout", "90s")
	d.kubectl(t, "rollout", "status", "statefulset/open-vault", "-n", tlsSpace, "--timeout=180s")
	d.allReady(t, names)
	t.Logf("an upgrade of all three rolled by itself in %v", time.Since(began).Round(time.Second))
	if out := d.helm(t, "test", "open", "-n", tlsSpace, "--timeout", "90s"); !strings.Contains(out, "Succeeded") {
		t.Errorf("helm test:\n%s", out)
	}
}

// allReady waits until all servers of the second release are unsealed and ready, and one of them active.
func (d *days) allReady(t *testing.T, names []string) {
	t.Helper()
	eventually(t, 2*soonPods, func() string {
		active := 0
		servers := d.servers(t, tlsSpace)
		for _, name := range names {
			if one := servers[name]; one.sealed() || !one.ready() {
				return fmt.Sprintf("%s is not ready: %v", name, one.Metadata.Labels)
			} else if one.active() {
				active++
			}
		}
		if active != 1 {
			return fmt.Sprintf("%d servers are active", active)
		}
		return ""
	})
}

// certificateRenewed deletes the certificate and has the chart's job make a new
// one, by the same authority. Every server shows it to clients without a restart.
func certificateRenewed(t *testing.T, d *days) {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(d.secret(t, tlsSpace, "open-vault-tls")["ca.crt"]))
	var addresses []string
	before := d.servers(t, tlsSpace)
	for name := range before {
		addresses = append(addresses, d.forward(t, tlsSpace, "pod/"+name))
	}
	shown := func(address string) string {
		conn, err := tls.Dial("tcp", address, &tls.Config{RootCAs: roots, ServerName: "open-vault." + tlsSpace + ".svc"})
		if err != nil {
			t.Fatalf("a client that trusts the authority says: %v", err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	old := shown(addresses[0])
	d.kubectl(t, "delete", "secret", "open-vault-tls", "-n", tlsSpace)
	d.kubectl(t, "create", "job", "renew", "--from=cronjob/open-vault-tls", "-n", tlsSpace)
	d.kubectl(t, "wait", "--for=condition=Complete", "job/renew", "-n", tlsSpace, "--timeout=60s")
	began := time.Now()
	var renewed []string
	eventually(t, 3*time.Minute, func() string {
		renewed = nil
		for _, address := range addresses {
			renewed = append(renewed, shown(address))
		}
		if slices.Contains(renewed, old) || len(slices.Compact(slices.Sorted(slices.Values(renewed)))) != 1 {
			return fmt.Sprintf("the servers show %v, the old one was %s", renewed, old)
		}
		return ""
	})
	t.Logf("all servers show the new certificate after %v", time.Since(began).Round(time.Second))
	for name, one := range d.servers(t, tlsSpace) {
		if was := before[name]; one.Metadata.UID != was.Metadata.UID || one.Status.ContainerStatuses[0].RestartCount != was.Status.ContainerStatuses[0].RestartCount {
			t.Errorf("%s was restarted", name)
		}
	}
}
