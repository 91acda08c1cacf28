package chaos

import (
	"testing"

	"rollcall/integration_test/nodetest"
)

func TestMain(m *testing.M) { nodetest.Main(m) }
