package sse

import (
	"errors"
	"net"
	"syscall"

	"rollcall/outbox"
	"rollcall/rawsock"
)

// Conn is one event stream.
type Conn struct {
	outbox.Conn

	// Static after Accept, h after Start.
	s      *Server
	stream stream
	waits  syscall.RawConn // the socket if it can be waited for without reading, else nil (TLS)
	h      outbox.Handler
}

// Start has the calls of h begin; Message is not called. It is called once and does not block. When the sockets have
// been closed it calls h in the caller's goroutine instead, so that h gets its Open and Closed.
func (c *Conn) Start(h outbox.Handler) {
	c.h = h
	if !c.s.sockets.Go(c.open) {
		c.open()
	}
}

// open runs the Handler's Open, whose stack ends with it.
func (c *Conn) open() {
	c.Handle(c.h.Open)
	c.Begin(func() string {
		c.stream.begun = true
		return c.stream.header
	})
	if c.waits == nil || !c.s.sockets.Go(c.wait) {
		c.wait()
	}
}

// wait sees the stream to its end. It uses little stack.
func (c *Conn) wait() {
	why := outbox.WhyDropped
	if err := c.awaitEnd(); errors.Is(err, syscall.ETIMEDOUT) {
		why = outbox.WhyDead
	}
	c.NoteEnd(outbox.CloseInfo{Code: outbox.CodeAbnormal, ByPeer: true, Why: why})
	info := c.Finish(false)
	c.s.count.Add(-1)
	c.Handle(func() { c.h.Closed(info) })
}

// awaitEnd returns when the client has ended its half, or the socket is closed. A client that sends something after its
// request is sent away, since nobody would answer.
func (c *Conn) awaitEnd() error {
	var buf [128]byte
	for {
		n, err := c.read(buf[:])
		if err != nil {
			return err
		}
		if n > 0 {
			c.Close(outbox.CodePolicy, "nothing can be sent on an event stream")
		}
	}
}

func (c *Conn) read(p []byte) (n int, err error) {
	if c.waits == nil {
		return c.Socket().Read(p)
	}
	rawsock.AwaitInput(c.waits)
	return rawsock.Read(c.waits, p)
}

// socketOf finds the socket below TLS; nil: there is none that the system knows.
func socketOf(nc net.Conn) syscall.RawConn {
	if t, ok := nc.(interface{ NetConn() net.Conn }); ok {
		nc = t.NetConn()
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
