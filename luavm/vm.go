package luavm

import (
	"sync/atomic"
	"time"

	lua "github.com/yuin/gopher-lua"
)

// Limits bound what one script may take.
type Limits struct {
	Budget time.Duration // Lua's own time between two blocking calls; 0: 250 ms
	Depth  int           // nested calls, rounded up to a multiple of 8; 0: 200
	Value  int           // bytes of one string; 0: 1 MiB
	Memory int           // bytes reachable from one VM, an estimate; 0: 16 MiB
}

func (l Limits) withDefaults() Limits {
	if l.Budget <= 0 {
		l.Budget = 250 * time.Millisecond
	}
	if l.Depth <= 0 {
		l.Depth = 200
	}
	l.Depth = (l.Depth + lua.FramesPerSegment - 1) / lua.FramesPerSegment * lua.FramesPerSegment
	if l.Value <= 0 {
		l.Value = 1 << 20
	}
	if l.Memory <= 0 {
		l.Memory = 16 << 20
	}
	return l
}

// Config is what New needs. The zero value works.
type Config struct {
	Limits
	// Gate is shared by all VMs of the process; nil: none.
	Gate *Gate
	// Ceiling is shared by all VMs of the process; nil: none.
	Ceiling *Ceiling
	// End is called, from any goroutine, when the script has to end because of the
	// ceiling while it waits; it wakes it. nil: the VM is one of a pool, and counts
	// for the ceiling only while it runs.
	End func()
	// Over is asked now and then while Lua runs whether the run has to end, and
	// why: an error ends it with kind Ended. It does not wait. nil: never.
	Over func(vm *VM) error
	// Library holds the globals that scripts see; nil: the standard ones.
	Library *Library
	// Require finds the program of require(name); its error is raised as it is.
	// nil: require raises.
	Require func(name string) (*Program, error)
	// Print is given what print writes, without newline; nil: discarded.
	Print func(vm *VM, text string)
	// Data is for the host: see VM.Data.
	Data any
	// Clock is what the budget is measured with, for VMs in a synctest bubble,
	// where time stands still while Lua runs. nil: the time of the machine.
	Clock func() time.Duration
}

// Sizes of gopher-lua's stacks, in values of 16 bytes. The registry begins at
// the least that the library allows and grows in steps.
const (
	registrySize = 128
	registryStep = 256
	registryMax  = 32 << 10
)

// maxUnpack is how many values one call may push at once, as in PUC Lua.
const maxUnpack = 8000

// VM runs Lua. It belongs to one goroutine at a time.
type VM struct {
	// Data is the host's own: what its functions need to know of the
	// connection that this VM runs for. Of(L).Data reads it.
	Data any

	// Static after New.
	limits  Limits
	gate    *Gate
	ceiling *Ceiling
	end     func()
	over    func(*VM) error
	require func(string) (*Program, error)
	print   func(*VM, string)
	clock   func() time.Duration
	main    *lua.LState
	globals *lua.LTable // _G of the scripts
	base    *lua.LTable // once sealed: what files defined; between globals and library
	library *Library
	unwind  *lua.LFunction // an empty Lua function; see recoverStack

	// Owned by the goroutine that uses the VM.
	threads   []*lua.LState // coroutines being resumed, the running one last
	nesting   int           // calls of Call and Run that are running
	loaded    map[string]lua.LValue
	sealed    *sealed
	unsealed  bool // something ran outside of turns since
	turn      *turn
	turnSpace turn
	random    *random
	raised    lua.LValue // the last value that the script itself raised
	fatal     *Error     // the error that ends this run; no pcall catches it
	traced    bool       // errors of a nested Call carry a trace
	broken    bool
	full      bool          // it was ended because of the ceiling
	spare     []*lua.LState // main threads for turns, while others are parked
	scratch   []byte        // for json.encode

	// Meter, owned by the same goroutine.
	steps   int // left until the next look at the clock
	quantum int
	bytes   int // taken since the last walk
	held    int // as the last walk found it
	walked  int // taken until the last walk, in all
	pending int // of them, what library functions hold that no walk sees
	walkAt  int
	used    time.Duration // since the budget was started
	spent   time.Duration // before that
	looked  time.Duration
	entered time.Duration

	// For the ceiling, owned by the same goroutine.
	share    *share // nil: nothing was told yet
	reported int

	// Set by any goroutine.
	stop    atomic.Bool // the run is to end
	evicted atomic.Bool // since all together hold too much
	told    atomic.Bool // the host was told to end it
	running atomic.Bool
}

// New makes a VM. It takes about 6 KB, and grows with what the script holds.
// Close it when it is no longer needed.
func New(c Config) *VM {
	useLibrary()
	vm := &VM{
		Data:    c.Data,
		limits:  c.Limits.withDefaults(),
		gate:    c.Gate,
		ceiling: c.Ceiling,
		end:     c.End,
		over:    c.Over,
		require: c.Require,
		print:   c.Print,
		clock:   c.Clock,
		library: c.Library,
		quantum: 64,
	}
	if vm.library == nil {
		vm.library = standard()
	}
	if vm.clock == nil {
		vm.clock = now
	}
	vm.walkAt = vm.limits.Memory
	L := lua.NewState(stateOptions(vm.limits.Depth))
	smallBlocks(L)
	vm.main = L
	vm.globals = L.CreateTable(0, 2)
	vm.globals.RawSetString("_G", vm.globals)
	vm.globals.Metatable = vm.library.metatable
	// The library's own tables are made with room for 32 and 64 entries.
	L.G.Registry = &lua.LTable{Metatable: lua.LNil}
	L.G.Global = vm.globals
	L.Env = vm.globals
	L.SetMetatable(lua.LString(""), stringMetatable)
	L.SetContext(newMeter(vm, L))
	return vm
}

// stateOptions are those of a VM's main thread.
func stateOptions(depth int) lua.Options {
	return lua.Options{
		CallStackSize:       depth,
		RegistrySize:        registrySize,
		RegistryMaxSize:     registryMax,
		RegistryGrowStep:    registryStep,
		SkipOpenLibs:        true,
		IncludeGoStackTrace: true,
		MinimizeStackMemory: true,
	}
}

// Close frees the VM's stacks. The VM must not be running, and is of no use
// afterwards.
func (vm *VM) Close() {
	vm.share.leave()
	vm.share, vm.ceiling = nil, nil
	if !vm.main.IsClosed() && !vm.broken { // broken stacks are not fit to be used again
		vm.main.Close()
	}
}

// Of returns the VM that runs L, for functions of the host.
func Of(L *lua.LState) *VM { return L.Context().(*meter).vm }

// L returns the VM's main thread, to make tables and the like. Functions of the
// host get the thread that calls them, which may be another.
func (vm *VM) L() *lua.LState { return vm.main }

// thread is the one whose code runs now.
func (vm *VM) thread() *lua.LState {
	if n := len(vm.threads); n > 0 {
		return vm.threads[n-1]
	}
	return vm.main
}

// Global returns a global as scripts see it now, or LNil.
func (vm *VM) Global(name string) lua.LValue {
	for t := vm.globals; t != nil; {
		if v := t.RawGetString(name); v != lua.LNil {
			return v
		}
		mt, _ := t.Metatable.(*lua.LTable)
		if mt == nil {
			break
		}
		t, _ = mt.RawGetString("__index").(*lua.LTable)
	}
	return lua.LNil
}

// SetGlobal sets a global of this VM alone, before scripts run. Globals that
// many VMs share are in Config.Library.
func (vm *VM) SetGlobal(name string, v lua.LValue) {
	t := vm.globals
	if vm.base != nil {
		t = vm.base
	}
	t.RawSetString(name, v)
}

// Limits are those of the VM, with the defaults filled in.
func (vm *VM) Limits() Limits { return vm.limits }

// Spent is the time that Lua has run in the VM so far.
func (vm *VM) Spent() time.Duration { return vm.spent + vm.used }

// Kill ends what the VM runs with an Error of kind Exit, at its next look at
// the clock. It may be called from any goroutine; a function of the host that
// blocks is not woken. The VM runs nothing any more.
func (vm *VM) Kill() { vm.stop.Store(true) }

// Broken reports that a Go function panicked while Lua called it, so that the VM
// may hold half-finished work, or that it was ended because of the ceiling. A
// pool throws it away.
func (vm *VM) Broken() bool { return vm.broken || vm.full }
