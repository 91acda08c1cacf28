package hub

import (
	"sync"
	"testing"

	"rollcall/outbox"
	"rollcall/presence"
	"rollcall/testkit/roster"
)

// rawConn keeps frames as they are.
type rawConn struct {
	mu    sync.Mutex
	texts []string
}

func (c *rawConn) Send(f outbox.Frame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.texts = append(c.texts, string(f.Payload()))
	return nil
}
func (c *rawConn) Close(int, string) {}

func (c *rawConn) CloseFor(outbox.Why, int, string) {}

func (c *rawConn) Fits([]outbox.Frame) bool { return true }
func (c *rawConn) len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.texts)
}

// reducer is a client that keeps the list as SPEC 1.2 tells clients to.
type reducer struct {
	t       testing.TB
	devices bool

	mu     sync.Mutex
	roster roster.Roster
}

func (r *reducer) Close(int, string) {}

func (r *reducer) CloseFor(outbox.Why, int, string) {}

func (r *reducer) Fits([]outbox.Frame) bool { return true }

func (r *reducer) Send(f outbox.Frame) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	frame, faults := roster.Read(f.Payload())
	if frame == nil {
		r.t.Errorf("frame %s", f.Payload())
		return nil
	}
	_, more := r.roster.Take(frame)
	for _, fault := range append(faults, more...) {
		if r.devices || fault.Kind == roster.Malformed {
			r.t.Errorf("%s: %s", fault, f.Payload())
		}
	}
	return nil
}

// matches tells whether the picture is the list: who is there, and on a devices route with which metas.
func (r *reducer) matches(want []*presence.User) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.roster.Users) != len(want) {
		return false
	}
	for _, u := range want {
		got, ok := r.roster.Users[u.ID]
		if !ok || r.devices && len(got) != len(u.Metas) {
			return false
		}
		for i := range u.Metas {
			if r.devices && got[i].All != string(u.Metas[i].AppendJSON(nil)) {
				return false
			}
		}
	}
	return true
}
