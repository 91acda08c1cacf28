package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"rollcall/integration_test/chaos/history"
	"rollcall/testkit/nodetest"
)

// device is one WebSocket client: of a user, or one that only watches. What it does and is told goes into its history;
// how it says it is its wire's.
type device struct {
	// static
	run   *run
	host  *host
	hist  *history.Client
	conn  *nodetest.Client
	wire  wire
	rooms []string

	mu     sync.Mutex // guards hist.Events too
	over   bool
	left   bool
	states map[string]string // of the rooms it tracks in
	labels map[string]string // what metas call it there
	tracks int
	seen   map[string]bool // rooms where it has been shown itself
	views  map[string]*history.View
	said   map[string]int
	asked  map[int]string // what waits for an answer: id to room
	lastID int
	frames int
}

var paths = map[history.Route]string{history.Plain: "/ws/do", history.Devices: "/ws/devices",
	history.Script: "/api/custom/test/do", history.Phoenix: "/phx/websocket?vsn=2.0.0"}

// dial connects a device to a node. It may be refused or time out: then it is no device, and leaves no history.
func (r *run) dial(ctx context.Context, h *host, user string, route history.Route, rooms []string,
	within time.Duration) (*device, error) {
	d := &device{run: r, host: h, rooms: rooms,
		hist:   &history.Client{Name: r.name(), User: user, Route: route, Node: h.name},
		states: map[string]string{}, labels: map[string]string{}, seen: map[string]bool{}, views: map[string]*history.View{},
		said: map[string]int{}, asked: map[int]string{}}
	hear := d.speak()
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	d.mu.Lock() // nothing is heard before the history says that it is connected
	defer d.mu.Unlock()
	d.noteLocked(history.Event{Kind: history.Dialed})
	conn, err := nodetest.Record(ctx, h.front.Addr(), paths[route], hear)
	if err != nil {
		return nil, err
	}
	d.conn = conn
	d.noteLocked(history.Event{Kind: history.Opened})
	r.enrol(d)
	return d, nil
}

// noteLocked writes an event into the history.
func (d *device) noteLocked(e history.Event) {
	e.At = d.run.clock.now()
	d.hist.Events = append(d.hist.Events, e)
	if e.Kind >= history.Whole && e.Kind <= history.Leave {
		v := d.views[e.Room]
		if v == nil {
			v = history.NewView(d.hist)
			d.views[e.Room] = v
		}
		v.Take(e) // the checker says what is wrong with it
	}
}

// sendLocked sends a message; that the connection is gone the reader notices.
func (d *device) sendLocked(message any) {
	b, err := json.Marshal(message)
	if err != nil {
		panic(err) // only maps and lists of texts are sent
	}
	_ = d.conn.Conn.SetWriteDeadline(time.Now().Add(time.Second))
	_ = d.conn.Conn.WriteMessage(websocket.TextMessage, b)
}

// enter tells whose connection it is and tracks its user in all its rooms; one without a user only listens.
func (d *device) enter() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.over && d.hist.User != "" {
		d.wire.identify()
	}
	for _, room := range d.rooms {
		d.enterLocked(room)
	}
}

func (d *device) enterLocked(room string) {
	if d.over {
		return
	}
	if d.hist.User != "" {
		d.states[room] = "online"
		d.seen[room] = false
		d.tracks++
		d.labels[room] = fmt.Sprint(d.hist.Name, ".", d.tracks)
		d.noteLocked(history.Event{Kind: history.Asked, Room: room, Device: d.labels[room], Text: "online"})
	}
	d.wire.enter(room)
}

// doubt lets a script whose entry was not in the list yet ask again.
func (d *device) doubt() {
	d.mu.Lock()
	defer d.mu.Unlock()
	w, ok := d.wire.(script)
	if d.over || !ok || len(d.asked) > 0 {
		return
	}
	for room := range d.states {
		if !d.seen[room] {
			w.list(room)
		}
	}
}

// tracked picks one of the rooms where it tracks and has been shown itself; "" when there is none.
func (d *device) tracked(n int) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range d.rooms {
		if room := d.rooms[(i+n)%len(d.rooms)]; d.seen[room] && d.states[room] != "" {
			return room
		}
	}
	return ""
}

// change sets another state.
func (d *device) change(room, state string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over {
		return
	}
	d.states[room] = state
	d.noteLocked(history.Event{Kind: history.Changed, Room: room, Text: state})
	d.wire.change(room, state)
}

// withdraw stops tracking and goes on to listen.
func (d *device) withdraw(room string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over {
		return
	}
	delete(d.states, room)
	d.noteLocked(history.Event{Kind: history.Withdrew, Room: room})
	d.wire.withdraw(room)
}

// again tracks where it has withdrawn.
func (d *device) again() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, room := range d.rooms {
		if d.states[room] == "" {
			d.enterLocked(room)
		}
	}
}

// say broadcasts the device's next number.
func (d *device) say(room string, padding string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over {
		return
	}
	d.said[room]++
	d.wire.say(room, map[string]any{"say": d.hist.Name, "room": room, "n": d.said[room], "pad": padding})
}

// leave ends the connection: with a close frame of a code, or without one (0). From now on its user does not count with
// it.
func (d *device) leave(code int) {
	d.mu.Lock()
	if d.left = true; !d.over {
		d.over = true
		d.noteLocked(history.Event{Kind: history.Ended, Text: "left"})
	}
	d.mu.Unlock()
	if code == 0 {
		d.conn.Drop()
	} else {
		d.conn.Close(code, 500*time.Millisecond)
	}
	d.run.dismiss(d)
}

// gone tells whether the connection is over.
func (d *device) gone() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.over
}

// claims are the rooms it tracks in, with what metas say of it; nil when it is over.
func (d *device) claims() map[string]string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over {
		return nil
	}
	claims := make(map[string]string, len(d.states))
	for room, state := range d.states {
		claims[room] = d.labels[room] + "=" + state
	}
	return claims
}

// differs says where its view is not the truth (room to user to metas), or "".
func (d *device) differs(truth map[string]map[string]string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over {
		return ""
	}
	for id, room := range d.asked {
		return fmt.Sprintf("%s (%s on %s) has no answer to %d in %s", d.hist.Name, d.hist.Route, d.host.name, id, room)
	}
	for _, room := range d.rooms {
		v := d.views[room]
		if v == nil || !v.Whole {
			return fmt.Sprint(d.hist.Name, " has not been shown ", room)
		}
		for user, metas := range truth[room] {
			has, here := v.Users[user]
			if !v.Ignores(user) && (!here || d.hist.Route.SeesDevices() && has != metas) {
				return fmt.Sprintf("%s (%s on %s) in %s has %q of %s, not %q", d.hist.Name, d.hist.Route, d.host.name, room, has,
					user, metas)
			}
		}
		for user := range v.Users {
			if _, here := truth[room][user]; !here && !v.Ignores(user) {
				return fmt.Sprintf("%s (%s on %s) in %s has %s, who is not there", d.hist.Name, d.hist.Route, d.host.name, room,
					user)
			}
		}
	}
	return ""
}
