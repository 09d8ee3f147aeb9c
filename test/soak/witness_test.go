package soak_test

import (
	"context"
	"fmt"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
)

// witness sees every revision of the Secrets that the operator fills, and notes those that nobody should ever see.
type witness struct {
	revisions int
	last      map[string]int // number that a Secret holds
	wrong     []string
	gaps      int // times that an API server that was killed had forgotten what came before
	err       error
}

// watch looks until ctx ends. Where the API server ends a watch, the next begins at the revision after the last; one that
// was killed remembers none of these, so what it wrote in its last and first moments is seen as it became.
func (s *witness) watch(ctx context.Context, w *world) {
	s.last = make(map[string]int)
	kube, err := kubernetes.NewForConfig(w.Config)
	if err != nil {
		s.err = err
		return
	}
	revision := "" // all that there is, to begin with
	for ctx.Err() == nil {
		stream, err := kube.CoreV1().Secrets("").Watch(ctx, metav1.ListOptions{
			LabelSelector: "app.kubernetes.io/managed-by=strongroom-operator", ResourceVersion: revision, AllowWatchBookmarks: true,
		})
		if err != nil {
			revision = s.resume(err, revision)
			pause(ctx, 50*time.Millisecond) // the API server is down
			continue
		}
		for event := range stream.ResultChan() {
			if event.Type == watch.Error {
				revision = s.resume(apierrors.FromObject(event.Object), revision)
				break
			}
			secret, ok := event.Object.(*corev1.Secret)
			if !ok {
				continue
			}
			revision = secret.ResourceVersion
			if event.Type != watch.Bookmark {
				s.look(event.Type, secret)
			}
		}
		stream.Stop()
	}
}

// resume is where the next watch begins after an error: where the last one ended, or, where that is forgotten, with all
// that there is.
func (s *witness) resume(err error, revision string) string {
	if !apierrors.IsGone(err) && !apierrors.IsResourceExpired(err) {
		return revision
	}
	s.gaps++
	return ""
}

func (s *witness) look(kind watch.EventType, secret *corev1.Secret) {
	s.revisions++
	name := secret.Namespace + "/" + secret.Name
	left, right := string(secret.Data["left"]), string(secret.Data["right"])
	n, err := strconv.Atoi(left)
	say := func(what string) {
		s.wrong = append(s.wrong, fmt.Sprintf("revision %s of Secret %s %s: %d keys, left %q, right %q", secret.ResourceVersion, name, what, len(secret.Data), left, right))
	}
	switch {
	case kind == watch.Deleted:
		say("deletes it")
	case len(secret.Data) != 2 || err != nil || left != right:
		say("is empty or mixed")
	case n < s.last[name]:
		say(fmt.Sprintf("goes back from %d", s.last[name]))
	}
	s.last[name] = max(s.last[name], n)
}
