package testkit

import (
	"testing"
	"time"
)

// timeout is how long a test waits for what should come soon, on a busy machine too.
const timeout = 15 * time.Second

// Eventually waits for a condition that another goroutine or process brings about.
func Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(timeout); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}
