package syncer

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"strongroom/api/v1beta1"
	"strongroom/operator/target"
	"strongroom/operator/transform"
)

// Typed is what a kind says of its resources, all of type T.
type Typed[T Object] interface {
	// Spec says what the resource asks for. Errors are Problems; the Spec is then what could be read all the same.
	Spec(resource T) (Spec, error)
	// Read brings the data, or says that the target is still good. It may note in the resource's status what it needs to
	// know next time. Errors are Problems, or of the API server; what is returned with them may say as whom and where (Failed).
	Read(ctx context.Context, resource T, held Held) (*Content, error)
}

// Releaser is a Typed with something to give back to the server before a resource goes.
type Releaser[T Object] interface {
	Release(ctx context.Context, resource T) error
}

// pointer is a resource of the struct R.
type pointer[R any] interface {
	*R
	Object
}

// For makes a Kind of what is said of resources of one type.
func For[R any, T pointer[R]](says Typed[T]) Kind { return typed[R, T]{says} }

type typed[R any, T pointer[R]] struct{ says Typed[T] }

func (typed[R, T]) New() Object { return T(new(R)) }

func (t typed[R, T]) Spec(resource Object) (Spec, error) {
	own, err := of[T](resource)
	if err != nil {
		return Spec{}, err
	}
	return t.says.Spec(own)
}

func (t typed[R, T]) Read(ctx context.Context, resource Object, held Held) (*Content, error) {
	own, err := of[T](resource)
	if err != nil {
		return nil, err
	}
	return t.says.Read(ctx, own, held)
}

func (t typed[R, T]) Release(ctx context.Context, resource Object) error {
	own, err := of[T](resource)
	if releaser, ok := t.says.(Releaser[T]); ok && err == nil {
		return releaser.Release(ctx, own)
	}
	return err
}

// of is the resource as its own type.
func of[T Object](resource runtime.Object) (T, error) {
	own, ok := resource.(T)
	if !ok {
		return own, fmt.Errorf("%T is no %T", resource, own)
	}
	return own, nil
}

// Into is the Spec of a resource that fills a destination.
func (s Spec) Into(kind string, resource metav1.Object, destination v1beta1.Destination) Spec {
	s.Want = target.OfDestination(target.OwnerOf(kind, resource), destination)
	s.Refs = transform.Refs(resource.GetNamespace(), destination.Transformation)
	return s
}
