package app

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"rollcall/luavm"
	"rollcall/testkit"
	"rollcall/testkit/redistest"
)

// put registers a script.
func (n *testNode) put(path, method, code string) Script {
	n.t.Helper()
	s, err := n.scripts.Put(n.t.Context(), "db", path, method, code)
	check(n.t, err)
	return s
}

// SPEC 1.1: "A script that raises: logged and counted with path, version and line": the version that runs, not the
// newest.
func TestScriptRaisesWithItsVersion(t *testing.T) {
	n := startNode(t, empty)
	first := n.put("x", "WS", "solidb.ws.send('first')\nsolidb.ws.recv()\nerror('no')")
	c := n.dial(scriptPath)
	c.expect("first")
	if second := n.put("x", "WS", "error('newest')"); second.Version == first.Version {
		t.Fatal("no new version")
	}
	c.say("go on")
	c.expect("closed 1011 script error")
	testkit.Eventually(t, "failure", func() bool { return len(n.seen.all()) == 1 })
	if f := n.seen.all()[0]; f.Version != first.Version || f.Line != 3 || f.Route != "WS db/x" {
		t.Errorf("%+v, want version %d", f, first.Version)
	}
	n.logged(fmt.Sprintf("version=%d", first.Version))
}

// SPEC 1.1: "Replaces an earlier one. GET reads it back, DELETE removes it, GET /_api/custom lists. Code that does not
// compile: 422 with line and message, and the old version stays."
func TestScriptsPutGetDelete(t *testing.T) { eachRedis(t, testScriptsPutGetDelete) }

func testScriptsPutGetDelete(t *testing.T, redis *redistest.Redis) {
	n := startNode(t, empty, nodeOptions{redis: redis})
	ctx := t.Context()
	first := n.put("x", "get", "return 'one'")
	if first.DB != "db" || first.Path != "x" || first.Method != "GET" || first.Version == 0 {
		t.Fatalf("%+v", first)
	}
	if got := n.get("/api/custom/db/x"); got != "200 one" {
		t.Fatal(got)
	}
	second := n.put("x", "GET", "return 'two'")
	if second.Version <= first.Version {
		t.Fatalf("version %d after %d", second.Version, first.Version)
	}
	if got := n.get("/api/custom/db/x"); got != "200 two" {
		t.Fatal(got)
	}
	_, err := n.scripts.Put(ctx, "db", "x", "GET", "\n\nreturn return")
	var bad *luavm.CompileError
	if !errors.As(err, &bad) || bad.Line != 3 || bad.Message == "" {
		t.Fatalf("compile error %v", err)
	}
	if got, err := n.scripts.Get(ctx, "db", "x", "GET"); err != nil || got != second {
		t.Fatalf("%+v, %v; want %+v", got, err, second)
	}
	n.put("a/:id", "WS", "solidb.ws.send('ws ' .. request.params.id)")
	list, err := n.scripts.List(ctx)
	if err != nil || len(list) != 2 || list[0].Name().String() != "GET db/x" || list[1].Name().String() != "WS db/a/:id" {
		t.Fatal(list, err)
	}
	n.dial("/api/custom/db/a/7").expect("ws 7", "closed 1000")
	check(t, n.scripts.Delete(ctx, "db", "x", "GET"))
	if got := n.get("/api/custom/db/x"); !strings.HasPrefix(got, "404") {
		t.Fatal(got)
	}
	if err := n.scripts.Delete(ctx, "db", "x", "GET"); !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
	if _, err := n.scripts.Get(ctx, "db", "x", "GET"); !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
	if third := n.put("x", "GET", "return 3"); third.Version <= second.Version {
		t.Fatal("a script written after a deletion is not newer")
	}
}

func TestScriptsRefuse(t *testing.T) {
	n := startNode(t, empty)
	tests := []struct {
		db, path, method, code string
		want                   error
	}{
		{"db", "x", "HEAD", "", ErrBadMethod},
		{"db", "", "GET", "", ErrBadPath},
		{":db", "x", "GET", "", ErrBadPath},
		{"db", "a//b", "GET", "", ErrBadPath},
		{"db", "x", "GET", strings.Repeat(" ", MaxCode+1), ErrTooBig},
	}
	for _, tt := range tests {
		if _, err := n.scripts.Put(t.Context(), tt.db, tt.path, tt.method, tt.code); !errors.Is(err, tt.want) {
			t.Errorf("%s/%s: %v, want %v", tt.db, tt.path, err, tt.want)
		}
	}
	if err := n.scripts.Delete(t.Context(), "db", "..", "GET"); !errors.Is(err, ErrBadPath) {
		t.Error(err)
	}
	if _, err := n.scripts.Get(t.Context(), "db", "x", "?"); !errors.Is(err, ErrBadMethod) {
		t.Error(err)
	}
}

// "rooms/:b" matches the same paths as "rooms/:a", so it replaces it.
func TestScriptsOfOneShapeReplace(t *testing.T) {
	n := startNode(t, empty)
	n.put("rooms/:a", "GET", "return 'a ' .. request.params.a")
	n.put("rooms/:b", "GET", "return 'b ' .. request.params.b")
	n.put("rooms/all", "GET", "return 'all'")
	if got := n.get("/api/custom/db/rooms/1") + n.get("/api/custom/db/rooms/all"); got != "200 b 1200 all" {
		t.Fatal(got)
	}
	if list, err := n.scripts.List(t.Context()); err != nil || len(list) != 2 {
		t.Fatal(list, err)
	}
}

// SPEC 1.1: "both live on every node within 1 s"; "New connections run the newest version; running ones finish on
// theirs."
func TestScriptsOnEveryNode(t *testing.T) { eachRedis(t, testScriptsOnEveryNode) }

func testScriptsOnEveryNode(t *testing.T, redis *redistest.Redis) {
	a := startNode(t, empty, nodeOptions{redis: redis})
	b := startNode(t, empty, nodeOptions{redis: redis})
	const code = "while true do local m = solidb.ws.recv() if not m then break end solidb.ws.send('%s') end"
	a.put("x", "WS", fmt.Sprintf(code, "one"))
	start := time.Now()
	testkit.Eventually(t, "script on the other node",
		func() bool { return strings.HasPrefix(b.get("/api/custom/db/x"), "426") })
	if took := time.Since(start); took > time.Second {
		t.Fatalf("took %v", took)
	}
	old := b.dial("/api/custom/db/x")
	old.say("?")
	old.expect("one")
	a.put("x", "WS", fmt.Sprintf(code, "two"))
	testkit.Eventually(t, "new version", func() bool {
		c := b.dial("/api/custom/db/x")
		c.say("?")
		return c.next() == "two"
	})
	old.say("?")
	old.expect("one")
	check(t, b.scripts.Delete(t.Context(), "db", "x", "WS"))
	testkit.Eventually(t, "deletion", func() bool { return strings.HasPrefix(a.get("/api/custom/db/x"), "404") })
}

// A change whose announcement was lost is found by looking.
func TestScriptsWithoutAnnouncement(t *testing.T) { eachRedis(t, testScriptsWithoutAnnouncement) }

func testScriptsWithoutAnnouncement(t *testing.T, redis *redistest.Redis) {
	n := startNode(t, empty, nodeOptions{redis: redis})
	check(t, n.redis.Client().HSet(t.Context(), n.client.Keys().Scripts(), "GET db/x",
		`5 + {"db":"db","path":"x","method":"GET","code":"return 'found'"}`, fieldRev, "5").Err())
	testkit.Eventually(t, "script", func() bool { return n.get("/api/custom/db/x") == "200 found" })
	check(t, n.redis.Client().HSet(t.Context(), n.client.Keys().Scripts(), "GET db/y", `damaged`, "GET db/z",
		`5 + {"db":"db","path":"z","method":"GET","code":"return return"}`, fieldRev, "6").Err())
	n.logged("registered script cannot be read")
	n.logged("registered script does not compile on this node")
	if got := n.get("/api/custom/db/z"); !strings.HasPrefix(got, "500") {
		t.Fatal(got)
	}
	if got := n.get("/api/custom/db/x"); got != "200 found" {
		t.Fatal(got)
	}
}

// SPEC 1.1: "survives restarts of every node"; SPEC 5: "After a wipe nodes write back … the registered scripts they
// hold (the newest version wins)".
func TestScriptsSurvive(t *testing.T) { eachRedis(t, testScriptsSurvive) }

func testScriptsSurvive(t *testing.T, redis *redistest.Redis) {
	a := startNode(t, empty, nodeOptions{redis: redis})
	a.put("kept", "GET", "return 'kept'")
	a.put("gone", "GET", "return 'gone'")
	check(t, a.scripts.Delete(t.Context(), "db", "gone", "GET"))

	b := startNode(t, empty, nodeOptions{redis: redis})
	if got := b.get("/api/custom/db/kept"); got != "200 kept" {
		t.Fatal(got)
	}
	redis.FlushAll()
	testkit.Eventually(t, "scripts in Redis again", func() bool {
		return redis.Client().HGet(t.Context(), a.client.Keys().Scripts(), "GET db/kept").Val() != ""
	})
	if !strings.Contains(a.log.String()+b.log.String(), "writing back a registered script") {
		t.Error("nobody wrote the scripts back")
	}
	c := startNode(t, empty, nodeOptions{redis: redis})
	if got := c.get("/api/custom/db/kept"); got != "200 kept" {
		t.Fatal(got)
	}
	if got := c.get("/api/custom/db/gone"); !strings.HasPrefix(got, "404") {
		t.Fatal(got)
	}
}

// A delete right after a wipe, before anybody has written back, counts.
func TestScriptsDeleteAfterWipe(t *testing.T) { eachRedis(t, testScriptsDeleteAfterWipe) }

func testScriptsDeleteAfterWipe(t *testing.T, redis *redistest.Redis) {
	n := startNode(t, empty, nodeOptions{redis: redis})
	n.put("x", "GET", "return 1")
	n.redis.FlushAll()
	check(t, n.scripts.Delete(t.Context(), "db", "x", "GET"))
	if got := n.get("/api/custom/db/x"); !strings.HasPrefix(got, "404") {
		t.Fatal(got)
	}
}

// SPEC 6: "A script posted by HTTP hides a file of the same path; its DELETE uncovers the file."
func TestPostedScriptHidesFile(t *testing.T) {
	n := startNode(t, map[string]string{"scripts/db/[room].get.lua": "return 'file'"})
	if got := n.get("/api/custom/db/red"); got != "200 file" {
		t.Fatal(got)
	}
	n.put(":other", "GET", "return 'posted'")
	if got := n.get("/api/custom/db/red"); got != "200 posted" {
		t.Fatal(got)
	}
	check(t, n.scripts.Delete(t.Context(), "db", ":other", "GET"))
	if got := n.get("/api/custom/db/red"); got != "200 file" {
		t.Fatal(got)
	}
}

// While Redis is away a node serves the scripts that it holds, and changes fail within 3 s.
func TestScriptsWhileRedisIsAway(t *testing.T) {
	n := startNode(t, empty)
	n.put("x", "GET", "return 'held'")
	n.redis.Kill()
	t.Cleanup(n.redis.Restart)
	start := time.Now()
	if _, err := n.scripts.Put(context.Background(), "db", "y", "GET", ""); err == nil ||
		time.Since(start) > 4*time.Second {
		t.Fatalf("%v after %v", err, time.Since(start))
	}
	if s, err := n.scripts.Get(context.Background(), "db", "x", "GET"); err != nil || s.Code != "return 'held'" {
		t.Fatal(s, err)
	}
	if got := n.get("/api/custom/db/x"); got != "200 held" {
		t.Fatal(got)
	}
	n.logged("registered scripts cannot be read from Redis; the ones this node has stay")
}
