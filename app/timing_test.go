package app

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"rollcall/luavm"
	"rollcall/testkit"
	"rollcall/wsconn"
)

// timerApp tells its client of each timer. A message is Lua that returns actions; so is the query first, for connect,
// and what a timer has as data.again.
var timerApp = map[string]string{
	"config/routes.lua": `router_websocket("/ws", "t#on")`,
	"handlers/t.lua": `
local function actions(text)
  local list = json.decode(text)
  if #list == 0 then list = { list } end
  return list
end
function on(event)
  if event.type == "connect" then
    event.state.last = event.query.last
    return event.query.first and actions(event.query.first)
  elseif event.type == "message" then
    return actions(event.message)
  elseif event.type == "disconnect" then
    log.info("gone")
    return event.state.last and actions(event.state.last)
  end
  log.info("timer " .. event.name)
  local data = event.data
  if data == "raise" then error("timer raises") end
  if data == "loop" then while true do end end
  if data == "busy" then
    local till = os.clock() + 0.3
    while os.clock() < till do end
  end
  local out = { { send = { timer = event.name, data = data } } }
  if type(data) == "table" and data.again then
    out[2] = { after = { name = event.name, ms = 100, data = { again = data.again > 1 and data.again - 1 or nil } } }
  end
  return out
end`,
}

// noAlarm waits until no timer is set and none is running.
func (n *testNode) noAlarm() {
	n.t.Helper()
	testkit.Eventually(n.t, "end of all timers", func() bool {
		n.server.alarms.mu.Lock()
		defer n.server.alarms.mu.Unlock()
		return len(n.server.alarms.heap) == 0
	})
}

// SPEC 11: "an event of type timer with name, data for this connection; the same name replaces".
func TestTimersFire(t *testing.T) {
	n := startNode(t, timerApp)
	c := n.dial(`/ws?first={"after":{"name":"hello","ms":100,"data":[1,null,"x"]}}`)
	c.expect(`{"timer":"hello","data":[1,null,"x"]}`)
	c.say(`{"after":[{"name":"c","ms":300},{"name":"a","ms":100},{"name":"b","ms":200,"data":{"k":{}}},{"name":"a2","ms":100}]}`)
	c.expect(`{"timer":"a"}`, `{"timer":"a2"}`, `{"timer":"b","data":{"k":{}}}`, `{"timer":"c"}`)

	c.say(`{"after":[{"name":"x","ms":100,"data":1},{"name":"y","ms":60000},{"name":"z","ms":150}]}`,
		`{"after":[{"name":"y","cancel":true},{"name":"none","cancel":true}]}`)
	c.expect(`{"timer":"x","data":1}`, `{"timer":"z"}`)
	c.say(`{"after":[{"name":"x","ms":100,"data":2},{"name":"y","ms":150},{"name":"x","ms":200,"data":3}]}`)
	c.expect(`{"timer":"y"}`, `{"timer":"x","data":3}`)

	c.say(`{"after":{"name":"again","ms":100,"data":{"again":3}}}`)
	c.expect(`{"timer":"again","data":{"again":3}}`, `{"timer":"again","data":{"again":2}}`,
		`{"timer":"again","data":{"again":1}}`, `{"timer":"again","data":{}}`)
	n.noAlarm()
}

// SPEC 6: "Events of one connection run one at a time, in order." A timer that is due while a message is handled waits,
// and so does a message while a timer is.
func TestTimersWaitForTheHandler(t *testing.T) {
	files := map[string]string{"config/routes.lua": `router_websocket("/ws", "t#on")`, "handlers/t.lua": `
local function busy(what)
  log.info("turn begins " .. what)
  local till = os.clock() + 0.15
  while os.clock() < till do end
  log.info("turn ends " .. what)
end
function on(event)
  if event.type == "connect" then return end
  busy(event.name or event.message)
  if event.type == "timer" then return { send = "timer" } end
  return { send = event.message, after = { name = "t" .. event.message, ms = 100 } }
end`}
	n := startNode(t, files, nodeOptions{config: func(c *Config) { c.Limits.Budget = 10 * time.Second }})
	c := n.dial("/ws")
	c.say("1", "2", "3", "4", "5")
	for range 10 {
		c.next()
	}
	lines := strings.Fields(strings.Join(strings.FieldsFunc(n.log.String(), func(r rune) bool { return r == '"' }), " "))
	open, turns := "", 0
	for i, word := range lines {
		if word != "turn" {
			continue
		}
		what := lines[i+2]
		switch {
		case lines[i+1] == "begins" && open == "":
			open, turns = what, turns+1
		case lines[i+1] == "ends" && open == what:
			open = ""
		default:
			t.Fatalf("%s %s while %q is handled", what, lines[i+1], open)
		}
	}
	if turns != 10 {
		t.Errorf("%d turns are in the log", turns)
	}
}

// SPEC 11: "ends with it"; a refused connect keeps none, a connection that ends gets none.
func TestTimersEndWithTheConnection(t *testing.T) {
	const later = `{"name":"later","ms":60000}`
	n := startNode(t, timerApp)
	c := n.dial(`/ws?first=[{"after":` + later + `},{"send":"set"}]&last={"after":` + later + `}`)
	c.expect("set")
	n.server.alarms.mu.Lock()
	set := len(n.server.alarms.heap)
	n.server.alarms.mu.Unlock()
	if set != 1 {
		t.Errorf("%d alarms are set", set)
	}
	c.leave(1000)
	n.logged("gone")
	n.noAlarm()

	c = n.dial(`/ws?first=[{"after":` + later + `},{"close":"no"}]`)
	c.expect("closed 4403 no")
	c = n.dial(`/ws?first=[{"after":{"name":"t","ms":99}},{"send":"never"}]`)
	c.say(`{"send":"on"}`)
	c.expect("on")
	n.noAlarm()

	// Closing, with a client that does not answer: nothing fires any more.
	c = n.dial("/ws")
	c.SetCloseHandler(func(int, string) error { return nil })
	c.say(`{"after":{"name":"late","ms":100},"close":"bye"}`)
	c.expect("closed 1000 bye")
	n.noAlarm()
	testkit.Eventually(t, "the end of the closing", func() bool { return strings.Count(n.log.String(), "msg=gone") == 2 })
	if strings.Contains(n.log.String(), "timer late") {
		t.Error("a timer fired on a closing connection")
	}
	if got := n.seen.all(); len(got) != 1 || got[0].Reason != ReasonActions {
		t.Errorf("failures: %v", got)
	}
}

// SPEC 11: "16 a connection"; beyond, an error to the handler.
func TestTimersSeventeen(t *testing.T) {
	n := startNode(t, timerApp,
		nodeOptions{config: func(c *Config) { c.Dev = true }, ws: wsconn.Config{MaxMessage: 1 << 20}})
	c := n.dial("/ws")
	var list, want []string
	for i := range 17 {
		list = append(list, fmt.Sprintf(`{"name":"t%d","ms":100}`, i))
		if i < 16 {
			want = append(want, fmt.Sprintf(`{"timer":"t%d"}`, i))
		}
	}
	c.say(`{"after":[` + strings.Join(list, ",") + `]}`)
	c.expectLike(`"message":"after: a connection has 16 timers at most"`)
	c.expect(want...)
	if got := n.seen.all(); len(got) != 1 || got[0].Kind != RunMessage || got[0].Reason != ReasonAction {
		t.Errorf("failures: %v", got)
	}
	half := strings.Repeat("x", 40<<10)
	c.say(`{"after":[{"name":"a","ms":100,"data":"` + half + `"},{"name":"b","ms":100,"data":"` + half + `"}]}`)
	c.expectLike("names and data of a connection's timers take more than 65536 bytes")
	c.expectLike(`"timer":"a"`)
	n.noAlarm()
}

// SPEC 1.2, 1.4: a timer's handler that raises costs nothing but a line of the log, one that loops its connection.
func TestTimersThatFail(t *testing.T) {
	n := startNode(t, timerApp)
	neighbour := n.dial("/ws")
	c := n.dial("/ws")
	c.say(`{"after":[{"name":"r","ms":100,"data":"raise"},{"name":"ok","ms":100}]}`)
	c.expect(`{"timer":"ok"}`)
	c.say(`{"after":[{"name":"l","ms":100,"data":"loop"},{"name":"never","ms":100}]}`)
	c.expect("closed 1011 handler error")
	neighbour.say(`{"send":"here"}`)
	neighbour.expect("here")
	var got []string
	for _, f := range n.seen.all() {
		got = append(got, fmt.Sprint(f.Kind, " ", f.Reason, " ", f.File))
	}
	if strings.Join(got, ", ") != "timer raised handlers/t.lua, timer "+luavm.Budget.String()+" handlers/t.lua" {
		t.Errorf("failures: %q", got)
	}
	n.logged("timer raises")
	if strings.Contains(n.log.String(), "timer never") {
		t.Error("a timer fired after its connection was closed")
	}
}

// Timers are no messages of the client: the message rate does not count them.
func TestTimersAreNotCounted(t *testing.T) {
	n := startNode(t, timerApp, nodeOptions{ws: wsconn.Config{MessageRate: 1}})
	c := n.dial("/ws")
	var list []string
	for i := range 16 {
		list = append(list, fmt.Sprintf(`{"name":"t%d","ms":100}`, i))
	}
	c.say(`{"after":[` + strings.Join(list, ",") + `]}`)
	for i := range 16 {
		c.expect(fmt.Sprintf(`{"timer":"t%d"}`, i))
	}
}

// SPEC 5.5: connections whose timers are all due at once, again and again, hold nobody up.
func TestTimersOfMany(t *testing.T) {
	const many = 200
	n := startNode(t, timerApp)
	var list []string
	for i := range 16 {
		list = append(list, fmt.Sprintf(`{"name":"t%d","ms":100,"data":{"again":1}}`, i))
	}
	all := `{"after":[` + strings.Join(list, ",") + `]}`
	conns := make([]*client, many)
	for i := range conns {
		conns[i] = n.dial("/ws")
	}
	for _, c := range conns {
		c.say(all)
	}
	neighbour := n.dial("/ws")
	for range 20 {
		neighbour.say(`{"send":"here"}`)
		neighbour.expect("here")
	}
	for _, c := range conns {
		for range 32 {
			c.expectLike(`{"timer":"t`)
		}
	}
	n.noAlarm()
	if got := n.seen.all(); len(got) > 0 {
		t.Errorf("failures: %v", got[0])
	}
}
