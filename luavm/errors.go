package luavm

import (
	"fmt"
	"strconv"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// Kind says why a script ended. Its text is a metric label.
type Kind int

// The kinds of Error. All but Raised end the script whatever it does: no pcall,
// xpcall or coroutine.resume catches them.
const (
	// Raised: the script called error, or did something that Lua forbids.
	Raised Kind = iota
	// Budget: the time between two blocking calls was used up.
	Budget
	// Depth: calls nested too deeply, or too many values on the stack.
	Depth
	// Value: one string grew over the size limit.
	Value
	// Memory: what the VM holds grew over the limit.
	Memory
	// Panic: a Go function called by the script panicked.
	Panic
	// Exit: the host ended the script (VM.Exit, VM.Kill); not an error.
	Exit
	// Ended: the host ended the script for a reason of its own (VM.End, Config.Over), which is the Error's Cause.
	Ended
)

func (k Kind) String() string {
	switch k {
	case Raised:
		return "raised"
	case Budget:
		return "budget"
	case Depth:
		return "depth"
	case Value:
		return "value"
	case Memory:
		return "memory"
	case Panic:
		return "panic"
	case Exit:
		return "exit"
	case Ended:
		return "ended"
	}
	return "kind " + strconv.Itoa(int(k))
}

// Error is how a run of Lua failed. Every error of VM.Run and VM.Call is one.
type Error struct {
	Kind      Kind
	Message   string     // as Lua shows it, position included
	File      string     // "" when no Lua code was running
	Line      int        // 0 when unknown
	Traceback string     // several lines, for logs
	Value     lua.LValue // what was raised; nil for kinds other than Raised
	Cause     error      // why the host ended the script; nil for kinds other than Ended
}

func (e *Error) Error() string { return e.Message }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }

// CompileError is what Compile found wrong.
type CompileError struct {
	File    string
	Line    int // 0 when unknown
	Message string
}

func (e *CompileError) Error() string {
	if e.Line == 0 {
		return e.File + ": " + e.Message
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Message)
}

// failure makes the Error of a protected call that failed at the outermost level.
func (vm *VM) failure(err error) *Error {
	if vm.fatal != nil {
		return vm.fatal
	}
	api, ok := err.(*lua.ApiError)
	if !ok {
		return &Error{Kind: Panic, Message: err.Error()}
	}
	if api.Type == lua.ApiErrorPanic {
		return vm.panicked(api)
	}
	if isOverflow(api.Object) && api.Object != vm.raised {
		return overflowed(api)
	}
	e := &Error{Kind: Raised, Value: api.Object, Traceback: api.StackTrace}
	e.Message, e.File, e.Line = describe(api.Object, api.StackTrace)
	if len(e.Message) > maxMessage {
		e.Message = strings.ToValidUTF8(e.Message[:maxMessage], "") + "…"
	}
	return e
}

// maxMessage bounds Error.Message, in bytes: scripts may raise anything.
const maxMessage = 4 << 10

// panicked makes the Error of a Go panic, which for gopher-lua may be a full
// call stack.
func (vm *VM) panicked(api *lua.ApiError) *Error {
	if strings.HasPrefix(api.Object.String(), "lua callstack overflow") {
		return overflowed(api)
	}
	e := &Error{Kind: Panic, Traceback: api.StackTrace}
	e.File, e.Line = firstPosition(api.StackTrace)
	e.Message = position(e.File, e.Line) + "internal error: " + api.Object.String()
	return e
}

func overflowed(api *lua.ApiError) *Error {
	trace := api.StackTrace
	if i := strings.LastIndex(trace, "stack traceback:"); i > 0 {
		trace = trace[i:] // gopher-lua puts the stack of Go before that of Lua
	}
	e := &Error{Kind: Depth, Traceback: trace}
	e.File, e.Line = firstPosition(trace)
	e.Message = position(e.File, e.Line) + "stack overflow"
	return e
}

// isOverflow tells the messages with which gopher-lua reports that its stacks
// are full.
func isOverflow(v lua.LValue) bool {
	s, ok := v.(lua.LString)
	return ok && (strings.HasSuffix(string(s), "registry overflow") || strings.HasSuffix(string(s), "stack overflow"))
}

// describe gives the message of a raised value and where it was raised: in the
// message itself when it starts with a position, else in the traceback.
func describe(v lua.LValue, trace string) (message, file string, line int) {
	switch s := v.(type) {
	case lua.LString, lua.LNumber:
		message = plainText(v)
		if file, line, ok := cutPosition(message); ok {
			return message, file, line
		}
	case *lua.LTable:
		message = "error object is a table"
		if m, ok := s.RawGetString("message").(lua.LString); ok {
			message = string(m)
		}
	case nil:
		message = "nil"
	default:
		message = "error object is a " + v.Type().String()
	}
	file, line = firstPosition(trace)
	return position(file, line) + message, file, line
}

func position(file string, line int) string {
	if file == "" {
		return ""
	}
	return file + ":" + strconv.Itoa(line) + ": "
}

// cutPosition reads "file:12: …".
func cutPosition(s string) (file string, line int, ok bool) {
	file, rest, ok := strings.Cut(s, ":")
	if !ok || file == "" || strings.ContainsAny(file, "\n\t") {
		return "", 0, false
	}
	digits, _, ok := strings.Cut(rest, ":")
	if !ok {
		return "", 0, false
	}
	n, err := strconv.Atoi(digits)
	if err != nil || n <= 0 {
		return "", 0, false
	}
	return file, n, true
}

// firstPosition finds the innermost Lua line of a traceback.
func firstPosition(trace string) (file string, line int) {
	for l := range strings.Lines(trace) {
		if file, line, ok := cutPosition(strings.TrimSpace(l)); ok && strings.HasPrefix(l, "\t") &&
			!strings.HasPrefix(l, "\t/") {
			return file, line
		}
	}
	return "", 0
}
