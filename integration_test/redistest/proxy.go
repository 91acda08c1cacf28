package redistest

import (
	"net"
	"sync"
	"testing"
)

// Proxy is a TCP proxy on a free port of 127.0.0.1 that makes network faults.
//
//	Drop    bytes are swallowed, both ways; nothing is closed. New connections are accepted and lead nowhere.
//	        What a peer sees of a partition or of a NAT that forgot it: half-open.
//	Hold    bytes stop, both ways, and are delivered after Resume, late: what TCP makes
//	        of a partition that ends before a timeout does.
//	Cut     every connection is closed now; new ones work, unless Drop or Hold are on.
//	Refuse  as Cut, and new ones are closed at once, until Resume.
//	Retarget
//	        New connections lead to another server, old ones stay: a failover behind one address.
//	Resume  new connections work again. One that has lost bytes stays half-open
//	        until it is closed: a stream with a hole would be no TCP.
//
// Invariant: a connection either delivers every byte in order or, from some byte on, none.
type Proxy struct {
	listener net.Listener
	running  sync.WaitGroup

	mu     sync.Mutex
	change sync.Cond // on mu: mode or closed has changed
	mode   mode
	target string
	closed bool
	count  int
	pairs  map[*pair]struct{}
}

type mode int

const (
	pass mode = iota
	drop
	hold
	refuse
)

// pair is one client's connection and the one to the target. deaf (guarded by Proxy.mu): it has lost bytes.
type pair struct {
	client, server net.Conn
	deaf           bool
}

// NewProxy starts a proxy to target (host:port). It ends with the test.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("proxy: %v", err)
	}
	p := &Proxy{target: target, listener: l, pairs: make(map[*pair]struct{})}
	p.change.L = &p.mu
	p.running.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

// Addr is host:port of the proxy.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// URL is the proxy as a Redis URL; for a Standalone or Mini behind it.
func (p *Proxy) URL() string { return "redis://" + p.Addr() }

// Drop swallows all bytes from now on.
func (p *Proxy) Drop() { p.set(drop, false) }

// Hold keeps all bytes back from now on.
func (p *Proxy) Hold() { p.set(hold, false) }

// Refuse closes all connections, and new ones at once.
func (p *Proxy) Refuse() { p.set(refuse, true) }

// Resume ends Drop, Hold and Refuse.
func (p *Proxy) Resume() { p.set(pass, false) }

// Cut closes all connections.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cutLocked()
}

// Retarget leads new connections to another server (host:port).
func (p *Proxy) Retarget(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

// Len is the number of open connections through the proxy.
func (p *Proxy) Len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.pairs)
}

// Count is the number of connections that were led to the target so far.
func (p *Proxy) Count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count
}

func (p *Proxy) set(m mode, cut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mode = m
	if cut {
		p.cutLocked()
	}
	p.change.Broadcast()
}

func (p *Proxy) cutLocked() {
	for c := range p.pairs {
		c.client.Close()
		c.server.Close()
	}
}

func (p *Proxy) close() {
	p.listener.Close()
	p.mu.Lock()
	p.closed = true
	p.cutLocked()
	p.change.Broadcast()
	p.mu.Unlock()
	p.running.Wait()
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.running.Go(func() { p.serve(client) })
	}
}

func (p *Proxy) serve(client net.Conn) {
	defer client.Close()
	p.mu.Lock()
	target := p.target
	p.mu.Unlock()
	server, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer server.Close()
	c := &pair{client: client, server: server}
	p.mu.Lock()
	if p.closed || p.mode == refuse {
		p.mu.Unlock()
		return
	}
	p.pairs[c] = struct{}{}
	p.count++
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.pairs, c)
		p.mu.Unlock()
	}()
	var both sync.WaitGroup
	both.Go(func() { p.copy(c, server, client) })
	both.Go(func() { p.copy(c, client, server) })
	both.Wait()
}

// copy moves bytes one way until its source ends. The end of a stream is held back and swallowed
// like its bytes; else it closes the other side too.
func (p *Proxy) copy(c *pair, to, from net.Conn) {
	defer from.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		passes := p.mayPass(c)
		if n > 0 && passes {
			if _, err := to.Write(buf[:n]); err != nil {
				to.Close()
				return
			}
		}
		if err != nil {
			if passes {
				to.Close()
			}
			return
		}
	}
}

// mayPass reports whether what has just been read may go on; it waits while they are held.
func (p *Proxy) mayPass(c *pair) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.mode == hold && !p.closed {
		p.change.Wait()
	}
	if p.mode == drop {
		c.deaf = true
	}
	return !c.deaf
}
