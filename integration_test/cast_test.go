package integration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/testkit/nodetest"
	"rollcall/testkit/redistest"
)

// Times of most nodes here; gone is SPEC 5's "lease + grace + one heartbeat + 1 s".
const (
	lease     = 1500 * time.Millisecond
	heartbeat = 500 * time.Millisecond
	grace     = time.Second
	gone      = lease + grace + heartbeat + time.Second
)

const key = "key-of-the-tests"

// fast are the flags of nodes with short leases.
var fast = []string{"--lease-ttl", lease.String(), "--heartbeat", heartbeat.String(), "--api-key", key,
	"--message-rate", "0", "--drain", "500ms"}

// cast are the people of most stories about faults: on each node a client that watches a channel and a script that
// does, and users who are there with devices on one node or on several.
//
//	on0, on1, on2   one device, on that node
//	two0            two devices, both on node 0
//	both01          two devices, on nodes 0 and 1
type cast struct {
	t       *testing.T
	nodes   []*nodetest.Node
	channel string
	plain   []*nodetest.Client // a watcher on each node, which is not tracked itself
	script  []*nodetest.Client // a connection script on each node
	devices map[string][]*nodetest.Client
	fences  int

	redisURL string // of the nodes
}

var everybody = []string{"both01", "on0", "on1", "on2", "two0"}

// assemble connects all to three nodes and waits until each watcher sees all.
func assemble(t *testing.T, nodes []*nodetest.Node) *cast {
	t.Helper()
	c := &cast{t: t, nodes: nodes, channel: "room", devices: map[string][]*nodetest.Client{}}
	for i := range nodes {
		c.watchFrom(i)
	}
	for user, on := range map[string][]int{"on0": {0}, "on1": {1}, "on2": {2}, "two0": {0, 0}, "both01": {0, 1}} {
		for _, node := range on {
			c.enter(user, node)
		}
	}
	c.everyoneSees(everybody...)
	c.forget()
	return c
}

// assembleOn starts three nodes with short leases on a Redis, and assembles.
func assembleOn(t *testing.T, redis *redistest.Redis) *cast {
	t.Helper()
	c := assemble(t, nodetest.StartAll(t, 3, nodetest.Options{Redis: redis.URL(), App: app, Flags: fast}))
	c.redisURL = redis.URL()
	return c
}

// watchFrom adds the watchers of a node.
func (c *cast) watchFrom(node int) {
	c.t.Helper()
	plain := nodetest.Dial(c.t, c.nodes[node].Addr(), "/ws/do")
	plain.Act(fmt.Sprintf(`{"join":%q,"send_presence":%q}`, c.channel, c.channel))
	plain.Expect(`{"event":"presence_state"…`)
	script := nodetest.Dial(c.t, c.nodes[node].Addr(), "/api/custom/test/do")
	script.Call("solidb.ws.channel.subscribe", c.channel)
	c.plain, c.script = append(c.plain, plain), append(c.script, script)
}

// enter connects one more device of a user and tracks it.
func (c *cast) enter(user string, node int) *nodetest.Client {
	c.t.Helper()
	d := nodetest.Dial(c.t, c.nodes[node].Addr(), "/ws/do")
	d.Act(fmt.Sprintf(`{"track":{"channel":%q,"user_id":%q}}`, c.channel, user))
	c.devices[user] = append(c.devices[user], d)
	return d
}

// watchers are all watchers of these nodes; none given: of all.
func (c *cast) watchers(nodes ...int) (all []*nodetest.Client) {
	for i := range c.plain {
		if len(nodes) == 0 || slices.Contains(nodes, i) {
			all = append(all, c.plain[i], c.script[i])
		}
	}
	return all
}

// everyoneSees waits until each plain watcher sees exactly these users.
func (c *cast) everyoneSees(users ...string) {
	c.t.Helper()
	for _, w := range c.plain {
		w.AwaitUsers(c.channel, users...)
	}
}

// forget lets all watchers forget what they were told so far; a fence first, so that nothing is under way.
func (c *cast) forget() {
	c.t.Helper()
	c.fence(c.watchers(), 0)
	for _, w := range c.watchers() {
		w.Forget()
	}
}

// fence lets a user of one node come and go, and waits until these watchers were told: what came before has been told
// too.
func (c *cast) fence(watchers []*nodetest.Client, node int) {
	c.t.Helper()
	began := time.Now()
	defer func() {
		if took := time.Since(began); took > gone {
			c.t.Errorf("it took %v until all were told of one join and one leave", took)
		}
	}()
	c.fences++
	user := fmt.Sprint("fence", c.fences)
	d := nodetest.Dial(c.t, c.nodes[node].Addr(), "/ws/do")
	d.Act(fmt.Sprintf(`{"track":{"channel":%q,"user_id":%q}}`, c.channel, user))
	for _, w := range watchers {
		w.AwaitPresence(c.channel, "join of "+user, nodetest.Timeout,
			func(p nodetest.Presence) bool { return p.Count("join "+user) == 1 })
	}
	d.Leave(1000, "")
	for _, w := range watchers {
		w.AwaitPresence(c.channel, "leave of "+user, nodetest.Timeout,
			func(p nodetest.Presence) bool { return p.Count("leave "+user) == 1 })
	}
}

// told sums up what a watcher was told, in alphabetic order, without fences and states.
func (c *cast) told(w *nodetest.Client) string {
	var list []string
	for _, told := range w.Presence(c.channel).Told {
		if !strings.Contains(told, " fence") && told != "state" {
			list = append(list, told)
		}
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

// expectTold checks that the watchers of these nodes were told exactly this since the last forget, in any order.
func (c *cast) expectTold(want string, nodes ...int) {
	c.t.Helper()
	for i, w := range c.watchers(nodes...) {
		if got := c.told(w); got != want {
			c.t.Errorf("watcher %d was told\n     %s\nwant %s", i, got, want)
		}
		w.CheckPresence()
	}
}

// expectCauses checks why the users left whom the scripts of these nodes were told of since the last forget.
func (c *cast) expectCauses(want string, nodes ...int) {
	c.t.Helper()
	for i, w := range c.watchers(nodes...) {
		var got []string
		for user, why := range w.Presence(c.channel).Causes {
			if !strings.HasPrefix(user, "fence") {
				got = append(got, user+"="+why)
			}
		}
		slices.Sort(got)
		if text := strings.Join(got, " "); slices.Contains(c.script, w) && text != want {
			c.t.Errorf("watcher %d was told\n     %s\nwant %s", i, text, want)
		}
	}
}

// expectLists waits until the lists of these nodes hold exactly these users, with so many devices.
func (c *cast) expectLists(within time.Duration, devices int, nodes []int, users ...string) {
	c.t.Helper()
	slices.Sort(users)
	end := time.Now().Add(within)
	for _, node := range nodes {
		got, n := []string(nil), 0
		for {
			if got, n = listOf(c.t, c.nodes[node].Addr(), c.channel); slices.Equal(got, users) && n == devices {
				break
			}
			if time.Now().After(end) {
				c.t.Fatalf("the list of node %d holds %v with %d devices, want %v with %d", node, got, n, users, devices)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}

// listOf is ws_list_presence as an HTTP handler of a node sees it.
func listOf(t testing.TB, addr, channel string) (users []string, devices int) {
	t.Helper()
	r := callHTTP(t, addr, "ws_list_presence", channel)
	if r.Error != "" {
		t.Fatalf("ws_list_presence: %s", r.Error)
	}
	var list []struct {
		UserID string            `json:"user_id"`
		Metas  []json.RawMessage `json:"metas"`
	}
	if err := json.Unmarshal([]byte(nodetest.JSON(r.Results[0])), &list); err != nil {
		t.Fatal(err)
	}
	for _, u := range list {
		users, devices = append(users, u.UserID), devices+len(u.Metas)
	}
	slices.Sort(users)
	return users, devices
}

// callHTTP lets an HTTP handler call a function.
func callHTTP(t testing.TB, addr, function string, args ...any) (r nodetest.Reply) {
	t.Helper()
	body := nodetest.JSON(map[string]any{"call": function, "args": append([]any{}, args...)})
	status, answer, _ := nodetest.Request(context.Background(), http.MethodPost, addr, "/call", body,
		"Content-Type: application/json")
	if status != http.StatusOK {
		t.Fatalf("%s: %d %s", function, status, answer)
	}
	if err := json.Unmarshal([]byte(answer), &r); err != nil {
		t.Fatalf("%s: %v in %s", function, err, answer)
	}
	return r
}

// stillConnected checks that none of these clients has lost its connection.
func (c *cast) stillConnected(clients ...*nodetest.Client) {
	c.t.Helper()
	for i, d := range clients {
		if d.Over() {
			c.t.Errorf("client %d was disconnected: %q", i, d.Pending())
		}
	}
}

// allDevices are the devices of all users.
func (c *cast) allDevices() (all []*nodetest.Client) {
	for _, user := range slices.Sorted(maps.Keys(c.devices)) {
		all = append(all, c.devices[user]...)
	}
	return all
}
