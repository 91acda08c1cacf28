//go:build !linux

package sse

import (
	"syscall"
	"time"
)

// giveUpAfter leaves it to the system when a peer that takes nothing is dead.
func giveUpAfter(syscall.RawConn, time.Duration) {}
