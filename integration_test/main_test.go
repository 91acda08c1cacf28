// Package integration_test runs whole clusters: real node processes on real Redis servers, with faults. The rows of
// SPEC 1.1 to 1.3 are in its folder stories, which cmd/node runs too, on three nodes in one process.
package integration_test

import (
	"testing"

	"rollcall/testkit/nodetest"
)

func TestMain(m *testing.M) { nodetest.Main(m) }
