//go:build unix

package wsconn

import (
	"net"
	"syscall"
)

// rawWriter makes single write calls that do not block. It is used by one goroutine.
type rawWriter struct {
	fn  func(fd uintptr) bool
	p   []byte
	n   int
	err error
}

// write writes as much of p as the socket takes at once. A full socket is no error.
func (w *rawWriter) write(raw syscall.RawConn, p []byte) (n int, err error) {
	if w.fn == nil {
		w.fn = w.call
	}
	w.p, w.n, w.err = p, 0, nil
	if err := raw.Write(w.fn); err != nil {
		return 0, err
	}
	return w.n, w.err
}

// call always returns true: the runtime must not wait for the socket.
func (w *rawWriter) call(fd uintptr) bool {
	for {
		n, err := writeNow(fd, w.p)
		switch err {
		case nil:
			w.n = n
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
		default:
			w.err = err
		}
		return true
	}
}

// rawConn returns the socket below nc if bytes may be written to it directly, else nil.
func rawConn(nc net.Conn) syscall.RawConn {
	if p, ok := nc.(interface {
		TCPConn() (*net.TCPConn, bool) // a connection with a PROXY protocol header before it
	}); ok {
		if tcp, ok := p.TCPConn(); ok {
			nc = tcp
		}
	}
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}
