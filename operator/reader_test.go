package operator

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// stub answers reads with err, or never when err is nil.
type stub struct {
	client.Client
	err   error
	reads int
}

func (s *stub) answer(ctx context.Context) error {
	s.reads++
	if s.err == nil {
		<-ctx.Done()
		return fmt.Errorf("waiting: %w", ctx.Err())
	}
	return s.err
}

func (s *stub) Get(ctx context.Context, _ client.ObjectKey, _ client.Object, _ ...client.GetOption) error {
	return s.answer(ctx)
}

func (s *stub) List(ctx context.Context, _ client.ObjectList, _ ...client.ListOption) error {
	return s.answer(ctx)
}

func TestReadsDoNotWaitForeverForTheCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fromCache, fromServer := errors.New("from the cache"), errors.New("from the API server")
		for _, test := range []struct{ cached, want error }{{fromCache, fromCache}, {nil, fromServer}} {
			reader := current{Client: &stub{err: test.cached}, live: &stub{err: fromServer}}
			if err := reader.Get(t.Context(), client.ObjectKey{}, &corev1.Secret{}); !errors.Is(err, test.want) {
				t.Errorf("get: %v, want %v", err, test.want)
			}
			if err := reader.List(t.Context(), &corev1.SecretList{}); !errors.Is(err, test.want) {
				t.Errorf("list: %v, want %v", err, test.want)
			}
		}
		live := &stub{err: fromServer}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := (current{Client: &stub{}, live: live}).Get(ctx, client.ObjectKey{}, &corev1.Secret{}); !errors.Is(err, context.DeadlineExceeded) || live.reads != 0 {
			t.Errorf("a caller without time left: %v, %d live reads", err, live.reads)
		}
	})
}
