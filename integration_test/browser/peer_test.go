package browser_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"rollcall/testkit/nodetest"
	"rollcall/testkit/redistest"
)

// peer is where rollcall-client runs: a page in Chromium, or a process of Node.
type peer struct {
	t    *testing.T
	eval func(code string) (json.RawMessage, error) // of an expression that has a value; a promise is awaited
	page *page                                      // nil in Node
}

// startJS makes start(url, options). What has come to the client since is in the globals that it makes.
const startJS = `(() => {
	globalThis.start = (url, options) => {
		Object.assign(globalThis, { log: [], got: [], late: [], lost: [], told: [], node: 0 });
		globalThis.c = connect(url, options);
		c.on("status", (status, about) => log.push({ status, ...about }));
		c.on("message", (m, { missed }) => {
			if (m.event === "hello") globalThis.node = m.node;
			else (missed ? late : got).push(m.text);
		});
		c.on("lost", (about) => lost.push(about));
		globalThis.room = c.presence("room:lobby");
		for (const name of ["join", "leave"]) room.on(name, (id) => told.push(name + " " + id));
		return true;
	};
	return true;
})()`

// inChromium loads the page of the nodes' app, and the client from there.
func inChromium(t *testing.T, addr string) *peer {
	t.Helper()
	tab := startBrowser(t).tab("the page")
	tab.load("http://" + addr + "/")
	tab.importClient()
	return (&peer{t: t, page: tab, eval: func(code string) (json.RawMessage, error) {
		return evaluate[json.RawMessage](tab, code)
	}}).ready()
}

// inNode starts Node with the file of clients/js.
func inNode(t *testing.T, _ string) *peer {
	t.Helper()
	program := redistest.Program(t, "node")
	client, err := filepath.Abs("../../clients/js/rollcall.js")
	if err != nil {
		t.Fatal(err)
	}
	// Node 20 has a WebSocket only when it is asked for.
	cmd := exec.Command(program, "--experimental-websocket", "testdata/client/peer.mjs", "file://"+client)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	nodetest.StartProgram(t, "Node", cmd)
	lines, id := bufio.NewScanner(out), 0
	return (&peer{t: t, eval: func(code string) (json.RawMessage, error) {
		id++
		if _, err := fmt.Fprintln(in, nodetest.JSON(map[string]any{"id": id, "code": code})); err != nil {
			return nil, err
		}
		if !lines.Scan() {
			return nil, fmt.Errorf("node has ended: %v", lines.Err())
		}
		var answer struct {
			ID    int             `json:"id"`
			Value json.RawMessage `json:"value"`
			Error string          `json:"error"`
		}
		if err := json.Unmarshal(lines.Bytes(), &answer); err != nil || answer.ID != id || answer.Error != "" {
			return nil, fmt.Errorf("%s: %v", lines.Bytes(), err)
		}
		return answer.Value, nil
	}}).ready()
}

func (p *peer) ready() *peer {
	p.t.Helper()
	p.do(startJS)
	p.t.Cleanup(func() {
		if p.t.Failed() {
			log, _ := p.eval(`({ log: log.slice(-40), got: got.length, late, lost, told })`)
			p.t.Logf("the client: %s", log)
		}
	})
	return p
}

// do evaluates an expression for its effect.
func (p *peer) do(code string) {
	p.t.Helper()
	if _, err := p.eval(code); err != nil {
		p.t.Fatalf("%s: %v", code, err)
	}
}

// start connects; options is JavaScript.
func (p *peer) start(url, options string) {
	p.t.Helper()
	p.do(fmt.Sprintf("start(%q, %s)", url, options))
}

// get gives the value of an expression.
func get[T any](p *peer, code string) (v T) {
	p.t.Helper()
	text, err := p.eval(code)
	if err == nil {
		err = json.Unmarshal(text, &v)
	}
	if err != nil {
		p.t.Fatalf("%s: %v", code, err)
	}
	return v
}

// await waits until an expression is true.
func (p *peer) await(what, code string, within time.Duration) {
	p.t.Helper()
	for end := time.Now().Add(within); !get[bool](p, "Boolean("+code+")"); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			p.t.Fatalf("not within %v: %s", within, what)
		}
	}
}
