package plugin

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// lookEvery is how often the API server is asked whether the operator is done, which takes it some hundredths of a second.
const lookEvery = 100 * time.Millisecond

// syncCommand annotates a resource with the time, which the operator takes as a wish to look at once, and echoes in the
// status when it has.
func syncCommand(ctx context.Context, c *call) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	object, err := c.find(ctx)
	if err != nil {
		return err
	}
	wish := time.Now().UTC().Format(time.RFC3339Nano)
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{syncNow: wish}}})
	if err != nil {
		return err
	}
	resources := c.of(object.GetKind(), object.GetNamespace())
	if _, err := resources.Patch(ctx, object.GetName(), types.MergePatchType, patch, metav1.PatchOptions{FieldManager: "kubectl-strongroom"}); err != nil {
		return fmt.Errorf("ask for a sync of %s: %w", called(object), err)
	}
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		now, err := resources.Get(ctx, object.GetName(), metav1.GetOptions{})
		if err == nil && text(now.Object, "status", "lastSyncRequest") == wish {
			return c.result(now)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the operator did not look at %s within %s: is it running, and does it serve namespace %s (watchNamespaces)?",
				called(object), c.timeout, object.GetNamespace())
		case <-ticker.C:
		}
	}
}

// result says what came of a sync.
func (c *call) result(object *unstructured.Unstructured) error {
	reason, message, _ := ready(object)
	fmt.Fprintf(c.Stdout, "%s: %s: %s\n", called(object), reason, message)
	if reason != "Valid" {
		return errSaid
	}
	return nil
}
