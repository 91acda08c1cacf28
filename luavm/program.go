package luavm

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/ast"
	"github.com/yuin/gopher-lua/parse"
)

// maxSource is the length of a program's source, in bytes.
const maxSource = 1 << 20

// Program is compiled Lua. It never changes, so any number of VMs may run it at
// once.
type Program struct {
	name  string
	proto *lua.FunctionProto
}

// Name returns the name that errors show, as given to Compile.
func (p *Program) Name() string { return p.name }

// Compile compiles source text. Name is what errors show as the file, without
// line breaks and colons. The error is a *CompileError. Bytecode is refused,
// and so is source that would take the compiler too deep or too long.
func Compile(name, source string) (p *Program, err error) {
	defer recovered(name, &err)
	useLibrary()
	chunk, err := Parse(name, source)
	if err != nil {
		return nil, err
	}
	proto, err := generate(name, chunk)
	if err != nil {
		return nil, err
	}
	return &Program{name: name, proto: proto}, nil
}

// Parse gives the syntax tree that Compile makes its code of. The error is a
// *CompileError.
func Parse(name, source string) (chunk []ast.Stmt, err error) {
	defer recovered(name, &err)
	if len(source) > maxSource {
		return nil, &CompileError{File: name, Message: fmt.Sprintf("longer than %d bytes", maxSource)}
	}
	if strings.HasPrefix(source, "\x1b") {
		return nil, &CompileError{File: name, Message: "is not source text"}
	}
	if strings.HasPrefix(source, "#") { // a Unix script's first line
		end := strings.IndexByte(source, '\n')
		if end < 0 {
			end = len(source)
		}
		source = source[end:]
	}
	if chunk, err = parse.Parse(strings.NewReader(source), name); err != nil {
		return nil, compileError(name, source, err)
	}
	return chunk, nil
}

// recovered is deferred: the parser has ways to panic.
func recovered(name string, err *error) {
	if r := recover(); r != nil {
		*err = &CompileError{File: name, Message: fmt.Sprintf("cannot be compiled: %v", r)}
	}
}

// compileError makes our shape of the parser's errors.
func compileError(name, source string, err error) *CompileError {
	var parsed *parse.Error
	if errors.As(err, &parsed) {
		e := &CompileError{File: name, Line: parsed.Pos.Line, Message: parsed.Message}
		if parsed.Pos.Line == parse.EOF {
			e.Line = 1 + strings.Count(strings.TrimRight(source, "\r\n"), "\n")
			e.Message += " at the end of the file"
		} else if parsed.Message == "unterminated string" {
			e.Line-- // the line break that ends it has been read
		} else if parsed.Token != "" {
			e.Message += " near '" + clip(parsed.Token) + "'"
		}
		return e
	}
	return &CompileError{File: name, Message: err.Error()}
}

func clip(s string) string {
	if len(s) > 60 {
		return s[:60] + "…"
	}
	return s
}

// emptyProgram is a chunk that does nothing.
var emptyProgram = sync.OnceValue(func() *Program {
	p, err := Compile("[luavm]", "")
	if err != nil {
		panic(err)
	}
	return p
})

// Function makes a function of the program in a VM, as Run would run it. Only tests call it: those that compare with
// other machines, and the model of Redis.
func (p *Program) Function(vm *VM) *lua.LFunction { return vm.main.NewFunctionFromProto(p.proto) }
