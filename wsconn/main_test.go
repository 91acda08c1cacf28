//go:build unix

package wsconn

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain fails on leaked goroutines. As a child of a benchmark the test binary is the clients instead.
func TestMain(m *testing.M) {
	if os.Getenv(crowdEnv) != "" {
		runCrowd(os.Stdin, os.Stdout)
		return
	}
	goleak.VerifyTestMain(m)
}
