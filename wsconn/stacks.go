package wsconn

import (
	"iter"
	"slices"
	"sync"
)

// stackPool holds the stacks on which connections are served. There are as many as Handlers have been at work at once
// within the last second or two, grown to what Handlers need. So a connection without input keeps no more than a small
// goroutine that waits for the socket; with input it goes on on a stack of the pool, without the scheduler in between.
type stackPool struct {
	mu    sync.Mutex
	idle  []*stack // the last one that went idle is used first
	spare int      // how many of them were not used since the last trim
}

// stack is that of a coroutine, which serves one connection for each call of next.
type stack struct {
	c       *Conn // that is served
	waiting bool  // what serve said
	next    func() (struct{}, bool)
	stop    func()
}

func newStack() *stack {
	k := &stack{}
	k.next, k.stop = iter.Pull(func(yield func(struct{}) bool) {
		for {
			k.waiting = k.c.serve()
			if !yield(struct{}{}) {
				return
			}
		}
	})
	return k
}

// serve serves c on a stack of the pool.
func (p *stackPool) serve(c *Conn) (waiting bool) {
	k := p.take()
	k.c = c
	k.next()
	waiting, k.c = k.waiting, nil
	p.keep(k)
	return waiting
}

func (p *stackPool) take() *stack {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.idle)
	if n == 0 {
		return newStack()
	}
	k := p.idle[n-1]
	p.idle[n-1] = nil
	p.idle = p.idle[:n-1]
	p.spare = min(p.spare, n-1)
	return k
}

// keep makes k available.
func (p *stackPool) keep(k *stack) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = append(p.idle, k)
}

// trim frees the stacks that have not been needed since the last trim.
func (p *stackPool) trim() {
	p.mu.Lock()
	over := slices.Clone(p.idle[:p.spare])
	p.idle = slices.Delete(p.idle, 0, p.spare)
	p.spare = len(p.idle)
	p.mu.Unlock()
	for _, k := range over {
		k.stop()
	}
}
