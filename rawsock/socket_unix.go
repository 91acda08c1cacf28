//go:build unix

package rawsock

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
)

// Direct returns the socket of nc if nothing stands between the two, so that it may be read, written and waited for
// past nc; else nil (TLS).
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

// call is one read or write that waits for the socket: what the runtime's poller calls back.
type call struct {
	now func(fd uintptr, p []byte) (int, error)
	try func(fd uintptr) bool // c.attempt
	p   []byte
	n   int
	err error
}

// calls gives a pool of calls; now is readNow or writeNow.
func calls(now func(uintptr, []byte) (int, error)) *sync.Pool {
	return &sync.Pool{New: func() any {
		c := &call{now: now}
		c.try = c.attempt
		return c
	}}
}

// attempt makes the call; false: the runtime is to wait until the socket is ready and to call again.
func (c *call) attempt(fd uintptr) bool {
	c.n, c.err = whole(c.now, fd, c.p)
	return c.err != syscall.EAGAIN
}

// run has the poller's do make the call for p.
func (c *call) run(do func(func(uintptr) bool) error, p []byte) (int, error) {
	c.p, c.n, c.err = p, 0, nil
	err := do(c.try)
	if err == nil {
		err = c.err
	}
	c.p = nil
	return c.n, err
}

// Writer makes single writes that do not wait. The zero Writer is ready; it is used by one goroutine at a time. No
// other may write to the same socket meanwhile.
type Writer struct {
	fn  func(fd uintptr) // w.write
	p   []byte
	n   int
	err error
}

// Write writes as much of p as the socket takes at once. A full socket is no error.
func (w *Writer) Write(raw syscall.RawConn, p []byte) (n int, err error) {
	if w.fn == nil {
		w.fn = w.write
	}
	w.p = p
	err = raw.Control(w.fn) // not its Write, which is for waiting
	if err == nil {
		err = w.err
	}
	n = w.n
	w.p, w.n, w.err = nil, 0, nil
	return n, err
}

func (w *Writer) write(fd uintptr) {
	n, err := whole(writeNow, fd, w.p)
	if err == syscall.EAGAIN {
		err = nil
	}
	w.n, w.err = n, err
}

// whole makes a call again that a signal interrupted.
func whole(now func(uintptr, []byte) (int, error), fd uintptr, p []byte) (n int, err error) {
	for {
		if n, err = now(fd, p); err != syscall.EINTR {
			return n, err
		}
	}
}

var (
	reads  = calls(readNow)
	writes = calls(writeNow)
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
	raw := Direct(nc)
	switch plain := nc.(type) {
	case *net.TCPConn:
		if raw != nil {
			return &tcpConn{plain, raw}
		}
	case *net.UnixConn:
		if raw != nil {
			return &unixConn{plain, raw}
		}
	}
	return nc
}

// Plain gives what Conn was given.
func Plain(nc net.Conn) net.Conn {
	switch c := nc.(type) {
	case *tcpConn:
		return c.TCPConn
	case *unixConn:
		return c.UnixConn
	}
	return nc
}

// Listener has ln accept connections of Conn.
func Listener(ln net.Listener) net.Listener { return listener{ln} }

type listener struct{ net.Listener }

func (l listener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return Conn(nc), nil
}

type tcpConn struct {
	*net.TCPConn
	raw syscall.RawConn
}

func (c *tcpConn) Read(p []byte) (int, error)  { return Read(c.raw, p) }
func (c *tcpConn) Write(p []byte) (int, error) { return write(c.raw, p) }

// SyscallConn lets a pool of connections look whether this one is still good, which is so as long as there is nothing
// to read.
func (c *tcpConn) SyscallConn() (syscall.RawConn, error) { return quiet{c.raw}, nil }

type unixConn struct {
	*net.UnixConn
	raw syscall.RawConn
}

func (c *unixConn) Read(p []byte) (int, error)            { return Read(c.raw, p) }
func (c *unixConn) Write(p []byte) (int, error)           { return write(c.raw, p) }
func (c *unixConn) SyscallConn() (syscall.RawConn, error) { return quiet{c.raw}, nil }

// quiet is a socket whose Read calls f only when there is something to read; it never waits.
type quiet struct{ syscall.RawConn }

func (q quiet) Read(f func(fd uintptr) bool) error {
	input := false
	if err := q.Control(func(fd uintptr) { input = hasInput(fd) }); err != nil || !input {
		return err
	}
	return q.RawConn.Read(f)
}
