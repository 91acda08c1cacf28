//go:build !unix

package wsconn

import (
	"net"
	"syscall"
)

func waitable(net.Conn) syscall.RawConn { return nil }

func awaitInput(syscall.RawConn) {}
