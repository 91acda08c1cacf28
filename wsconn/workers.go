package wsconn

import (
	"iter"
	"slices"
	"sync"
)

// workers is the pool of stacks on which turns run. There are as many as Handlers have been at work at once within the last
// second or two, grown to what Handlers need. So a connection without input keeps no more than a small goroutine that waits for the
// socket; with input it goes on on a worker's stack, without the scheduler in between.
type workers struct {
	mu    sync.Mutex
	idle  []*worker // the last one that went idle is used first
	spare int       // how many of them were not used since the last trim
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
	p.keep(w)
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
	p.spare = min(p.spare, n-1)
	return w
}

// keep makes w available.
func (p *workers) keep(w *worker) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = append(p.idle, w)
}

// trim ends the workers that have not been needed since the last trim.
func (p *workers) trim() {
	p.mu.Lock()
	over := slices.Clone(p.idle[:p.spare])
	p.idle = slices.Delete(p.idle, 0, p.spare)
	p.spare = len(p.idle)
	p.mu.Unlock()
	for _, w := range over {
		w.stop()
	}
}
