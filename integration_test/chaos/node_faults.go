package chaos

import (
	"context"
	"net/http"
	"time"

	"rollcall/testkit/nodetest"
)

// nodeFaults are what can become of a node.
func nodeFaults() []kind {
	return []kind{
		{"node-kill", everywhere, killNode},
		{"node-term", everywhere, terminateNode},
		{"node-roll", everywhere, rollNode},
		{"node-oom", everywhere, starveNode},
		{"node-freeze-short", everywhere, func(n *nemesis) *blow {
			return freezeNode(n, n.between(n.run.plan.Times.Lease/5, n.run.plan.Times.Lease*4/5))
		}},
		{"node-freeze-long", everywhere, func(n *nemesis) *blow {
			return freezeNode(n, n.between(n.run.plan.Times.Lease, 2*n.run.plan.Times.Gone()))
		}},
	}
}

func killNode(n *nemesis) *blow {
	h := n.host()
	if h == nil {
		return nil
	}
	h.node.Kill()
	return &blow{hosts: []*host{h}}
}

func terminateNode(n *nemesis) *blow {
	h := n.host()
	if h == nil {
		return nil
	}
	return n.terminate(h)
}

func (n *nemesis) terminate(h *host) *blow {
	h.node.Terminate()
	return &blow{hosts: []*host{h}, end: func() {
		if code := h.node.ExitCode(nodetest.Timeout); code != 0 {
			n.run.t.Errorf("%s ended with %d after SIGTERM", h.name, code)
		}
	}}
}

// rollNode is one step of a rolling restart: a node is told to end, and its clients come back on the others at once.
func rollNode(n *nemesis) *blow {
	h := n.host()
	if h == nil {
		return nil
	}
	h.rolls.Store(true)
	b := n.terminate(h)
	b.lasts = 2 * time.Second
	return b
}

func freezeNode(n *nemesis, lasts time.Duration) *blow {
	h := n.host()
	if h == nil {
		return nil
	}
	h.node.Freeze()
	return &blow{hosts: []*host{h}, note: note("for %v", lasts), lasts: lasts, end: h.node.Thaw}
}

// starveNode lets a node run out of memory: it gets no more, and is then made to want some. Where the limit can't be
// set, or the node contrives to live without, it is killed, as the kernel would.
func starveNode(n *nemesis) *blow {
	h := n.host()
	if h == nil {
		return nil
	}
	limited := h.node.Starve()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	body := nodetest.JSON(map[string]any{"call": "json.encode",
		"args": []any{map[string]any{"$repeat": "x", "times": 1 << 19}}})
	for limited && !h.node.Exited() && ctx.Err() == nil {
		done := make(chan struct{})
		const callers = 16
		for range callers {
			go func() {
				nodetest.Request(ctx, http.MethodPost, h.node.Addr(), "/call", body, "Content-Type: application/json")
				done <- struct{}{}
			}()
		}
		for range callers {
			<-done
		}
	}
	how := "by itself"
	if !h.node.Exited() {
		how = "killed"
		h.node.Kill()
	}
	return &blow{hosts: []*host{h}, note: how}
}
