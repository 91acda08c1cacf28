package chaos

import (
	"testing"

	"rollcall/testkit/nodetest"
)

func TestMain(m *testing.M) { nodetest.Main(m) }
