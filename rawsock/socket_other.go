//go:build !unix

package rawsock

import (
	"errors"
	"net"
	"syscall"
)

// Here sockets are read and written by way of net.

func Direct(net.Conn) syscall.RawConn { return nil }

func Writable(net.Conn) syscall.RawConn { return nil }

func AwaitInput(syscall.RawConn) {}

func Conn(nc net.Conn) net.Conn { return nc }

func Plain(nc net.Conn) net.Conn { return nc }

func Listener(ln net.Listener) net.Listener { return ln }

func Read(syscall.RawConn, []byte) (int, error) { return 0, errors.ErrUnsupported }

// Writer is not used here: no connection is written without blocking.
type Writer struct{}

func (*Writer) Write(syscall.RawConn, []byte) (int, error) { return 0, errors.ErrUnsupported }
