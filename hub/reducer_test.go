package hub

import (
	"encoding/json"
	"sync"
	"testing"

	"rollcall/presence"
	"rollcall/wsconn"
)

// rawConn keeps frames as they are.
type rawConn struct {
	mu    sync.Mutex
	texts []string
}

func (c *rawConn) SendIn(_ *wsconn.Burst, f wsconn.Frame) error { return c.Send(f) }

func (c *rawConn) Send(f wsconn.Frame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.texts = append(c.texts, string(f.Payload()))
	return nil
}
func (c *rawConn) Close(int, string) {}
func (c *rawConn) len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.texts)
}

// reducer is a client that replaces users on joins, deletes them on leaves, and replaces all on a presence_state.
type reducer struct {
	t       testing.TB
	devices bool

	mu    sync.Mutex
	users map[string][]string // metas as text
}

func (r *reducer) Close(int, string) {}

func (r *reducer) SendIn(_ *wsconn.Burst, f wsconn.Frame) error { return r.Send(f) }

func (r *reducer) Send(f wsconn.Frame) error {
	type list map[string]struct{ Metas []json.RawMessage }
	var frame struct {
		Event   string
		Payload json.RawMessage
	}
	if err := json.Unmarshal(f.Payload(), &frame); err != nil {
		r.t.Errorf("frame %s: %v", f.Payload(), err)
		return nil
	}
	texts := func(ms []json.RawMessage) (out []string) {
		for _, m := range ms {
			out = append(out, string(m))
		}
		return out
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if frame.Event == "presence_state" {
		var all list
		_ = json.Unmarshal(frame.Payload, &all)
		r.users = map[string][]string{}
		for id, u := range all {
			r.users[id] = texts(u.Metas)
		}
		return nil
	}
	var diff struct{ Joins, Leaves list }
	_ = json.Unmarshal(frame.Payload, &diff)
	if r.users == nil {
		r.users = map[string][]string{}
	}
	for id, u := range diff.Joins {
		if _, both := diff.Leaves[id]; both {
			r.t.Errorf("%s is in both halves: %s", id, f.Payload())
		}
		r.users[id] = texts(u.Metas)
	}
	for id := range diff.Leaves {
		delete(r.users, id)
	}
	return nil
}

// matches tells whether the picture is the list: who is there, and on a devices route with which metas.
func (r *reducer) matches(want []*presence.User) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.users) != len(want) {
		return false
	}
	for _, u := range want {
		got, ok := r.users[u.ID]
		if !ok || r.devices && len(got) != len(u.Metas) {
			return false
		}
		for i := range u.Metas {
			if r.devices && got[i] != string(u.Metas[i].AppendJSON(nil)) {
				return false
			}
		}
	}
	return true
}
