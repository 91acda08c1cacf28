package load

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// Crowd is many clients, of WebSockets or event streams, that one goroutine serves.
type Crowd struct {
	epoll   int
	members []*member
	byFD    map[int32]int
	buf     []byte

	// Counted since the start: frames with data, and bytes of them on the wire.
	Frames, Bytes int64
	Lost          int // connections that the other side has ended
}

// member is one client.
type member struct {
	fd     int
	stream bool   // it has an event stream
	part   []byte // the beginning of a frame or an event that has not come whole
	gone   bool
}

// Target is where a client connects.
type Target struct {
	Addr   string // host:port
	Path   string
	First  string // a text that it sends at once; "": none
	Stream bool   // an event stream, else a WebSocket
}

// NewCrowd makes a crowd without members.
func NewCrowd() (*Crowd, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make epoll: %w", err)
	}
	return &Crowd{epoll: fd, byFD: map[int32]int{}, buf: make([]byte, 256<<10)}, nil
}

// Close ends all members' connections.
func (c *Crowd) Close() {
	for i := range c.members {
		c.Leave(i)
	}
	_ = syscall.Close(c.epoll)
}

// Len is the number of members that have ever joined.
func (c *Crowd) Len() int { return len(c.members) }

// Join connects more members, inflight at a time; local addresses change from one to the next, since one pair of
// addresses has no more than 28,000 ports.
func (c *Crowd) Join(ctx context.Context, n, inflight int, target func(i int) Target) error {
	first := len(c.members)
	fds := make([]int, n)
	errs := make([]error, n)
	next := make(chan int)
	var workers sync.WaitGroup
	for range min(inflight, n) {
		workers.Go(func() {
			for i := range next {
				fds[i], errs[i] = dial(target(first+i), i)
			}
		})
	}
	for i := range n {
		if ctx.Err() != nil {
			errs[i] = ctx.Err()
			continue
		}
		next <- i
	}
	close(next)
	workers.Wait()
	if err := errors.Join(errs...); err != nil {
		for i, fd := range fds {
			if errs[i] == nil {
				_ = syscall.Close(fd)
			}
		}
		return err
	}
	for i, fd := range fds {
		if err := c.add(fd, target(first+i).Stream); err != nil {
			return err
		}
	}
	return nil
}

// JoinAll connects n members and returns when each has its first frame; frame is called for all that comes meanwhile.
func (c *Crowd) JoinAll(n int, target func(i int) Target, frame func(i int, payload []byte)) error {
	ready := make([]bool, len(c.members)+n)
	waiting := n
	note := func(i int, payload []byte) {
		if !ready[i] {
			ready[i] = true
			waiting--
		}
		frame(i, payload)
	}
	for i := range c.members {
		ready[i] = true
	}
	const step = 128 // what has come is read between, all of it: in a huge room that is much
	for done := 0; done < n; done += step {
		if err := c.Join(context.Background(), min(step, n-done), 64, target); err != nil {
			return err
		}
		for before := int64(-1); c.Bytes > before; {
			before = c.Bytes
			if err := c.Serve(0, note); err != nil {
				return err
			}
		}
	}
	for end := time.Now().Add(time.Minute); waiting > 0; {
		if time.Now().After(end) {
			return fmt.Errorf("%d of %d clients have no first frame after a minute, %d are lost", waiting, n, c.Lost)
		}
		if err := c.Serve(10*time.Millisecond, note); err != nil {
			return err
		}
	}
	return nil
}

// add takes a connected socket in.
func (c *Crowd) add(fd int, stream bool) error {
	if err := syscall.SetNonblock(fd, true); err != nil {
		return fmt.Errorf("take a client in: %w", err)
	}
	c.byFD[int32(fd)] = len(c.members)
	c.members = append(c.members, &member{fd: fd, stream: stream})
	e := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)}
	if err := syscall.EpollCtl(c.epoll, syscall.EPOLL_CTL_ADD, fd, &e); err != nil {
		return fmt.Errorf("take a client in: %w", err)
	}
	return nil
}

// dial makes the handshake, or asks for the stream.
func dial(t Target, i int) (fd int, err error) {
	addr, err := netip.ParseAddrPort(t.Addr)
	if err != nil {
		return 0, err
	}
	if fd, err = syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0); err != nil {
		return 0, fmt.Errorf("make a socket: %w", err)
	}
	defer func() {
		if err != nil {
			_ = syscall.Close(fd)
		}
	}()
	wait := syscall.Timeval{Sec: 20}
	_ = syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &wait)
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, byte(1 + i%8)}}); err != nil {
		return 0, fmt.Errorf("bind: %w", err)
	}
	if err := syscall.Connect(fd, &syscall.SockaddrInet4{Addr: addr.Addr().As4(), Port: int(addr.Port())}); err != nil {
		return 0, fmt.Errorf("connect: %w", err)
	}
	want := "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
		"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
	status := "HTTP/1.1 101 "
	if t.Stream {
		want, status = "Accept: text/event-stream\r\n", "HTTP/1.1 200 "
	}
	request := "GET " + t.Path + " HTTP/1.1\r\nHost: " + t.Addr + "\r\n" + want + "\r\n"
	if _, err := syscall.Write(fd, []byte(request)); err != nil {
		return 0, fmt.Errorf("write handshake: %w", err)
	}
	// Byte by byte at its end would be slow, and frames may follow at once: they are looked at without being taken.
	var head [4096]byte
	for {
		n, _, err := syscall.Recvfrom(fd, head[:], syscall.MSG_PEEK)
		if err == syscall.EINTR { // the runtime's own signals; with a timeout the kernel does not go on by itself
			continue
		}
		if err != nil || n == 0 {
			return 0, fmt.Errorf("read handshake: %w", err)
		}
		if end := bytes.Index(head[:n], []byte("\r\n\r\n")); end >= 0 {
			if !bytes.HasPrefix(head[:n], []byte(status)) {
				return 0, fmt.Errorf("handshake refused: %.200s", head[:n])
			}
			if _, err := syscall.Read(fd, head[:end+4]); err != nil {
				return 0, fmt.Errorf("read handshake: %w", err)
			}
			if t.First != "" {
				_, err = syscall.Write(fd, clientFrame(opText, []byte(t.First)))
			}
			return fd, err
		}
	}
}

// Send sends a text from one member. It must fit into the socket's buffer.
func (c *Crowd) Send(i int, text []byte) error {
	_, err := syscall.Write(c.members[i].fd, clientFrame(opText, text))
	return err
}

// Ignore stops reading what a member is sent.
func (c *Crowd) Ignore(i int) error {
	m := c.members[i]
	if err := syscall.EpollCtl(c.epoll, syscall.EPOLL_CTL_DEL, m.fd, nil); err != nil {
		return fmt.Errorf("ignore a client: %w", err)
	}
	return nil
}

// Gone tells whether a member's connection is over.
func (c *Crowd) Gone(i int) bool { return c.members[i].gone }

// Leave closes a member's socket without a close handshake.
func (c *Crowd) Leave(i int) {
	m := c.members[i]
	if !m.gone {
		m.gone = true
		delete(c.byFD, int32(m.fd))
		_ = syscall.Close(m.fd)
	}
}

// Serve reads for at most wait, and calls frame for each text that has come; payload is valid during the call only.
func (c *Crowd) Serve(wait time.Duration, frame func(i int, payload []byte)) error {
	var events [256]syscall.EpollEvent
	n, err := syscall.EpollWait(c.epoll, events[:], int(wait/time.Millisecond))
	if err != nil && err != syscall.EINTR {
		return fmt.Errorf("wait for clients: %w", err)
	}
	for _, e := range events[:max(n, 0)] {
		i, ok := c.byFD[e.Fd]
		if !ok {
			continue
		}
		m := c.members[i]
		n, err := syscall.Read(m.fd, c.buf)
		switch {
		case err == syscall.EAGAIN || err == syscall.EINTR:
			continue
		case err != nil || n == 0:
			c.Lost++
			c.Leave(i)
			continue
		}
		data := c.buf[:n]
		if len(m.part) > 0 {
			m.part = append(m.part, data...)
			data = m.part
		}
		each := eachFrame
		if m.stream {
			each = eachEvent
		}
		rest := each(data, func(opcode byte, payload []byte) {
			switch opcode {
			case opText:
				c.Frames++
				frame(i, payload)
			case opPing: // a client that cannot take it now is pinged again
				_, _ = syscall.Write(m.fd, clientFrame(opPong, payload))
			}
		})
		c.Bytes += int64(n)
		if len(rest) == 0 {
			m.part = nil
		} else {
			m.part = append([]byte(nil), rest...)
		}
	}
	return nil
}

// Opcodes of frames (RFC 6455, 5.2).
const (
	opText = 1
	opPing = 9
	opPong = 10
)

// eachFrame calls f for each whole frame of a server (they are not masked) and gives back the rest.
func eachFrame(data []byte, f func(opcode byte, payload []byte)) (rest []byte) {
	for {
		if len(data) < 2 {
			return data
		}
		size, head := int(data[1]&0x7f), 2
		switch size {
		case 126:
			if len(data) < 4 {
				return data
			}
			size, head = int(binary.BigEndian.Uint16(data[2:])), 4
		case 127:
			if len(data) < 10 {
				return data
			}
			size, head = int(binary.BigEndian.Uint64(data[2:])), 10
		}
		if len(data) < head+size {
			return data
		}
		f(data[0]&0x0f, data[head:head+size])
		data = data[head+size:]
	}
}

// eachEvent calls f for the data of each whole event of a stream, which is one line here, as for a text, and gives back
// the rest.
func eachEvent(data []byte, f func(opcode byte, payload []byte)) (rest []byte) {
	for {
		event, rest, whole := bytes.Cut(data, []byte("\n\n"))
		if !whole {
			return data
		}
		for line := range bytes.SplitSeq(event, []byte("\n")) {
			if payload, ok := bytes.CutPrefix(line, []byte("data: ")); ok {
				f(opText, payload)
			}
		}
		data = rest
	}
}

// clientFrame is a frame with a mask of zeros.
func clientFrame(opcode byte, text []byte) []byte {
	b := make([]byte, 0, len(text)+14)
	b = append(b, 0x80|opcode)
	switch {
	case len(text) < 126:
		b = append(b, 0x80|byte(len(text)))
	default:
		b = append(b, 0x80|126)
		b = binary.BigEndian.AppendUint16(b, uint16(len(text)))
	}
	b = append(b, 0, 0, 0, 0)
	return append(b, text...)
}

// hostPort makes an address that dial can read.
func hostPort(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
