//go:build unix

package rawsock

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
)

// Direct returns the socket of nc if nothing stands between the two, so that it may be read, written and waited for past nc;
// else nil (TLS).
func Direct(nc net.Conn) syscall.RawConn {
	switch nc := nc.(type) {
	case *net.TCPConn:
		return socket(nc)
	case *net.UnixConn:
		return socket(nc)
	}
	return nil
}

// Writable returns the socket below nc if bytes may be written to it directly, else nil (TLS).
func Writable(nc net.Conn) syscall.RawConn {
	if p, ok := nc.(interface {
		TCPConn() (*net.TCPConn, bool) // a connection with a PROXY protocol header before it
	}); ok {
		if tcp, ok := p.TCPConn(); ok {
			nc = tcp
		}
	}
	if sc, ok := nc.(syscall.Conn); ok {
		return socket(sc)
	}
	return nil
}

func socket(sc syscall.Conn) syscall.RawConn {
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// AwaitInput waits until the socket has input, has ended or is closed.
func AwaitInput(raw syscall.RawConn) {
	first := true
	_ = raw.Read(func(fd uintptr) bool {
		if !first {
			return true // the runtime saw something happen
		}
		first = false
		return hasInput(fd)
	})
}

// call is one read or write: what the runtime's poller calls back.
type call struct {
	now  func(fd uintptr, p []byte) (int, error)
	try  func(fd uintptr) bool // c.attempt
	p    []byte
	n    int
	err  error
	wait bool // for a socket that is not ready
}

func newCall(now func(uintptr, []byte) (int, error), wait bool) *call {
	c := &call{now: now, wait: wait}
	c.try = c.attempt
	return c
}

// attempt makes the call; false: the runtime is to wait until the socket is ready and to call again.
func (c *call) attempt(fd uintptr) bool {
	for {
		n, err := c.now(fd, c.p)
		switch err {
		case nil:
			c.n = n
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			return !c.wait
		default:
			c.err = err
		}
		return true
	}
}

// run gives the call to the poller's do for p.
func (c *call) run(do func(func(uintptr) bool) error, p []byte) (int, error) {
	c.p, c.n, c.err = p, 0, nil
	err := do(c.try)
	n := c.n
	if err == nil {
		err = c.err
	}
	c.p, c.err = nil, nil
	return n, err
}

// Writer makes single writes that do not wait. The zero Writer is ready; it is used by one goroutine at a time.
type Writer struct{ c *call }

// Write writes as much of p as the socket takes at once. A full socket is no error.
func (w *Writer) Write(raw syscall.RawConn, p []byte) (n int, err error) {
	if w.c == nil {
		w.c = newCall(writeNow, false)
	}
	return w.c.run(raw.Write, p)
}

var (
	reads  = sync.Pool{New: func() any { return newCall(readNow, true) }}
	writes = sync.Pool{New: func() any { return newCall(writeNow, true) }}
)

// Read is the Read of a net.Conn whose socket is raw.
func Read(raw syscall.RawConn, p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	c := reads.Get().(*call)
	n, err := c.run(raw.Read, p)
	reads.Put(c)
	switch {
	case err != nil:
		return 0, failed("read", err)
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

// write is the Write of a net.Conn whose socket is raw.
func write(raw syscall.RawConn, p []byte) (n int, err error) {
	c := writes.Get().(*call)
	defer writes.Put(c)
	for n < len(p) {
		took, err := c.run(raw.Write, p[n:])
		n += took
		if err != nil {
			return n, failed("write", err)
		}
	}
	return n, nil
}

// failed makes an error one as net's own.
func failed(op string, err error) error {
	if _, ok := err.(syscall.Errno); ok {
		return &net.OpError{Op: op, Net: "raw", Err: os.NewSyscallError(op, err)}
	}
	return err // of the poller: deadline exceeded, closed
}

// Conn gives nc, or if it is a plain socket one that is read and written by raw calls.
func Conn(nc net.Conn) net.Conn {
	switch plain := nc.(type) {
	case *net.TCPConn:
		if raw := socket(plain); raw != nil {
			return &tcpConn{plain, raw}
		}
	case *net.UnixConn:
		if raw := socket(plain); raw != nil {
			return &unixConn{plain, raw}
		}
	}
	return nc
}

type tcpConn struct {
	*net.TCPConn
	raw syscall.RawConn
}

func (c *tcpConn) Read(p []byte) (int, error)  { return Read(c.raw, p) }
func (c *tcpConn) Write(p []byte) (int, error) { return write(c.raw, p) }

type unixConn struct {
	*net.UnixConn
	raw syscall.RawConn
}

func (c *unixConn) Read(p []byte) (int, error)  { return Read(c.raw, p) }
func (c *unixConn) Write(p []byte) (int, error) { return write(c.raw, p) }
