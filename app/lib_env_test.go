package app

import (
	"maps"
	"testing"
)

// SPEC 11: "`ROLLCALL_APP_<NAME>`, or nil. No other variable can be seen".
func TestEnvOf(t *testing.T) {
	got := EnvOf([]string{"PATH=/bin", "ROLLCALL_APP=examples/chat", "ROLLCALL_API_KEY=secret", "ROLLCALL_APP_=none",
		"ROLLCALL_APP_HOOK_SECRET=a=b", "ROLLCALL_APP_EMPTY=", "ROLLCALL_APP_lower=x", "ROLLCALL_APP_A-B=x", "odd",
		"ROLLCALL_APP_2FA=yes"})
	if want := (Env{"HOOK_SECRET": "a=b", "EMPTY": "", "2FA": "yes"}); !maps.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// env is there in all kinds of handler, and while files are loaded.
func TestEnvInHandlers(t *testing.T) {
	t.Setenv("SECRET", "no app's business")
	files := handler(`if event.type == "message" then return { send = {
		seen = { env("KEY"), env("key"), atLoad, lib = require("kept").key },
		nothing = { env("SECRET") == nil, env("APP_KEY") == nil, env("ROLLCALL_APP_KEY") == nil },
		wrong = { select(2, pcall(env, "A=B")), select(2, pcall(env, "")), select(2, pcall(env)) } } } end`)
	files["handlers/chat.lua"] = `atLoad = env("KEY") ` + files["handlers/chat.lua"]
	files["lib/kept.lua"] = `return { key = env("KEY") }`
	files["config/routes.lua"] += "\n" + `router_get("/" .. env("PATH_OF_ROUTE"), "chat#http")`
	files["handlers/chat.lua"] += "\n" + `function http() return env("KEY") end`
	files["scripts/db/x.ws.lua"] = `solidb.ws.send(env("KEY"))`
	n := startNode(t, files, nodeOptions{load: LoadOptions{Env: Env{"KEY": "k", "PATH_OF_ROUTE": "found"}}})
	c := n.dial("/ws/x")
	c.say("")
	c.expect(`{"seen":{"1":"k","2":"k","3":"k","lib":"k"},"nothing":[true,true,true],"wrong":[` +
		`"handlers/chat.lua:5: env: name must have letters, digits and _ only, not \"A=B\"",` +
		`"handlers/chat.lua:5: env: name must have letters, digits and _ only, not \"\"",` +
		`"handlers/chat.lua:5: env: name must be a string, not nil"]}`)
	if got := n.get("/found"); got != "200 k" {
		t.Error(got)
	}
	n.dial(scriptPath).expect("k")
}
