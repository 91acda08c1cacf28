// Package compose_test brings docker-compose.yml up for real: Redis, three nodes from deploy/Dockerfile, HAProxy in
// front. It shows what only the whole can show. Users on different nodes see each other through the balancer, and a
// killed node costs its users no more than SPEC 5 says.
//
// It needs docker, docker-compose (or docker compose) and a daemon; without them it
// skips, and with ROLLCALL_TEST_REQUIRE set it fails. It uses a project name, a port
// and a subnet of its own, and removes all it made.
package compose_test

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
