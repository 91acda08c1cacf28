package memnet

import (
	"context"
	"net"
	"sync"
	"syscall"
)

// Network is connections that can be cut together, such as those of one process. The zero value is ready.
type Network struct {
	mu    sync.Mutex
	conns map[*conn]struct{} // one end of each
	down  bool
}

// Dial makes a connection and returns its ends; after Cut it is refused.
func (n *Network) Dial(client, server net.Addr) (net.Conn, net.Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.down {
		return nil, nil, &net.OpError{Op: "dial", Net: "memory", Source: client, Addr: server, Err: syscall.ECONNREFUSED}
	}
	here, there := pipe(client, server)
	if n.conns == nil {
		n.conns = map[*conn]struct{}{}
	}
	n.conns[here] = struct{}{}
	here.closed = func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.conns, here)
	}
	return here, there, nil
}

// Cut breaks all connections, as the death of their process does: what is on its way is lost, and both ends are told
// that they are reset. There are no new ones.
func (n *Network) Cut() {
	n.mu.Lock()
	conns := n.conns
	n.conns, n.down = nil, true
	n.mu.Unlock()
	for c := range conns {
		c.reset()
	}
}

// Listener takes connections of a Network.
type Listener struct {
	network *Network
	addr    net.Addr
	conns   chan net.Conn
	done    chan struct{}
	once    sync.Once
}

// Listen makes a listener.
func (n *Network) Listen(addr net.Addr) *Listener {
	return &Listener{network: n, addr: addr, conns: make(chan net.Conn), done: make(chan struct{})}
}

// Dial connects a client with this address.
func (l *Listener) Dial(ctx context.Context, client net.Addr) (net.Conn, error) {
	here, there, err := l.network.Dial(client, l.addr)
	if err != nil {
		return nil, err
	}
	select {
	case l.conns <- there:
		return here, nil
	case <-l.done:
		err = &net.OpError{Op: "dial", Net: "memory", Source: client, Addr: l.addr, Err: syscall.ECONNREFUSED}
	case <-ctx.Done():
		err = ctx.Err()
	}
	_ = here.Close()
	return nil, err
}

// Accept waits for the next client.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close ends Accept. Connections stay.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

// Addr is where it listens.
func (l *Listener) Addr() net.Addr { return l.addr }
