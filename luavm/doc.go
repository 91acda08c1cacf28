// Package luavm runs untrusted Lua 5.1 in a sandbox. It knows nothing of
// WebSockets: functions that do something are the host's.
//
// # What the host does
//
// Compile turns source into a Program, once; any number of VMs share it. A
// Library holds the globals that all VMs see, the standard ones and the host's
// (NewLibrary, SharedTable, Func); it is made once too. New makes a VM of it.
//
// A connection script has a VM of its own: New, Run, Close. Run lasts as long as the connection. Functions of the host
// that wait do so inside VM.Block. When the client has gone they call VM.Exit, which ends the script without an error
// (Kind Exit).
//
// Event handlers share pooled VMs: New, Run for every handler file, and then for each event BeginTurn, Call1, EndTurn.
// What the files defined is the base, and no turn changes it. Globals, tables and outer locals of the base are copied
// on write. EndTurn returns what this connection wrote (*Globals, nil in the common case that it wrote nothing). Its
// next event gives them back to BeginTurn. So a connection never sees what another has written. Globals, and any other
// Lua value made in a turn, belong to the VM. A connection that has some stays with that VM, or keeps them as JSON.
//
// Functions of the host find their VM with Of(L), and the connection it runs for
// in VM.Data, which a pool sets anew for each turn. They use the L they are
// given, which may be a coroutine's, and raise errors with L.RaiseError. A panic
// in them ends the script with Kind Panic. L.Context() is not a real context:
// nothing may be derived from it. A Go function that keeps values of the script
// holds them as upvalues (L.NewClosure), where the memory estimate finds them.
// LTable.ForEach is fine for reading tables, in no order.
//
// Values: numbers are lua.LNumber, strings lua.LString, nothing is lua.LNil.
// Tables come from Object (fields), NewArray and Strings (arrays, which encode
// as [] also when empty), and DecodeJSON. EncodeJSON, EncodeText, AppendJSON and
// DecodeJSON are what json.encode and json.decode call. Null is json.null; the
// host treats it as nil where nil makes sense.
//
// # Limits
//
// A Ceiling bounds what the VMs of a process hold together. Limits bound each run. Budget is the time that Lua runs
// between two blocking calls. Waiting at the Gate does not count, nor does time in which the process did not run. Depth
// bounds calls, Value one string, Memory what the VM holds. Every limit holds inside of library functions too. Passing
// one is an *Error whose Kind says which; the script cannot catch it. After an Error of any kind the VM can be used
// again, unless Broken says that a Go function panicked.
//
// # What scripts cannot do
//
// There is no way to files, processes, bytecode, other VMs, environments of
// functions (getfenv, setfenv), the debug library, the collector, or the
// metatable of strings. Library tables can be read and iterated but not changed;
// a script that assigns to a global of the library's name gets its own.
//
// # Goroutines
//
// The package starts none. A VM belongs to one goroutine at a time; only Kill
// may be called from any. Programs, Libraries, shared tables and the Gate may
// be used by all at once.
//
// # How it works
//
// gopher-lua parses, and its machine runs what our own code generator writes (codegen.go says why). It asks the context
// of a thread before every instruction whether it is done. The meter (meter.go) is that context. It counts
// instructions, looks at the operands of those whose cost depends on them, and reads the clock now and then. Library
// functions are our own, so that they count their work too (lib_*.go, pattern.go). The file layout.go is the only one
// that knows the library's private fields, and stops the program if they ever change.
package luavm
