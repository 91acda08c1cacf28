package app

import (
	"testing"

	lua "github.com/yuin/gopher-lua"

	"rollcall/luavm"
)

// What a handler does not look at need not be made; when in doubt, all is.
func TestFieldsUsed(t *testing.T) {
	tests := []struct {
		name, source string
		want         fieldSet
	}{
		{"nothing", `function h(e) return {} end`, 0},
		{"no parameter", `function h() return {} end`, 0},
		{"free fields", `function h(e) return {send = e.type .. e.message} end`, 0},
		{"params", `function h(e) return {join = e.params.room} end`, useParams},
		{"several", `function h(e) local s = e.state if e.query["x"] then s.n = e.headers.host .. e.path end return {send = e.user} end`,
			useState | useQuery | useHeaders | usePath | useUser},
		{"bracketed name", `function h(e) return e["remote_addr"] end`, useAddr},
		{"in a closure", "function h(e)\n local f = function() return e.connection_id end\n return f()\nend", useID},
		{"everywhere", `function h(e)
			while e.params do break end repeat local x = 1 until e.query
			for i = 1, #e.headers do end for k in pairs(e.user) do end
			if not e.path then elseif -e.state then else do return (e.remote_addr) end end
			goto done
			::done::
			return {e.connection_id == 1 and e.type}
		end`, useAll},
		{"assigned field", `function h(e) e.state = {} end`, useState},
		{"nested table", `function h(e) return {{x = {e.params}}} end`, useParams},
		{"handed on", `function h(e) return help(e) end`, useAll},
		{"iterated", `function h(e) for k in pairs(e) do end end`, useAll},
		{"returned", `function h(e) return e end`, useAll},
		{"sent", `function h(e) return {send = e} end`, useAll},
		{"under another name", `function h(e) local x = e return x.headers end`, useAll},
		{"in a closure, handed on", `function h(e) return (function() return help(e) end)() end`, useAll},
		{"computed name", `function h(e) return e["he" .. "aders"] end`, useAll},
		{"assigned", `function h(e) e = nil end`, useAll},
		{"method", `function h(e) return e:type() end`, useAll},
		{"compared", `function h(e) return e == nil end`, useAll},
		{"captured for later", `local kept function h(e) kept = e end`, useAll},
		{"varargs", `function h(...) return (...) end`, useAll},
		{"parameter and varargs", `function h(e, ...) return e.type end`, useAll},
		{"two parameters", `function h(e, x) return e.path end`, usePath},
		{"two functions on a line", `function g(e) return e end function h(e) return e.path end`, useAll},
		{"other function on another line", "function g(e) return e end\nfunction h(e) return e.path end", usePath},
		{"local function", "local function f(e)\n return e.path\nend\nh = f", usePath},
		{"method definition", "M = {}\nfunction M:h()\n return self.path\nend\nh = M.h", useAll},
		{"shadowed", "function h(e)\n local e = e.params\n return e.path\nend", useParams | usePath},
		{"shadowed and handed on", "function h(e)\n local e = e.params\n return help(e)\nend", useAll},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := luavm.Compile("h.lua", tt.source)
			if err != nil {
				t.Fatal(err)
			}
			vm := luavm.New(luavm.Config{})
			defer vm.Close()
			if _, err := vm.Run(p); err != nil {
				t.Fatal(err)
			}
			if got := fieldsUsed(tt.source, vm.Global("h").(*lua.LFunction).Proto); got != tt.want {
				t.Fatalf("got %b, want %b", got, tt.want)
			}
		})
	}
}

func TestRequestUsed(t *testing.T) {
	tests := []struct {
		name, source string
		want         fieldSet
	}{
		{"nothing", `solidb.ws.recv()`, 0},
		{"query", `local c = request.query.channel`, useQuery},
		{"in a function", `local function f() return request.headers["x"] end`, useHeaders},
		{"handed on", `solidb.ws.send(request)`, useAll},
		{"assigned", `request = nil`, useAll},
		{"by _G", `local r = _G["req" .. "uest"]`, useAll},
		{"does not compile", `x = = 1`, useAll},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := requestUsed(tt.source); got != tt.want {
				t.Fatalf("got %b, want %b", got, tt.want)
			}
		})
	}
}

// A module sees the request of the script that requires it.
func TestModulesSeeTheRequest(t *testing.T) {
	n := startNode(t, map[string]string{
		"scripts/db/x.get.lua": `return require("who").agent()`,
		"lib/who.lua":          `return {agent = function() return request.headers["x-agent"] end}`,
	})
	if got, _ := n.request("GET", "/api/custom/db/x", "", "X-Agent: me"); got != "200 me" {
		t.Fatal(got)
	}
}
