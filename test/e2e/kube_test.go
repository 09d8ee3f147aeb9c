package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// kube asks a Kubernetes as its administrator.
type kube struct {
	command func(ctx context.Context, args ...string) *exec.Cmd // kubectl with arguments
}

// kubectl runs kubectl as the administrator and returns what it prints.
func (k kube) kubectl(t *testing.T, args ...string) string {
	t.Helper()
	return k.pipe(t, "", args...)
}

// pipe is kubectl with an input.
func (k kube) pipe(t *testing.T, input string, args ...string) string {
	t.Helper()
	cmd := k.command(t.Context(), args...)
	cmd.Stdin = strings.NewReader(input)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s%s", strings.Join(args, " "), err, errs.String(), out)
	}
	return string(out)
}

// condition waits until a VaultSecret has a status, and returns its message.
func (k kube) condition(t *testing.T, namespace, name, status string, within time.Duration) (message string) {
	t.Helper()
	deadline := time.Now().Add(within)
	for {
		var vs struct {
			Status struct {
				Status     string `json:"status"`
				Conditions []struct {
					Message string `json:"message"`
				} `json:"conditions"`
			} `json:"status"`
		}
		if err := json.Unmarshal([]byte(k.kubectl(t, "get", "vaultsecret", name, "-n", namespace, "-o", "json")), &vs); err != nil {
			t.Fatal(err)
		}
		if len(vs.Status.Conditions) > 0 {
			message = vs.Status.Conditions[0].Message
		}
		if vs.Status.Status == status {
			return message
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %s VaultSecret %s/%s is %q (%s), want %s", within, namespace, name, vs.Status.Status, message, status)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// secret is what a Secret holds.
func (k kube) secret(t *testing.T, namespace, name string) map[string]string {
	t.Helper()
	var s struct {
		Data map[string][]byte `json:"data"`
	}
	if err := json.Unmarshal([]byte(k.kubectl(t, "get", "secret", name, "-n", namespace, "-o", "json")), &s); err != nil {
		t.Fatal(err)
	}
	data := make(map[string]string, len(s.Data))
	for key, value := range s.Data {
		data[key] = string(value)
	}
	return data
}

// described waits until `kubectl describe` of a VaultSecret shows an event: it
// comes a moment after the status.
func (k kube) described(t *testing.T, namespace, name, event string) {
	t.Helper()
	for deadline := time.Now().Add(soon); ; time.Sleep(100 * time.Millisecond) {
		text := k.kubectl(t, "describe", "vaultsecret", name, "-n", namespace)
		if strings.Contains(text, event) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("kubectl describe shows no event %q:\n%s", event, text)
		}
	}
}
