//go:build unix

package wsconn

import (
	"net"
	"syscall"
)

// waitable returns the socket of nc if nothing between the two can hold back input, else nil.
func waitable(nc net.Conn) syscall.RawConn {
	switch sc := nc.(type) {
	case *net.TCPConn:
		raw, err := sc.SyscallConn()
		if err == nil {
			return raw
		}
	case *net.UnixConn:
		raw, err := sc.SyscallConn()
		if err == nil {
			return raw
		}
	}
	return nil
}

// awaitInput waits until the socket has input, has ended or is closed.
func awaitInput(raw syscall.RawConn) {
	first := true
	_ = raw.Read(func(fd uintptr) bool {
		if !first {
			return true // the runtime saw something happen
		}
		first = false
		return hasInput(fd)
	})
}
