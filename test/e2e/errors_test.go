package e2e_test

import "testing"

func testErrors(t *testing.T, w *world) { w.ready(t) }
