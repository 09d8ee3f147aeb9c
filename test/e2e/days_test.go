package e2e_test

import "testing"

func testDays(t *testing.T, p *pods) {}
