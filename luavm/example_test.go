package luavm_test

import (
	"fmt"

	lua "github.com/yuin/gopher-lua"

	"rollcall/luavm"
)

// A connection script runs in a VM of its own, for as long as the connection.
func Example_connectionScript() {
	inbox := []string{"hello", "bye"}
	library := luavm.NewLibrary(map[string]lua.LValue{
		"ws": luavm.SharedTable(map[string]lua.LGFunction{
			"recv": func(L *lua.LState) int {
				vm := luavm.Of(L)
				var message lua.LValue = lua.LNil
				vm.Block(func() { // waits without time counting
					if len(inbox) > 0 {
						message, inbox = lua.LString(inbox[0]), inbox[1:]
					}
				})
				L.Push(message)
				return 1
			},
			"send": func(L *lua.LState) int {
				vm := luavm.Of(L)
				text, err := luavm.EncodeJSON(L.CheckAny(1), 0)
				if err != nil {
					L.RaiseError("%s", err.Error())
				}
				fmt.Printf("to %s: %s\n", vm.Data, text)
				return 0
			},
		}, nil),
	})
	program, err := luavm.Compile("echo.ws.lua", `
		for message in ws.recv do ws.send({echo = message, seen = json.array({})}) end
		error("no more")`)
	if err != nil {
		panic(err)
	}
	vm := luavm.New(luavm.Config{Library: library, Gate: luavm.NewGate(2), Data: "client 1"})
	defer vm.Close()
	_, err = vm.Run(program)
	e := err.(*luavm.Error)
	fmt.Println(e.Kind, e.File, e.Line, e.Message)
	// Output:
	// to client 1: {"echo":"hello","seen":[]}
	// to client 1: {"echo":"bye","seen":[]}
	// raised echo.ws.lua 3 echo.ws.lua:3: no more
}

// Event handlers of many connections take turns in one VM.
func Example_eventHandlers() {
	program, err := luavm.Compile("handlers/websocket.lua", `
		count = 0
		function chat_handler(event)
			count = count + 1
			return {send = event.message .. " " .. count}
		end`)
	if err != nil {
		panic(err)
	}
	vm := luavm.New(luavm.Config{})
	defer vm.Close()
	if _, err := vm.Run(program); err != nil {
		panic(err)
	}
	handler := vm.Global("chat_handler")
	globals := map[string]*luavm.Globals{}
	for _, client := range []string{"ann", "bob", "ann"} {
		event := luavm.NewObject(2)
		event.Set("type", lua.LString("message"))
		event.Set("message", lua.LString(client))
		vm.BeginTurn(globals[client])
		actions, err := vm.Call1(handler, event.Table())
		if err == nil {
			text, _ := luavm.EncodeJSON(actions, 0)
			fmt.Println(string(text))
		}
		globals[client] = vm.EndTurn() // nil for handlers that assign no globals
	}
	// Output:
	// {"send":"ann 1"}
	// {"send":"bob 1"}
	// {"send":"ann 2"}
}
