package app

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"rollcall/testkit"
	"rollcall/testkit/redistest"
)

// SPEC 1.3: ws_… functions, from a connection script beside other connections.
func TestWSFunctions(t *testing.T) {
	n := startNode(t, withWatch(scriptApp(`
local ws = solidb.ws
local other = request.query.other
local cmd = request.query.cmd
if cmd == "wait" then ws.send(ws.id) while ws.recv() do end return end
local out = {}
local function add(...) for i = 1, select("#", ...) do out[#out + 1] = select(i, ...) end end
add(ws_send(other, "from lua"), ws_send(other, {a = 1}), ws_send("`+uuid.Must(uuid.NewRandom()).String()+`", "x"))
add(ws_join("c"), #ws_clients_in("c"), ws_clients_in("c")[1] == ws.id, ws_clients_in("nowhere"))
add(ws_broadcast_room("c", "m"), ws.recv_any().sender_id == ws.id)
add(ws_leave("c"), ws_leave("c"), ws.channel.list())
add(#ws_clients(), ws_count())
ws.presence.join("p", {user_id = "ann", n = 1})
local list = ws_list_presence("p")
add(#list, list[1].user_id, #list[1].metas, list[1].metas[1].n, list[1].metas[1].connection_id == ws.id, list[1].metas[1].state)
add(ws_presence_count("p"), ws_presence_count("q"), ws_list_presence("q"))
add(ws_get_presence("p", "ann").user_id, type(ws_get_presence("p", "bob")))
add(ws_close(other, "kicked"))
add(ws_broadcast("all"))
ws.send(out)
ws.recv()`)))
	other := n.dial(scriptPath + "?cmd=wait")
	id := other.next()
	watch := n.watch("w")
	testkit.Eventually(t, "count", func() bool { return n.hub.Count() == 2 })
	c := n.dial(scriptPath + "?other=" + id)
	all := c.next()
	if all == "all" {
		all = c.next()
	}
	want := `[true,true,false,true,1,true,[],true,true,true,true,[],3,3,1,"ann",1,1,true,"online",1,0,[],"ann","nil",true,true]`
	if all != want {
		t.Fatalf("got  %s\nwant %s", all, want)
	}
	other.expect("from lua", `{"a":1}`, "closed 1000 kicked")
	watch.expect("all")
}

// SPEC 1.3: store: "values are JSON; set(key, value, {ttl = ms, nx = true})".
func TestStore(t *testing.T) {
	eachRedis(t, func(t *testing.T, r *redistest.Redis) { testStore(t, r, nil) })
}

// With a quota all functions do the same.
func TestStoreWithinQuota(t *testing.T) {
	eachRedis(t, func(t *testing.T, r *redistest.Redis) {
		if r.Kind() == "cluster" {
			t.Skip("there is no quota on a Cluster")
		}
		testStore(t, r, quotaOf(t, 1000, 1<<20))
	})
}

func testStore(t *testing.T, r *redistest.Redis, config func(*Config)) {
	n := startNode(t, map[string]string{"scripts/db/x.get.lua": `
local out = {}
local function add(v) out[#out + 1] = v == nil and "nil" or v end
add(store.get("none"))
add(store.set("k", {a = {1, json.null}, e = json.array({})})) add(store.get("k"))
add(store.set("k", "text")) add(store.get("k"))
add(store.set("k", 1, {nx = true})) add(store.get("k"))
add(store.set("fresh", json.null, {nx = true, ttl = 60000})) add(store.get("fresh") == json.null)
add(store.delete("k")) add(store.delete("k"))
add(store.incr("n")) add(store.incr("n", 5)) add(store.incr("n", -2)) add(store.get("n"))
add(store.expire("n", 60000)) add(store.expire("none", 1))
add(store.hset("h", "f", {x = 1})) add(store.hset("h", "g", false)) add(store.hget("h", "f")) add(store.hget("h", "z"))
add(store.hgetall("h")) add(store.hgetall("none"))
add(store.hdel("h", "f")) add(store.hdel("h", "f"))
store.set("s", "text")
add(pcall(store.incr, "s") == false and "raises")
return out`}, nodeOptions{redis: r, config: config})
	want := `200 ["nil",true,{"a":[1,null],"e":[]},true,"text",false,"text",true,true,true,false,1,6,4,4,true,false,true,true,{"x":1},"nil",`
	got := n.get("/api/custom/db/x")
	if !strings.HasPrefix(got, want) || !strings.HasSuffix(got, `,{},true,false,"raises"]`) ||
		!strings.Contains(got, `"f":{"x":1}`) {
		t.Fatalf("got  %s\nwant %s…", got, want)
	}
	if ttl, err := n.redis.Client().PTTL(t.Context(), n.storeKey("fresh")).Result(); err != nil || ttl <= 0 ||
		ttl > time.Minute {
		t.Fatalf("ttl %v, %v", ttl, err)
	}
}

// SPEC 5: "While Redis can't be reached, broadcasts and store raise within 3 s".
func TestRedisAway(t *testing.T) {
	n := startNode(t, scriptApp(`
local ws = solidb.ws
ws.send("ready")
ws.recv()
for _, f in ipairs({function() return store.get("x") end, function() return store.set("x", 1) end, function() return ws.channel.broadcast("c", 1) end,
    function() return ws_broadcast("x") end}) do
  local ok, err = pcall(f)
  ws.send(tostring(ok) .. " " .. tostring(err))
end`))
	c := n.lua("")
	c.expect("ready")
	n.redis.Kill()
	t.Cleanup(n.redis.Restart)
	start := time.Now()
	c.say("go")
	for _, want := range []string{"store.get: ", "store.set: ", "solidb.ws.channel.broadcast: ", "ws_broadcast: "} {
		got := c.expectLike("false ")
		if !strings.Contains(got, want) {
			t.Errorf("got %s, want %s", got, want)
		}
		if took := time.Since(start); took > 4*time.Second {
			t.Fatalf("%s took %v", want, took)
		}
		start = time.Now()
	}
}

// SPEC 1.3: log: "structured log lines that name route and connection".
func TestLog(t *testing.T) {
	n := startNode(t, scriptApp(`
log.debug("quiet")
log.info("hello", {n = 1, f = 1.5, s = "x y", t = {1, 2}, b = true, fn = print})
log.warn("careful") log.error("bad")
print("printed", 1)`), nodeOptions{})
	n.lua("").expect("closed 1000")
	for _, want := range []string{`level=INFO msg=hello route="WS db/x" connection=`, "fields.n=1", "fields.f=1.5",
		`fields.s="x y"`, "fields.t=[1,2]", "fields.b=true",
		`fields.fn="a function"`, "level=WARN msg=careful", "level=ERROR msg=bad", `msg="printed\t1"`} {
		n.logged(want)
	}
	if strings.Contains(n.log.String(), "quiet") {
		t.Error("a debug line was logged")
	}
}

// SPEC 1.3: "log.debug … structured log lines that name route and connection", "and for HTTP handlers": those have no
// connection.
func TestLogElsewhere(t *testing.T) {
	files := scriptApp(`log.debug("quiet", {n = 1})`)
	files["config/routes.lua"] = `router_get("/h/:id", "h#get")`
	files["handlers/h.lua"] = `function get() log.info("of a handler") return "" end`
	files["scripts/db/y.get.lua"] = `log.info("of an HTTP script") return ""`
	n := startNode(t, files, nodeOptions{debug: true})
	n.lua("").expect("closed 1000")
	n.get("/h/7")
	n.get("/api/custom/db/y")
	n.logged(`level=DEBUG msg=quiet route="WS db/x" connection=`)
	n.logged(`level=INFO msg="of a handler" route=/h/:id`)
	n.logged(`level=INFO msg="of an HTTP script" route="GET db/y"`)
}

// SPEC 1.3: "require of files in handlers/ and lib/ of the app".
func TestRequire(t *testing.T) {
	n := startNode(t, map[string]string{
		"config/routes.lua":    `router_get("/", "h#get")`,
		"handlers/h.lua":       `local util = require("util") local deep = require("lib.deep.x") local o = require("other") function get() return util.name .. deep .. o.name end`,
		"handlers/other.lua":   `return {name = "other"}`,
		"lib/util.lua":         `return {name = "util"}`,
		"lib/deep/x.lua":       `return "deep"`,
		"scripts/db/x.get.lua": `return require("util").name .. require("handlers/other").name`,
	})
	if got := n.get("/"); got != "200 utildeepother" {
		t.Error(got)
	}
	if got := n.get("/api/custom/db/x"); got != "200 utilother" {
		t.Error(got)
	}
}

// Functions that need a connection or Redis cannot be called while files are loaded.
func TestFunctionsWhileLoading(t *testing.T) {
	dir := writeFiles(t, map[string]string{
		"config/routes.lua": `router_get("/", "h#get")`,
		"handlers/h.lua":    "store.get('x')\nfunction get() end",
	})
	_, problems := Load(dir, LoadOptions{})
	if len(problems) != 1 || !strings.Contains(problems[0].Error(),
		"handlers/h.lua:1: this function cannot be called while the file is loaded") {
		t.Fatal(problems)
	}
}
