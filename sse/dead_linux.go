package sse

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// giveUpAfter has the system end a connection whose peer has not taken anything for so long: clients of event streams
// answer no pings. An end by it reads as ETIMEDOUT.
func giveUpAfter(raw syscall.RawConn, d time.Duration) {
	if raw == nil {
		return
	}
	_ = raw.Control(func(fd uintptr) { // sockets that are no TCP ones need it not
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
	})
}
