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
	Within(t, what, timeout, holds)
}

// Within is Eventually for what may take a longer time, or must take a shorter one.
func Within(t testing.TB, what string, limit time.Duration, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %v: %s", limit, what)
		}
	}
}

// Receive takes from a channel what must come.
func Receive[T any](t testing.TB, ch <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(10 * time.Second):
		t.Fatalf("%s did not come", what)
		panic("unreachable")
	}
}
