package app

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/egress"
	"rollcall/testkit"
)

// backEnd is what handlers ask.
type backEnd struct {
	*httptest.Server
	asked  atomic.Int32  // so far
	now    atomic.Int32  // under way
	answer chan struct{} // closed: those that hang are answered
}

// startBackEnd starts a server that hangs at /hang, and echoes everywhere else.
func startBackEnd(t testing.TB) *backEnd {
	b := &backEnd{answer: make(chan struct{})}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.asked.Add(1)
		b.now.Add(1)
		defer b.now.Add(-1)
		if strings.HasPrefix(r.URL.Path, "/hang") {
			select {
			case <-b.answer:
			case <-r.Context().Done():
				return
			}
		}
		var body [1 << 10]byte
		n, _ := r.Body.Read(body[:])
		w.Header().Add("X-A", "1")
		w.Header().Add("X-A", "2")
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprintf(w, "%s %s %s %s", r.Method, r.URL.Path, r.Header.Get("Content-Type"), body[:n])
	}))
	t.Cleanup(func() {
		b.CloseClientConnections()
		b.Close()
	})
	return b
}

// asking is a node whose handlers may ask a back end.
func asking(t testing.TB, o ...func(*Config)) nodeOptions {
	allowed, err := egress.ParseAllow([]string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	client := egress.New(egress.Config{Allow: allowed})
	t.Cleanup(client.Close)
	return nodeOptions{config: func(c *Config) {
		c.Fetcher = client
		for _, f := range o {
			f(c)
		}
	}}
}

// fetchApp has a handler of each kind that runs a body for each message, with arg, and sends what it returns.
func fetchApp(b *backEnd, body string) map[string]string {
	files := handler(`if event.type == "message" then return { send = run(event.message) } end`)
	files["handlers/chat.lua"] = `local U = "` + b.URL + `"
function run(arg)
` + body + `
end
` + files["handlers/chat.lua"] + `
function http_handler(request) return json_encode(run(request.query.arg)) end`
	files["config/routes.lua"] += "\n" + `router_get("/http", "chat#http_handler")`
	files["scripts/db/x.ws.lua"] = `local U = "` + b.URL + `"
local function run(arg)
` + body + `
end
while true do
  local m = solidb.ws.recv()
  if m == nil then return end
  local ok, v = pcall(run, m)
  solidb.ws.send(ok and (v == nil and "nil" or v) or tostring(v))
end`
	return files
}

// SPEC 11: http.fetch(url, {method, headers, body, json, timeout}) gives {status, headers, body}, in each kind of
// handler, and in coroutines.
func TestFetch(t *testing.T) {
	b := startBackEnd(t)
	n := startNode(t, fetchApp(b, `
local all = {}
local function add(r, why)
  all[#all + 1] = r and { r.status, r.headers["x-a"], r.body } or { why }
end
add(http.fetch(U .. "/get"))
add(http.fetch(U .. "/put", { method = "put", body = "x", headers = { ["Content-Type"] = "text/x" } }))
add(http.fetch(U .. "/json", { json = { a = json.array({}) }, timeout = 1000 }))
add(coroutine.wrap(function() return http.fetch(U .. "/wrap") end)())
add(http.fetch("http://localhost:1/"))
add(http.fetch("nonsense"))
return all`), asking(t))
	want := `[[202,"1, 2","GET /get  "],[202,"1, 2","PUT /put text/x x"],` +
		`[202,"1, 2","POST /json application/json {\"a\":[]}"],[202,"1, 2","GET /wrap  "],` +
		`["localhost:1 is not on the list of --http-allow"],["the URL must begin with http:// or https://"]]`
	event, script := n.dial("/ws/x"), n.dial(scriptPath)
	event.say("go")
	event.expect(want)
	script.say("go")
	script.expect(want)
	if got := n.get("/http"); got != "200 "+want {
		t.Error(got)
	}
	n.logged("http.fetch refused")
}

// Wrong types and values raise; so does a node that may ask nobody, and it says which flag to set.
func TestFetchRaises(t *testing.T) {
	b := startBackEnd(t)
	body := `return select(2, pcall(loadedArgs[tonumber(arg)]))`
	calls := []struct{ call, want string }{
		{`http.fetch()`, "url must be a string, not nil"},
		{`http.fetch(1)`, "url must be a string, not the number 1"},
		{`http.fetch(U, "GET")`, "options must be a table"},
		{`http.fetch(U, { metod = "GET" })`, "unknown option"},
		{`http.fetch(U, { method = 1 })`, "method must be a string"},
		{`http.fetch(U, { method = "TRACE" })`, "method must be one of"},
		{`http.fetch(U, { body = {} })`, "body must be a string"},
		{`http.fetch(U, { body = "", json = 1 })`, "give body or json, not both"},
		{`http.fetch(U, { json = print })`, "json:"},
		{`http.fetch(U, { timeout = 0 })`, "timeout must be a number of ms from 1 to 10000"},
		{`http.fetch(U, { timeout = 10001 })`, "timeout must be"},
		{`http.fetch(U, { timeout = 0/0 })`, "timeout must be"},
		{`http.fetch(U, { timeout = "1" })`, "timeout must be"},
		{`http.fetch(U, { headers = 1 })`, "headers must be a table"},
		{`http.fetch(U, { headers = { "a" } })`, "headers must have names as keys"},
		{`http.fetch(U, { headers = { A = true } })`, "headers: A must be a string or a number"},
		{`http.fetch(U, { headers = { A = "x\r\nB: y" } })`, "headers: A has a control character"},
		{`http.fetch(U, { headers = { Host = "evil" } })`, "headers: Host cannot be set"},
	}
	list := "local loadedArgs = {"
	for _, c := range calls {
		list += "function() return " + c.call + " end,"
	}
	files := fetchApp(b, list+"}\n"+body)
	n := startNode(t, files, asking(t))
	event, script := n.dial("/ws/x"), n.dial(scriptPath)
	for i, call := range calls {
		for _, c := range []*client{event, script} {
			c.say(fmt.Sprint(i + 1))
			if got := c.next(); !strings.Contains(got, ": http.fetch: ") || !strings.Contains(got, call.want) {
				t.Errorf("%s: %s, want %q", call.call, got, call.want)
			}
		}
	}
	if b.asked.Load() != 0 {
		t.Error("the back end was asked")
	}
	none := egress.New(egress.Config{})
	defer none.Close()
	n = startNode(t, fetchApp(b, `return select(2, pcall(http.fetch, U))`),
		nodeOptions{config: func(c *Config) { c.Fetcher = none }})
	event = n.dial("/ws/x")
	event.say("x")
	if got := event.next(); !strings.Contains(got, "http.fetch: no host may be asked") ||
		!strings.Contains(got, "--http-allow") {
		t.Error(got)
	}
}

// A fetch ends with its time, and costs none of the script's budget.
func TestFetchTimeout(t *testing.T) {
	b := startBackEnd(t)
	n := startNode(t, fetchApp(b, `
for i = 1, 3 do http.fetch(U .. "/hang", { timeout = 60 }) end
return { http.fetch(U .. "/hang", { timeout = 1 }) == nil, select(2, http.fetch(U .. "/hang", { timeout = 50 })) }`),
		asking(t, func(c *Config) { c.Limits.Budget = 100 * time.Millisecond }))
	for _, c := range []*client{n.dial("/ws/x"), n.dial(scriptPath)} {
		c.say("go")
		c.expect(`[true,"timeout"]`)
	}
}

// SPEC 6: a turn "lasts at most --turn-timeout (10 s, waiting included)", and "it ends 2 s after its client has gone".
func TestFetchEndsWithItsTurn(t *testing.T) {
	b := startBackEnd(t)
	const hang = `http.fetch(U .. "/hang", { timeout = 10000 }) ended = true return "not reached"`
	n := startNode(t, fetchApp(b, hang), asking(t, func(c *Config) { c.TurnTimeout = 300 * time.Millisecond }))
	c := n.dial("/ws/x")
	c.say("go")
	c.expect("closed 1011 handler error")
	if got := n.get("/http"); !strings.HasPrefix(got, "500 ") {
		t.Error(got)
	}
	if f := n.seen.all(); len(f) != 2 || f[0].Reason != ReasonTimeout || f[1].Reason != ReasonTimeout || f[0].Line != 3 {
		t.Errorf("%+v", f)
	}
	n = startNode(t, fetchApp(b, hang), asking(t))
	event, script := n.dial("/ws/x"), n.dial(scriptPath)
	event.say("go")
	script.say("go")
	testkit.Eventually(t, "both ask", func() bool { return b.now.Load() == 2 })
	began := time.Now()
	_ = event.UnderlyingConn().Close()
	_ = script.UnderlyingConn().Close()
	testkit.Eventually(t, "both have given up", func() bool { return b.now.Load() == 0 })
	if took := time.Since(began); took > 9*time.Second { // the fetches would have taken ten
		t.Errorf("it took %v", took)
	}
}

// The Fetcher's end is the end of all waits.
func TestFetchEndsWithTheNode(t *testing.T) {
	b := startBackEnd(t)
	var fetcher *egress.Client
	n := startNode(t, fetchApp(b, `return { http.fetch(U .. "/hang", { timeout = 10000 }) == nil }`),
		asking(t, func(c *Config) { fetcher = c.Fetcher.(*egress.Client) }))
	event, script := n.dial("/ws/x"), n.dial(scriptPath)
	event.say("go")
	script.say("go")
	testkit.Eventually(t, "both ask", func() bool { return b.now.Load() == 2 })
	fetcher.Close()
	event.expect(`[true]`)
	script.expect(`[true]`)
}

// SPEC 11: "Waiting … holds up no other connection": far more handlers of one file wait than it has VMs, some with
// globals of their own, which bind them to a VM.
func TestFetchHoldsUpNobody(t *testing.T) {
	b := startBackEnd(t)
	files := handler(`if event.type ~= "message" then return end
mine = (mine or 0) + 1
local before = mine
if event.message == "hang" then
  kept = event.connection_id
  local r, why = http.fetch(U .. "/hang", { timeout = 10000 })
  return { send = (r and r.status or why) .. " " .. before .. mine .. tostring(kept == event.connection_id) }
end
return { send = "quick " .. mine .. tostring(kept) }`)
	files["handlers/chat.lua"] = `local U = "` + b.URL + `" ` + files["handlers/chat.lua"]
	n := startNode(t, files, asking(t, func(c *Config) { c.MaxVMs = 4 }))
	var waiting []*client
	for range 100 {
		c := n.dial("/ws/x")
		c.say("")
		c.expect("quick 1nil")
		c.say("hang")
		waiting = append(waiting, c)
	}
	testkit.Eventually(t, "all wait", func() bool { return b.now.Load() == 100 })
	if s := n.server.Stats(); s.VMs > 4 || s.Parked != 100 || s.Waiting != 0 {
		t.Errorf("%+v", s)
	}
	for range 3 {
		c := n.dial("/ws/x")
		for i := range 5 {
			c.say("")
			c.expect(fmt.Sprintf("quick %dnil", i+1))
		}
	}
	close(b.answer)
	for _, c := range waiting {
		c.expect("202 22true")
		c.say("")
		c.expectLike("quick 3")
	}
	if s := n.server.Stats(); s.Parked != 0 || s.Busy != 0 {
		t.Errorf("%+v", s)
	}
}

// SPEC 11: "4 at a time for a connection (from coroutines; a fifth waits)". Each kind of handler begins five.
func TestFifthFetchWaits(t *testing.T) {
	b := startBackEnd(t)
	body := `
if arg == "echo" then return http.fetch(U .. "/echo").body end
local all, out = {}, {}
for i = 1, 5 do
  all[i] = coroutine.create(function(first)
    local r, why = http.fetch(U .. "/hang/" .. first, { timeout = 9000 })
    return r and r.body or why
  end)
  assert(coroutine.resume(all[i], i) and coroutine.status(all[i]) == "suspended")
end
for i = 5, 1, -1 do
  local _, v = coroutine.resume(all[i], "no answer")
  out[i] = v
  assert(coroutine.status(all[i]) == "dead")
end
return out`
	n := startNode(t, fetchApp(b, body), asking(t))
	n.dial("/ws/x").say("go") // its client never looks
	event, script := n.dial("/ws/x"), n.dial(scriptPath)
	event.say("go")
	script.say("go")
	testkit.Eventually(t, "four each are under way", func() bool { return b.now.Load() == 12 })
	other := n.dial("/ws/x")
	other.say("echo")
	other.expect("GET /echo  ")
	if asked := b.asked.Load(); asked != 13 { // a fifth would have come before the echo
		t.Errorf("%d requests are under way", asked-1)
	}
	close(b.answer)
	want := `["GET /hang/1  ","GET /hang/2  ","GET /hang/3  ","GET /hang/4  ","GET /hang/5  "]`
	event.expect(want)
	script.expect(want)
	if got := n.get("/http"); got != "200 "+want {
		t.Error(got)
	}
}

// A fifth whose time is over before its turn; too many; and coroutines that are kept beyond the turn that began them.
func TestFetchesInCoroutines(t *testing.T) {
	b := startBackEnd(t)
	n := startNode(t, fetchApp(b, `
if arg == "begin" then
  kept = coroutine.create(function() return http.fetch(U .. "/hang", { timeout = 9000 }) end)
  coroutine.resume(kept)
  return "begun"
elseif arg == "kept" then
  return { coroutine.resume(kept) }
elseif arg == "many" then
  for i = 1, 16 do
    coroutine.resume(coroutine.create(function() http.fetch(U .. "/hang", { timeout = 9000 }) end))
  end
  return { http.fetch(U .. "/echo") }
elseif arg == "pcall" then -- it cannot give way there, and waits
  local co = coroutine.create(function() return select(2, pcall(http.fetch, U .. "/echo")) end)
  return select(2, coroutine.resume(co)).body
elseif arg == "raise" then
  local co = coroutine.create(function() error("after " .. http.fetch(U .. "/echo").status) end)
  coroutine.resume(co)
  return { coroutine.resume(co) }
end
local all, out = {}, {}
for i = 1, 5 do
  all[i] = coroutine.create(function() return select(2, http.fetch(U .. "/hang", { timeout = 40 + i })) end)
  coroutine.resume(all[i])
end
for i, co in ipairs(all) do out[i] = select(2, coroutine.resume(co)):sub(1, 7) end
return out`), asking(t))
	c := n.dial("/ws/x")
	c.say("fifth")
	c.expect(`["timeout","timeout","timeout","timeout","timeout"]`)
	c.say("begin")
	c.expect("begun")
	testkit.Eventually(t, "what nobody waits for is given up", func() bool { return b.now.Load() == 0 })
	c.say("kept", "many", "pcall", "raise")
	c.expect(`{"1":true,"3":"the turn that began the fetch is over"}`,
		`{"2":"too many fetches are begun and not taken"}`, "GET /echo  ", `[false,"handlers/chat.lua:19: after 202"]`)
	testkit.Eventually(t, "nothing is left", func() bool { return b.now.Load() == 0 })
}
