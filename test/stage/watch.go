package stage

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Watch sees every revision of the operator's Secrets, in order.
type Watch struct{ stream watch.Interface }

// WatchSecrets begins with what there is.
func (s *Stage) WatchSecrets(ctx context.Context) (*Watch, error) {
	stream, err := s.Kube.Watch(ctx, &corev1.SecretList{}, client.MatchingLabels{"app.kubernetes.io/managed-by": "strongroom-operator"})
	if err != nil {
		return nil, err
	}
	return &Watch{stream}, nil
}

// Stop ends it.
func (w *Watch) Stop() { w.stream.Stop() }

// Events are the revisions; the channel is closed when the API server ends the watch.
func (w *Watch) Events() <-chan watch.Event { return w.stream.ResultChan() }

// Await skips revisions until key of a Secret has the value. It gives up after two minutes.
func (w *Watch) Await(ctx context.Context, namespace, name, key, value string) error {
	limit := time.NewTimer(2 * time.Minute)
	defer limit.Stop()
	for {
		select {
		case event, ok := <-w.Events():
			if !ok {
				return errors.New("the API server ended the watch")
			}
			secret, ok := event.Object.(*corev1.Secret)
			if ok && secret.Namespace == namespace && secret.Name == name && string(secret.Data[key]) == value {
				return nil
			}
		case <-limit.C:
			return fmt.Errorf("the Secret %s/%s does not get its new value", namespace, name)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
