package app

import (
	"container/heap"
	"fmt"
	"slices"
	"sync"
	"time"

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
	busy   bool
	heavy  bool // lent to a heavy connection
	dead   bool // broken: only turns that are parked here get it again
	parked int  // turns that wait in it, and will need it again
	home   line // turns that need this very VM
}

// line is where the function of a route begins, for failures that have no line of their own; 0: not known.
func (w *worker) line(route int) int {
	if fn, ok := w.fns[route].(*lua.LFunction); ok && fn.Proto != nil {
		return fn.Proto.LineDefined
	}
	return 0
}

// pool lends workers of one handler file. A turn has one to itself. There are about as many as can run at once, and
// more while some of them wait inside a call (for Redis), up to a limit; then turns wait.
//
//	idle ── get ──▶ busy ── put ──▶ idle, or straight to the next who waits
//	                 │ ▲
//	            park ▼ │ regain
//	                parked: others have it meanwhile
//
// They wait in the order of their ranks: who has used much of late stands further back (usage). Turns of heavy
// connections have no more workers than can run at once, and do not count for the others: those get more workers.
//
// Invariant: total counts idle and busy workers that are not dead; nobody but the heavy waits in line while a worker is
// idle, and they only while as many of them run as may.
type pool struct {
	make    func() (*worker, error)
	soft    int // workers that may run at once
	maximum int // workers in all

	mu      sync.Mutex
	idle    []*worker // the last used is the last
	total   int
	blocked int     // busy workers that wait inside a call
	heavy   running // of heavy connections
	light   line
	heavies line
	seq     uint64
	waiting int // in line, or for a worker of their own
	parked  int
}

// running counts workers of heavy connections.
type running struct{ busy, blocked int }

func (r running) count() int { return r.busy - r.blocked }

func newPool(soft, maximum int, make func() (*worker, error)) *pool {
	return &pool{make: make, soft: max(soft, 1), maximum: max(maximum, soft, 1)}
}

// get lends a worker to who has this rank; home asks for that very worker, and gives another only when it was thrown
// away. It waits until there is one; t is told before. The error is one of making a worker.
func (p *pool) get(home *worker, at rank, t *turn) (*worker, error) {
	p.mu.Lock()
	p.seq++
	at.seq = p.seq
	in := &p.light
	switch {
	case home != nil && !home.dead && !home.busy:
		p.idle = slices.DeleteFunc(p.idle, func(w *worker) bool { return w == home })
		p.lendLocked(home, at.heavy)
		p.mu.Unlock()
		return home, nil
	case home != nil && !home.dead:
		in = &home.home
	case len(p.idle) > 0 && p.mayRunLocked(at.heavy):
		w := p.lendIdleLocked(at.heavy)
		p.mu.Unlock()
		return w, nil
	case p.mayGrowLocked(at.heavy):
		p.reserveLocked(at.heavy)
		p.mu.Unlock()
		return p.grow(at.heavy)
	case at.heavy:
		in = &p.heavies
	}
	next := waiter{rank: at, lent: make(chan *worker, 1)}
	heap.Push(in, next)
	p.waiting++
	p.mu.Unlock()
	t.waits()
	w := <-next.lent
	p.mu.Lock()
	p.waiting--
	p.mu.Unlock()
	if w != nil {
		return w, nil
	}
	return p.grow(at.heavy)
}

// mayRunLocked tells whether one more turn may run if there is a worker for it.
func (p *pool) mayRunLocked(heavy bool) bool { return !heavy || p.heavy.count() < p.soft }

// mayGrowLocked tells whether one more worker may be made for a turn, when none is idle.
func (p *pool) mayGrowLocked(heavy bool) bool {
	run := p.total - p.blocked - len(p.idle)
	if !heavy {
		run -= p.heavy.count()
	}
	return len(p.idle) == 0 && p.total < p.maximum && run < p.soft
}

// reserveLocked counts a worker that is about to be made.
func (p *pool) reserveLocked(heavy bool) {
	p.total++
	if heavy {
		p.heavy.busy++
	}
}

// grow makes the worker that was counted already.
func (p *pool) grow(heavy bool) (*worker, error) {
	w, err := p.make()
	if err != nil {
		p.mu.Lock()
		p.total--
		if heavy {
			p.heavy.busy--
		}
		p.admitLocked()
		p.mu.Unlock()
		return nil, fmt.Errorf("start a Lua VM: %w", err)
	}
	w.busy, w.heavy = true, heavy
	return w, nil
}

func (p *pool) lendLocked(w *worker, heavy bool) {
	w.busy, w.heavy = true, heavy
	if heavy {
		p.heavy.busy++
	}
}

func (p *pool) lendIdleLocked(heavy bool) *worker {
	last := len(p.idle) - 1
	w := p.idle[last]
	p.idle[last] = nil
	p.idle = p.idle[:last]
	p.lendLocked(w, heavy)
	return w
}

// put takes a worker back, for the next who waits for it. A broken one is thrown away, and those who wait for it get
// another.
func (p *pool) put(w *worker) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.putLocked(w)
}

// park is put for a turn that waits in the worker's VM (luavm.VM.Park) and will regain it. It is told that the VM
// stays, also when it breaks meanwhile.
func (p *pool) park(w *worker) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w.parked++
	p.parked++
	p.putLocked(w)
}

// regain lends a worker to the turn that was parked in it.
func (p *pool) regain(w *worker, at rank) {
	p.mu.Lock()
	p.seq++
	at.seq = p.seq
	if !w.busy {
		p.idle = slices.DeleteFunc(p.idle, func(other *worker) bool { return other == w })
		p.lendLocked(w, at.heavy)
		w.parked--
		p.parked--
		p.mu.Unlock()
		return
	}
	next := waiter{rank: at, lent: make(chan *worker, 1), back: true}
	heap.Push(&w.home, next)
	p.waiting++
	p.mu.Unlock()
	<-next.lent
	p.mu.Lock()
	p.waiting--
	p.mu.Unlock()
}

func (p *pool) putLocked(w *worker) {
	if w.heavy {
		p.heavy.busy--
	}
	w.busy, w.heavy = false, false
	if w.vm.Broken() && !w.dead {
		p.retireLocked(w)
	}
	first := p.firstLocked()
	switch {
	case len(w.home) > 0 && (w.dead || first == nil || w.home[0].before((*first)[0].rank)):
		next := heap.Pop(&w.home).(waiter)
		p.lendLocked(w, next.heavy)
		if next.back {
			w.parked--
			p.parked--
		}
		next.lent <- w // buffered
	case !w.dead:
		p.idle = append(p.idle, w)
	case w.parked == 0:
		w.vm.Close()
	}
	p.admitLocked()
}

// retireLocked keeps a worker from all but those parked in it; who waits for it otherwise gets another.
func (p *pool) retireLocked(w *worker) {
	w.dead = true
	p.total--
	all := w.home
	w.home = nil
	for _, next := range all {
		if next.back {
			heap.Push(&w.home, next)
		} else {
			heap.Push(p.lineOf(next.heavy), next)
		}
	}
}

func (p *pool) lineOf(heavy bool) *line {
	if heavy {
		return &p.heavies
	}
	return &p.light
}

// firstLocked is the line whose first turn is the next to run; nil: none may.
func (p *pool) firstLocked() *line {
	heavy := len(p.heavies) > 0 && p.mayRunLocked(true)
	switch {
	case len(p.light) > 0 && !(heavy && p.heavies[0].before(p.light[0].rank)):
		return &p.light
	case heavy:
		return &p.heavies
	}
	return nil
}

// admitLocked lets those in line run, or make workers, as far as they may.
func (p *pool) admitLocked() {
	for {
		first := p.firstLocked()
		if first == nil {
			return
		}
		if !p.serveLocked(first) && !(first == &p.heavies && len(p.light) > 0 && p.serveLocked(&p.light)) {
			return
		}
	}
}

// serveLocked lends an idle worker to the first of a line, or lets it make one; false: neither can be.
func (p *pool) serveLocked(l *line) bool {
	heavy := l == &p.heavies
	var w *worker
	switch {
	case len(p.idle) > 0:
		w = p.lendIdleLocked(heavy)
	case p.mayGrowLocked(heavy):
		p.reserveLocked(heavy)
	default:
		return false
	}
	heap.Pop(l).(waiter).lent <- w // buffered
	return true
}

// block tells that a busy worker begins (1) or ends (-1) to wait inside a call.
func (p *pool) block(n int, heavy bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.blocked += n
	if heavy {
		p.heavy.blocked += n
	}
	if n > 0 {
		p.admitLocked()
	}
}

// load is what the pool has to do now: its workers, those that are lent, the turns that wait for one, and those that
// are parked.
func (p *pool) load() (workers, busy, waiting, parked int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.total, p.total - len(p.idle), p.waiting, p.parked
}

// onWorker lends f a worker for a turn that is no connection's, and tells how long its Lua ran. c is what the functions
// that f calls have to know; the turn is c's. use is what ranks it.
func (s *Server) onWorker(p *pool, use load, c call, f func(*worker) error) (took time.Duration, err error) {
	c.turn.use = use
	w, err := p.get(nil, use.rank(s.now()), c.turn)
	if err != nil {
		return 0, err
	}
	c.pool, c.worker, c.heavy, c.spent = p, w, w.heavy, w.vm.Spent()
	w.call = c
	defer func() {
		took = w.call.used()
		p.put(w)
	}()
	if err := c.turn.begin(); err != nil {
		return 0, err
	}
	defer w.call.fetches.close()
	defer catch(w.vm, &err)
	w.vm.Data = &w.call
	w.vm.BeginTurn(nil)
	defer func() {
		w.vm.EndTurn()
		w.vm.Data = nil
	}()
	return 0, f(w)
}
