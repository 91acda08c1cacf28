package app

import (
	"fmt"
	"sync"

	lua "github.com/yuin/gopher-lua"

	"rollcall/luavm"
)

// worker is a VM that has run one handler file and can run turns: events of connections, or HTTP requests.
type worker struct {
	vm   *luavm.VM
	fns  []lua.LValue // the functions that routes name, by Route.index
	call call         // of the running turn
	buf  []byte       // for encoding, used again

	setRequest lua.LValue // a Lua function that sets the global request for the turn

	// Guarded by the pool's mu.
	busy  bool
	dead  bool           // broken, thrown away
	home  []chan *worker // turns that need this very VM, in order
	homed bool           // the last one served was of home
}

// line is where the function of a route begins, for failures that have no line of their own; 0: not known.
func (w *worker) line(route int) int {
	if fn, ok := w.fns[route].(*lua.LFunction); ok && fn.Proto != nil {
		return fn.Proto.LineDefined
	}
	return 0
}

// pool lends workers of one handler file. A turn has one to itself. There are about as many as can run at once, and
// more while some of them wait inside a call (for Redis), up to a limit; then turns wait, in the order they came.
//
//	idle ── get ──▶ busy ── put ──▶ idle, or straight to the next who waits
//
// Invariant: total counts idle and busy workers; nobody waits in line while a worker is idle.
type pool struct {
	make    func() (*worker, error)
	soft    int // workers that may run at once
	maximum int // workers in all

	mu      sync.Mutex
	idle    []*worker // the last used is the last
	total   int
	blocked int // busy workers that wait inside a call
	line    []chan *worker
	waiting int // in line, or for a worker of their own
}

func newPool(soft, maximum int, make func() (*worker, error)) *pool {
	return &pool{make: make, soft: max(soft, 1), maximum: max(maximum, soft, 1)}
}

// get lends a worker; home asks for that very one, and gives another only when it was thrown away. It waits until there
// is one. The error is one of making a worker.
func (p *pool) get(home *worker) (*worker, error) {
	p.mu.Lock()
	if home != nil && !home.dead {
		if !home.busy {
			p.take(home)
			p.mu.Unlock()
			return home, nil
		}
		turn := make(chan *worker, 1)
		home.home = append(home.home, turn)
		p.waiting++
		p.mu.Unlock()
		return p.await(turn)
	}
	if n := len(p.idle); n > 0 {
		w := p.idle[n-1]
		p.idle[n-1] = nil
		p.idle = p.idle[:n-1]
		w.busy = true
		p.mu.Unlock()
		return w, nil
	}
	if p.mayGrow() {
		p.total++
		p.mu.Unlock()
		return p.grow()
	}
	turn := make(chan *worker, 1)
	p.line = append(p.line, turn)
	p.waiting++
	p.mu.Unlock()
	return p.await(turn)
}

// await waits in line for a worker, or for a place to make a new one.
func (p *pool) await(turn <-chan *worker) (*worker, error) {
	w := <-turn
	p.mu.Lock()
	p.waiting--
	p.mu.Unlock()
	if w != nil {
		return w, nil
	}
	return p.grow()
}

func (p *pool) mayGrow() bool { return p.total < p.maximum && p.total-p.blocked < p.soft }

// grow makes the worker that was counted already.
func (p *pool) grow() (*worker, error) {
	w, err := p.make()
	if err != nil {
		p.mu.Lock()
		p.total--
		p.admit()
		p.mu.Unlock()
		return nil, fmt.Errorf("start a Lua VM: %w", err)
	}
	w.busy = true
	return w, nil
}

// take removes an idle worker from the list.
func (p *pool) take(w *worker) {
	for i, o := range p.idle {
		if o == w {
			p.idle = append(p.idle[:i], p.idle[i+1:]...)
			break
		}
	}
	w.busy = true
}

// put takes a worker back, for the next who waits for it. A broken one is thrown away, and those who wait for it get
// another.
func (p *pool) put(w *worker) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case w.vm.Broken():
		w.vm.Close()
		w.busy, w.dead = false, true
		p.total--
		p.line = append(w.home, p.line...)
		w.home = nil
		p.admit()
	case len(w.home) > 0 && (len(p.line) == 0 || !w.homed):
		w.home[0] <- w // buffered
		w.home, w.homed = w.home[1:], true
	case len(p.line) > 0:
		p.line[0] <- w // buffered
		p.line, w.homed = p.line[1:], false
	default:
		w.busy = false
		p.idle = append(p.idle, w)
	}
}

// admit lets those in line make workers where there is room.
func (p *pool) admit() {
	for len(p.line) > 0 && p.mayGrow() {
		p.total++
		p.line[0] <- nil // buffered
		p.line = p.line[1:]
	}
}

// block tells that a busy worker begins (1) or ends (-1) to wait inside a call.
func (p *pool) block(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.blocked += n
	if n > 0 {
		p.admit()
	}
}

// size is the number of workers, for tests.
func (p *pool) size() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.total
}

// load is what the pool has to do now: its workers, those that are lent, and the turns that wait for one.
func (p *pool) load() (workers, busy, waiting int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.total, p.total - len(p.idle), p.waiting
}
