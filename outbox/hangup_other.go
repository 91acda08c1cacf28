//go:build !linux

package outbox

import "syscall"

// hungUp is false: here it cannot be told without reading.
func hungUp(syscall.RawConn) bool { return false }
