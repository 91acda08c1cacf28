package luavm

import (
	"errors"

	lua "github.com/yuin/gopher-lua"
)

// A turn that waits long does not keep its VM: it is parked. Its threads stay as
// they are, in the middle of a call; the base is put in place, as at a turn's
// end, and the VM gets another main thread, on which turns of others run. When
// the wait is over, the turn gets all back, in the same VM, as its values belong
// to that. So a waiting turn costs its threads and what it holds, and no VM.
//
//	runs ── Park ──▶ parked ── has the VM again ──▶ runs
//	                  (others run turns in the VM)
//
// Invariant: the base is in place whenever no turn runs.

// parked is what a turn that waits has of the VM.
type parked struct {
	main    *lua.LState
	threads []*lua.LState
	nesting int
	turn    turn
	raised  lua.LValue
	traced  bool
	pending int
	taken   int // bytes, by the turn so far
	size    int // bytes that it holds, about
	share   *share
}

// maxSpare is how many main threads a VM keeps for turns to come.
const maxSpare = 8

// errBroken ends a turn whose VM has broken while it was parked.
var errBroken = errors.New("another turn has broken the VM")

// Park runs f for a host function that waits, as Block does, and frees the VM
// meanwhile: f gives it to others, for turns of theirs, and has it back when it
// returns. end is called, from any goroutine, when all scripts hold too much
// together and this turn the most; it ends the wait. L is the host function's
// thread. false: there is no turn that could be parked, as while a required file
// is loaded, and f was not called.
func (vm *VM) Park(L *lua.LState, end func(), f func()) bool {
	if vm.turn == nil || vm.nesting == 0 {
		return false
	}
	vm.stopClock()
	p := vm.park()
	if vm.ceiling != nil {
		p.share = vm.ceiling.join(end)
		p.share.set(p.size)
	}
	vm.running.Store(false)
	vm.gate.leave()
	f()
	vm.gate.enter()
	vm.running.Store(true)
	p.share.leave()
	vm.unpark(p)
	if vm.broken {
		vm.End(L, errBroken)
	}
	return true
}

// park takes the turn out of the VM.
func (vm *VM) park() *parked {
	p := &parked{main: vm.main, threads: vm.threads, nesting: vm.nesting, turn: *vm.turn, raised: vm.raised,
		traced: vm.traced, pending: vm.pending, taken: vm.walked + vm.bytes - vm.turn.began}
	if p.turn.globals != nil {
		p.turn.globals.swap()
	}
	next := vm.spareMain()
	vm.main, vm.threads, vm.nesting, vm.raised, vm.traced, vm.pending = next, nil, 0, nil, false, 0
	vm.turn, vm.turnSpace = nil, turn{}
	next.G.CurrentThread = next
	p.size = p.taken + threadBytes + stackSize(p.main)
	if p.taken > reportStep {
		p.size = p.measure(vm)
		vm.checkMemory() // without it
		vm.fatal = nil   // which is not for those who come
	}
	vm.share.leave()
	vm.share, vm.reported = nil, 0
	return p
}

// unpark puts the turn back.
func (vm *VM) unpark(p *parked) {
	if len(vm.spare) < maxSpare && !vm.broken {
		vm.main.SetTop(0)
		vm.spare = append(vm.spare, vm.main)
	}
	vm.main, vm.threads, vm.nesting, vm.raised, vm.traced, vm.pending = p.main, p.threads, p.nesting, p.raised, p.traced,
		p.pending
	vm.turnSpace = p.turn
	vm.turn = &vm.turnSpace
	vm.main.G.CurrentThread = vm.thread()
	vm.bytes += p.size
	vm.turn.began = vm.walked + vm.bytes - p.taken
	if p.turn.globals != nil {
		p.turn.globals.swap()
	}
	vm.fatal = nil
	if vm.evicted.Swap(false) { // another run was meant
		vm.stop.Store(false)
	}
	vm.startBudget()
}

// spareMain gives a main thread on which nothing runs.
func (vm *VM) spareMain() *lua.LState {
	if last := len(vm.spare) - 1; last >= 0 {
		th := vm.spare[last]
		vm.spare = vm.spare[:last]
		return th
	}
	return vm.bareThread(vm.main)
}

// measure estimates what a parked turn holds that is not part of the base.
func (p *parked) measure(vm *VM) int {
	m := vm.measureOwn(p.turn.globals)
	m.visitor.push(p.main)
	for _, th := range p.threads {
		m.visitor.push(th)
	}
	return m.run() + p.pending
}
