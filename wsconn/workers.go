package wsconn

import (
	"iter"
	"sync"
)

// workers is the pool of stacks on which turns run. There are as many as Handlers are at work, and a few more that wait,
// grown to what Handlers need. So a connection without input keeps no more than a small goroutine that waits for the
// socket; with input it goes on on a worker's stack, without the scheduler in between.
type workers struct {
	most int // idle ones kept

	mu   sync.Mutex
	idle []*worker // the last one that went idle is used first
}

// worker is a coroutine: it runs one turn for each call of next.
type worker struct {
	c       *Conn // whose turn it is
	waiting bool  // what the turn said
	next    func() (struct{}, bool)
	stop    func()
}

func newWorker() *worker {
	w := &worker{}
	w.next, w.stop = iter.Pull(func(yield func(struct{}) bool) {
		for {
			w.waiting = w.c.turn()
			if !yield(struct{}{}) {
				return
			}
		}
	})
	return w
}

// turn runs a turn of c on a worker's stack.
func (p *workers) turn(c *Conn) (waiting bool) {
	w := p.take()
	w.c = c
	w.next()
	waiting, w.c = w.waiting, nil
	if !p.keep(w) {
		w.stop()
	}
	return waiting
}

func (p *workers) take() *worker {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.idle)
	if n == 0 {
		return newWorker()
	}
	w := p.idle[n-1]
	p.idle[n-1] = nil
	p.idle = p.idle[:n-1]
	return w
}

// keep makes w available; false when there are enough.
func (p *workers) keep(w *worker) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) >= p.most {
		return false
	}
	p.idle = append(p.idle, w)
	return true
}

// close ends the workers. No connection may be left.
func (p *workers) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.idle {
		w.stop()
	}
	p.idle = nil
}
