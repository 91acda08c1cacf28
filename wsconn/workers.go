package wsconn

import "sync"

// workers is the pool of goroutines that read connections with input and call their Handlers. There are as many
// as Handlers are at work, and a few more that wait, with stacks that have grown to what Handlers need. A
// connection without input thus keeps no more than a small goroutine that waits for the socket.
type workers struct {
	most int // idle ones kept

	mu     sync.Mutex
	idle   []*worker // the last one that went idle is used first
	closed bool

	running sync.WaitGroup
}

// worker is one goroutine of the pool. A nil Conn ends it.
type worker struct{ next chan *Conn }

// serve has a worker take a turn of c.
func (p *workers) serve(c *Conn) {
	p.mu.Lock()
	if n := len(p.idle); n > 0 {
		w := p.idle[n-1]
		p.idle[n-1] = nil
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		w.next <- c
		return
	}
	p.mu.Unlock()
	p.running.Go(func() { p.run(c) })
}

func (p *workers) run(c *Conn) {
	w := &worker{next: make(chan *Conn, 1)}
	for c != nil {
		c.turn()
		if !p.rest(w) {
			return
		}
		c = <-w.next
	}
}

// rest makes w available; false when it has to end.
func (p *workers) rest(w *worker) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.idle) >= p.most {
		return false
	}
	p.idle = append(p.idle, w)
	return true
}

// close returns when all workers have ended. No connection may be left.
func (p *workers) close() {
	p.mu.Lock()
	p.closed = true
	for _, w := range p.idle {
		w.next <- nil
	}
	p.idle = nil
	p.mu.Unlock()
	p.running.Wait()
}
