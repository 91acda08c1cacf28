//go:build !unix

package wsconn

import (
	"errors"
	"net"
	"syscall"
)

// rawWriter is not used here: no connection is written without blocking.
type rawWriter struct{}

func (*rawWriter) write(syscall.RawConn, []byte) (int, error) { return 0, errors.ErrUnsupported }

func rawConn(net.Conn) syscall.RawConn { return nil }
