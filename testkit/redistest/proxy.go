package redistest

import (
	"bytes"
	"net"
	"sync"
	"testing"
	"time"
)

// Proxy is a TCP proxy on a free port of 127.0.0.1 that makes network faults.
//
//	Drop    bytes are swallowed, both ways; nothing is closed. New connections are accepted and lead nowhere.
//	        What a peer sees of a partition or of a NAT that forgot it: half-open.
//	DropSubscriptions
//	        As Drop, but only for connections that subscribe, those before and those while it is on; commands go on.
//	DropRequests, DropRequestsOfSubscriptions
//	        As the two, but only what clients send is swallowed; what the server sends still comes.
//	DropAnswers
//	        As Drop, but only what the server sends is swallowed; it still hears its clients.
//	Slow    bytes are delivered later, both ways.
//	Hold    bytes stop, both ways, and are delivered after Resume, late: what TCP makes
//	        of a partition that ends before a timeout does.
//	Cut     every connection is closed now; new ones work, unless Drop or Hold are on.
//	Refuse  as Cut, and new ones are closed at once, until Resume.
//	Retarget
//	        New connections lead to another server, old ones stay: a failover behind one address.
//	Forget  Subscriptions that are open now stay half-open for good; everything else, and new ones, work.
//	Resume  new connections work again. One that has lost bytes stays half-open
//	        until it is closed: a stream with a hole would be no TCP.
//
// Invariant: each way of a connection either delivers every byte in order or, from some byte on, none.
type Proxy struct {
	listener net.Listener
	running  sync.WaitGroup

	mu     sync.Mutex
	change sync.Cond // on mu: mode or closed has changed
	mode   mode
	loss   loss // of mode drop
	delay  time.Duration
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

// loss is what Drop swallows.
type loss struct {
	subscriptions bool // only those; else every connection
	requests      bool // only what clients send; else both ways
	answers       bool // only what the server sends
}

// way is a direction of a connection.
type way int

const (
	request way = iota // from the client
	answer
)

// pair is one client's connection and the one to the target.
type pair struct {
	client, server net.Conn

	// Guarded by Proxy.mu.
	deaf       [2]bool // by way: it has lost bytes
	subscribes bool    // the client has sent SUBSCRIBE
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
func (p *Proxy) Drop() { p.drop(loss{}) }

// DropSubscriptions swallows all bytes of connections that subscribe.
func (p *Proxy) DropSubscriptions() { p.drop(loss{subscriptions: true}) }

// DropRequests swallows what clients send.
func (p *Proxy) DropRequests() { p.drop(loss{requests: true}) }

// DropAnswers swallows what the server sends.
func (p *Proxy) DropAnswers() { p.drop(loss{answers: true}) }

// Slow delivers all bytes later by a time, at most a second, until Resume.
func (p *Proxy) Slow(by time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = min(by, time.Second)
}

// DropRequestsOfSubscriptions swallows what clients send on connections that subscribe.
func (p *Proxy) DropRequestsOfSubscriptions() { p.drop(loss{subscriptions: true, requests: true}) }

// Forget swallows all bytes of the subscriptions that are open now; it returns their number.
func (p *Proxy) Forget() (forgotten int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.pairs {
		if c.subscribes {
			c.deaf = [2]bool{true, true}
			forgotten++
		}
	}
	return forgotten
}

func (p *Proxy) drop(l loss) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mode, p.loss = drop, l
	p.change.Broadcast()
}

// Hold keeps all bytes back from now on.
func (p *Proxy) Hold() { p.set(hold, false) }

// Refuse closes all connections, and new ones at once.
func (p *Proxy) Refuse() { p.set(refuse, true) }

// Resume ends Drop, Hold, Refuse and Slow.
func (p *Proxy) Resume() {
	p.Slow(0)
	p.set(pass, false)
}

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
	both.Go(func() { p.copy(c, request, server, client) })
	both.Go(func() { p.copy(c, answer, client, server) })
	both.Wait()
}

// copy moves bytes one way until its source ends. The end of a stream is held back and swallowed
// like its bytes; else it closes the other side too.
func (p *Proxy) copy(c *pair, w way, to, from net.Conn) {
	defer from.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		passes := p.mayPass(c, w, w == request && subscribes(buf[:n]))
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
func (p *Proxy) mayPass(c *pair, w way, subscribes bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.subscribes = c.subscribes || subscribes
	if delay := p.delay; delay > 0 {
		p.mu.Unlock()
		time.Sleep(delay) // what is imitated is a slow way
		p.mu.Lock()
	}
	for p.mode == hold && !p.closed {
		p.change.Wait()
	}
	if p.mode == drop && (c.subscribes || !p.loss.subscriptions) && (w == request || !p.loss.requests) &&
		(w == answer || !p.loss.answers) {
		c.deaf[w] = true
	}
	return !c.deaf[w]
}

// subscribes tells whether a client's bytes hold a SUBSCRIBE or SSUBSCRIBE. Commands are short and come in one piece.
func subscribes(b []byte) bool {
	b = bytes.ToLower(b)
	return bytes.Contains(b, []byte("\r\n$9\r\nsubscribe\r\n")) || bytes.Contains(b, []byte("\r\n$10\r\nssubscribe\r\n"))
}
