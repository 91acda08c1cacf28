//go:build !linux

package luavm

import (
	"testing"
	"time"
)

var began = time.Now()

// threadTime is the time of a clock, where none tells that of a thread.
func threadTime(testing.TB) time.Duration { return time.Since(began) }
