//go:build unix

package main

import (
	"syscall"
	"time"
)

// timeUsed is the time the process has spent on cores; false: the system does not tell.
func timeUsed() (time.Duration, bool) {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0, false
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), true
}
