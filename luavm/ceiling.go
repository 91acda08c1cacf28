package luavm

import (
	"strconv"
	"sync"
	"sync/atomic"

	lua "github.com/yuin/gopher-lua"
)

// Ceiling bounds the bytes that all scripts of a process hold together. When
// they hold more, the one that holds the most is ended. A nil Ceiling bounds
// nothing. All methods may be called from any goroutine.
type Ceiling struct {
	limit int64
	used  atomic.Int64 // sum of what the shares hold

	mu     sync.Mutex
	shares map[*share]struct{}
}

// NewCeiling makes a ceiling of so many bytes.
func NewCeiling(limit int64) *Ceiling {
	return &Ceiling{limit: limit, shares: map[*share]struct{}{}}
}

// Used returns the bytes that scripts hold now, an estimate, for metrics.
func (c *Ceiling) Used() int64 {
	if c == nil {
		return 0
	}
	return c.used.Load()
}

// share is what one script, or one connection of an event handler, holds.
type share struct {
	ceiling *Ceiling
	bytes   atomic.Int64
	end     func() // begins to end the holder; it does not wait
	ending  bool   // guarded by the ceiling's mu
}

func (c *Ceiling) join(end func()) *share {
	s := &share{ceiling: c, end: end}
	c.mu.Lock()
	c.shares[s] = struct{}{}
	c.mu.Unlock()
	return s
}

// set tells what the holder holds now, and has the largest end when that is too
// much for all together. s may be nil.
func (s *share) set(bytes int) {
	if s == nil {
		return
	}
	more := int64(bytes) - s.bytes.Swap(int64(bytes))
	if used := s.ceiling.used.Add(more); more > 0 && used > s.ceiling.limit {
		s.ceiling.relieve()
	}
}

// leave is called once, when the holder is over. s may be nil.
func (s *share) leave() {
	if s == nil {
		return
	}
	c := s.ceiling
	c.mu.Lock()
	delete(c.shares, s)
	c.mu.Unlock()
	c.used.Add(-s.bytes.Swap(0))
}

// relieve ends the largest holder, unless what is ending already suffices.
func (c *Ceiling) relieve() {
	c.mu.Lock()
	largest := c.chooseLocked()
	c.mu.Unlock()
	if largest != nil {
		largest.end()
	}
}

// chooseLocked marks the holder that has to end, and returns it; nil: none has to.
func (c *Ceiling) chooseLocked() *share {
	over := c.used.Load() - c.limit
	var largest *share
	for s := range c.shares {
		switch {
		case s.ending:
			over -= s.bytes.Load()
		case largest == nil || s.bytes.Load() > largest.bytes.Load():
			largest = s
		}
	}
	if over <= 0 || largest == nil {
		return nil
	}
	largest.ending = true
	return largest
}

// spared chooses anew, now that the holder has told what it really holds, and
// reports whether another has to end, or none.
func (s *share) spared() bool {
	c := s.ceiling
	c.mu.Lock()
	s.ending = false
	chosen := c.chooseLocked()
	c.mu.Unlock()
	if chosen != nil && chosen != s {
		chosen.end()
	}
	return chosen != s
}

// What a holder allocates between two reports, and between two walks while it
// is small, in bytes.
const reportStep = 32 << 10

// report tells the ceiling what the VM holds, when that has changed by much.
func (vm *VM) report() {
	if vm.ceiling == nil {
		return
	}
	n := vm.held + vm.bytes
	if d := n - vm.reported; d < reportStep && d > -reportStep {
		return
	}
	if vm.share == nil {
		vm.share = vm.ceiling.join(vm.evict)
	}
	vm.reported = n
	vm.share.set(n)
}

// settle is called when a run ends or waits: what the VM holds then is told
// without most of the garbage. A walk costs about what was allocated before it;
// when room gets short it may cost four times as much, so that the right one ends.
func (vm *VM) settle() {
	if vm.ceiling == nil {
		return
	}
	if vm.end == nil { // a pooled VM counts only while it runs
		vm.share.leave()
		vm.share, vm.reported = nil, 0
		return
	}
	garbage := vm.held
	if vm.ceiling.used.Load() > vm.ceiling.limit/2 {
		garbage /= 4
	}
	if vm.bytes > max(reportStep, garbage) || vm.held == 0 {
		vm.checkMemory()
	}
	vm.report()
}

// settleWaiting is settle before the script waits. One that was evicted is told
// so, since nothing else would wake it.
func (vm *VM) settleWaiting() {
	if vm.end != nil {
		vm.settle()
		if vm.evicted.Load() {
			vm.trySpare()
		}
	}
	vm.running.Store(false)
	if vm.end != nil && vm.evicted.Load() {
		vm.tellEnd()
	}
}

// evict begins to end the script because all together hold too much. It is
// called from any goroutine.
func (vm *VM) evict() {
	vm.evicted.Store(true)
	vm.stop.Store(true)
	if vm.end != nil && !vm.running.Load() {
		vm.tellEnd()
	}
}

// tellEnd has the host end what the script waits for. There is no way back.
func (vm *VM) tellEnd() {
	vm.told.Store(true)
	vm.end()
}

// checkEvicted ends the run of an evicted VM, unless it turns out that what it
// holds is less than was told.
func (vm *VM) checkEvicted() {
	if vm.trySpare() {
		return
	}
	vm.full = true // what it holds is to go
	vm.fail(Memory, vm.evictedText())
}

// trySpare measures what the VM really holds, and takes back that it is evicted
// if another one holds more, or there is room.
func (vm *VM) trySpare() bool {
	vm.checkMemory()
	vm.reported = vm.held + vm.bytes
	vm.share.set(vm.reported)
	if vm.share != nil && (vm.told.Load() || !vm.share.spared()) { // nil: it was the run before that was meant
		return false
	}
	vm.evicted.Store(false)
	vm.stop.Store(false)
	return true
}

func (vm *VM) evictedText() string {
	return "scripts of this node hold more than " + strconv.FormatInt(vm.ceiling.limit, 10) +
		" bytes together, and this one the most"
}

// Evicted is the error of a script that has to end because of the ceiling, also
// when it has ended by itself since it was woken; nil: it need not.
func (vm *VM) Evicted() error {
	if vm.ceiling == nil || !vm.evicted.Load() {
		return nil
	}
	if vm.fatal != nil {
		return vm.fatal
	}
	return &Error{Kind: Memory, Message: vm.evictedText()}
}

// Account counts what the connection's handlers wrote for the ceiling, now and
// after each turn; end is called, from any goroutine, when the connection has to
// end because it holds the most. Release ends that.
func (g *Globals) Account(c *Ceiling, end func()) {
	if c == nil {
		return
	}
	if g.taken > max(reportStep, g.held) {
		g.held, g.taken = g.measure(), 0
	}
	n := g.held + g.taken
	if g.share == nil {
		if n < reportStep {
			return
		}
		g.share = c.join(end)
	}
	g.share.set(n)
}

// Release tells that the connection is over. g may be nil.
func (g *Globals) Release() {
	if g != nil {
		g.share.leave()
		g.share = nil
	}
}

// measure estimates what is kept for the connection and not part of the base.
func (g *Globals) measure() int { return g.vm.measureOwn(g).run() }

// measureOwn begins to measure what is no part of the base, with globals that
// are not in place; they may be nil.
func (vm *VM) measureOwn(g *Globals) *measure {
	m := newMeasure(false)
	table := m.visitor.table
	m.visitor.table = func(t *lua.LTable) bool {
		if _, ok := vm.sealed.tables[t]; ok {
			return false
		}
		return table(t)
	}
	if g == nil {
		return m
	}
	for i := range g.tables {
		m.size += tableSize(&g.tables[i].content)
		m.visitor.content(&g.tables[i].content)
	}
	for i := range g.upvalues {
		m.visitor.push(g.upvalues[i].value)
	}
	return m
}
