package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"strongroom/api/v1beta1"
	"strongroom/test/stage"
)

// What scale rests on, in small and without a clock: one login a role, and at the start one read a resource, which says
// at once that its changes are told. Were it to poll until it knew, each would be read twice.
func TestCounts(t *testing.T) {
	s, err := stage.Start(t.Context(), filepath.Join(t.TempDir(), "stage"), os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() && s.Operator != nil {
			t.Logf("the end of the operator's log:\n%s", s.Operator.Tail())
		}
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	b := &bench{options: options{secrets: 200, namespaces: 10, log: t.Output()}, stage: s}
	if err := b.fill(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.StartOperator(); err != nil {
		t.Fatal(err)
	}
	if err := b.valid(t.Context(), 2*time.Minute); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, fmt.Errorf("not all are told of changes"))
	defer cancel()
	if err := stage.Until(ctx, func(ctx context.Context) error {
		list := &v1beta1.VaultSecretList{}
		if err := s.Kube.List(ctx, list); err != nil {
			return err
		}
		for i := range list.Items {
			if how := list.Items[i].Status.Updates; how != v1beta1.UpdatesEvents {
				return fmt.Errorf("%s/%s learns of changes by %q", list.Items[i].Namespace, list.Items[i].Name, how)
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for _, count := range []struct {
		metric, label string
		least, most   float64
	}{
		{"strongroom_operator_logins_total", "", 10, 10},
		{"strongroom_operator_event_streams", "", 10, 10},
		// Those that were read before the stream of their login flowed are read again: as many as are worked on at a time.
		{"strongroom_operator_syncs_total", `kind="VaultSecret"`, 200, 200 + 10*8},
		// A read and a question about events each, and of each login itself, its mount and its stream.
		{"strongroom_operator_server_requests_total", "", 200, 2*(200+10*16) + 10*5},
	} {
		n, err := s.Metric(t.Context(), count.metric, count.label)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s{%s}: %.0f", count.metric, count.label, n)
		if n < count.least || n > count.most {
			t.Errorf("%s{%s} is %.0f, not %.0f to %.0f", count.metric, count.label, n, count.least, count.most)
		}
	}

	// As `helm uninstall` ends it, it leaves no login behind: what lives is the root token.
	if err := s.Operator.Stop(); err != nil {
		t.Fatal(err)
	}
	answer, err := s.Root.Logical().ListWithContext(t.Context(), "auth/token/accessors")
	if err != nil {
		t.Fatal(err)
	}
	if left, _ := answer.Data["keys"].([]any); len(left) != 1 {
		t.Errorf("%d tokens live after the operator's end, want the root token alone", len(left))
	}
}
