//go:build unix

package apptest

import (
	"syscall"
	"time"
)

// clock counts real time for the budgets of Lua, which time stands still for in a bubble. It runs at a quarter of the
// pace: the machine may be busy with other cases, and none is to fail for that.
func clock() time.Duration {
	var t syscall.Timeval
	if err := syscall.Gettimeofday(&t); err != nil {
		return 0
	}
	return time.Duration(t.Nano()) / 4
}
