package luavm

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestCompileErrors(t *testing.T) {
	rep := strings.Repeat
	for _, test := range []struct {
		name, source string
		line         int
	}{
		{"syntax", "local x = 1\nlocal = 2", 2},
		{"malformed number that nothing reads", "\nlocal x = 1ev8 and 2", 2},
		{"unfinished", "if true then\n\tx = 1\n", 2},
		{"unfinished string", "local x = \"abc\nlocal y", 1},
		{"unfinished long string", "x = [[abc", 0},
		{"break outside", "break", 1},
		{"goto nowhere", "goto x", 1},
		{"vararg outside", "function f() return ... end", 1},
		{"bytecode", "\x1bLua", 0},
		{"many locals", rep("local a = 1\n", 300), 0},
		{"many arguments", "f(" + rep("1,", 300) + "1)", 1},
		{"many arguments nested", "f(" + rep("1,", 90) + "f(" + rep("1,", 90) + "f(" + rep("1,", 90) + "1)))", 1},
		{"many returns", "return " + rep("1,", 300) + "1", 1},
		{"many targets", "local " + rep("a,", 300) + "a = 1", 1},
		{"many parameters", "function f(" + rep("a,", 300) + "a) end", 1},
		{"long concat", "x = a" + rep(" .. a", 400), 1},
		{"parentheses, then an error", rep("(", 60000), 0},
		{"braces", "x = " + rep("{", 60000), 0},
		{"closed braces", "x = " + rep("{", 30000) + rep("}", 30000), 1},
		{"brackets", "x = " + rep("a[", 20000) + "1" + rep("]", 20000), 1},
		{"calls", "x = " + rep("f(", 20000) + "1" + rep(")", 20000), 1},
		{"call chain", "x = f" + rep("()", 30000), 1},
		{"index chain", "x = a" + rep(".b", 30000), 1},
		{"unary minus", "x = " + rep("- ", 30000) + "1", 1},
		{"not", "x = " + rep("not ", 16000) + "1", 1},
		{"length", "x = " + rep("#", 60000) + "a", 1},
		{"sum", "x = a" + rep("+a", 30000), 1},
		{"constant sum", "x = 1" + rep("+1", 30000), 1},
		{"power", "x = 2" + rep("^2", 30000), 1},
		{"and", "x = a" + rep(" and a", 12000), 1},
		{"comparison", "x = a" + rep("<a", 30000), 1},
		{"functions", rep("x=function() ", 5000) + rep(" end", 5000), 1},
		{"blocks", rep("do ", 20000) + rep(" end", 20000), 1},
		{"loops", rep("while x do ", 6000) + rep(" end", 6000), 1},
		{"ifs", rep("if x then ", 6000) + rep(" end", 6000), 1},
		{"upvalues", upvalues(), 0},
		{"too long", "--" + rep("x", maxSource), 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			start := time.Now()
			_, err := Compile("a.lua", test.source)
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("took %v", took)
			}
			var ce *CompileError
			if !errors.As(err, &ce) {
				t.Fatalf("got %v", err)
			}
			if ce.File != "a.lua" || ce.Message == "" || len(ce.Message) > 200 || test.line != 0 && ce.Line != test.line {
				t.Errorf("got %+v; want line %d", ce, test.line)
			}
		})
	}
}

func labels(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("::l" + itoa(i) + ":: ")
	}
	return b.String()
}

func constants(n int) string {
	var b strings.Builder
	b.WriteString("x = {")
	for i := range n {
		b.WriteString("'" + itoa(i) + "',")
	}
	return b.String() + "}"
}

// upvalues has a function that uses 300 locals of the functions around it.
func upvalues() string {
	var b strings.Builder
	for range 3 {
		b.WriteString("local function f() ")
		for i := range 100 {
			b.WriteString("local v" + itoa(b.Len()) + "_" + itoa(i) + " ")
		}
	}
	names := strings.Fields(b.String())
	b.WriteString("return function() local x ")
	for _, n := range names {
		if strings.HasPrefix(n, "v") {
			b.WriteString("x = " + n + " ")
		}
	}
	return b.String() + "end" + strings.Repeat(" end", 3)
}

func itoa(i int) string {
	if i < 10 {
		return string(rune('0' + i))
	}
	return itoa(i/10) + itoa(i%10)
}

func TestCompileTakes(t *testing.T) {
	rep := strings.Repeat
	for _, test := range []struct{ name, source string }{
		{"nothing", ""},
		{"first line of a Unix script", "#!/usr/bin/lua\nreturn 1"},
		{"parentheses", "return " + rep("(", 1000) + "1" + rep(")", 1000)},
		{"long concat", "local a = 'x' return a" + rep(" .. a", 150)},
		{"many elements", constants(5000)},
		{"very many elements", constants(60000)},
		{"many labels", labels(5000)},
		{"many functions", rep("function f() end ", 3000)},
		{"many locals in blocks", rep("do local a, b, c = 1, 2, 3 end ", 500)},
		{"many elseifs", "local x if x then " + rep("elseif x then ", 4000) + " end"},
		{"goto", "for i = 1, 3 do if i == 2 then goto continue end ::continue:: end"},
		{"nested calls", "local function f(x) return x end return " + rep("f(", 90) + "1" + rep(")", 90)},
		{"methods", "local t = {} function t:a() return self end function t.b.c.d() end return t:a():a():a()"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := Compile("a.lua", test.source); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestErrorsNameTheLine: SPEC 1.1: "A script that raises: logged and counted
// with path, version and line".
func TestErrorsNameTheLine(t *testing.T) {
	for _, test := range []struct {
		name, source, message string
		line                  int
	}{
		{"error", "local x = 1\n\nerror('oops')", "test.lua:3: oops", 3},
		{"error without position", "\nerror('oops', 0)", "test.lua:2: oops", 2},
		{"error at the caller", "function f() error('oops', 2) end\n\nf() return 1", "test.lua:3: oops", 3},
		{"index of nil", "local t\nreturn t.x", "test.lua:2: attempt to index a non-table object(nil) with key 'x'", 2},
		{"call of nil", "\n\nnothing()", "test.lua:3: attempt to call a non-function object", 3},
		{"arithmetic", "\nreturn 1 + {}", "test.lua:2: cannot perform add operation between number and table", 2},
		{"concat", "\nreturn 'a' .. {}", "test.lua:2: cannot perform concat operation between string and table", 2},
		{"argument", "\nstring.rep({}, 1)", "test.lua:2: bad argument #1 to rep (string expected, got table)", 2},
		{"assert", "\nassert(false, 'no')", "test.lua:2: no", 2},
		{"assert alone", "\nassert(nil)", "test.lua:2: assertion failed!", 2},
		{"table", "\nerror({message = 'broken'})", "test.lua:2: broken", 2},
		{"table without message", "\nerror({})", "test.lua:2: error object is a table", 2},
		{"in a coroutine", "\ncoroutine.wrap(function()\nerror('oops') end)()", "test.lua:3: test.lua:3: oops", 3},
		{"passed on", "local ok, e = pcall(function()\nerror('oops') end)\nerror(e, 0)", "test.lua:2: oops", 2},
		{"decode", "\njson.decode('[1,}')", "test.lua:2: invalid JSON at position 4: unexpected '}'", 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := runError(t, newVM(t, Config{}), test.source)
			if e.Kind != Raised || e.Message != test.message || e.File != "test.lua" || e.Line != test.line || e.Value == nil {
				t.Errorf("got %+v", e)
			}
			if !strings.Contains(e.Traceback, "test.lua:") {
				t.Errorf("traceback is %q", e.Traceback)
			}
		})
	}
}
