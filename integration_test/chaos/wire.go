package chaos

import (
	"rollcall/integration_test/chaos/history"
	"rollcall/testkit/nodetest"
)

// wire is how a device says what it does. Its methods are called with the device's mu held.
type wire interface {
	// identify tells whose connection it is.
	identify()
	// enter listens to a room, and tracks there unless the device has no user.
	enter(room string)
	change(room, state string)
	withdraw(room string)
	say(room string, message map[string]any)
}

// speak gives the device the wire of its route, and tells who hears what comes.
func (d *device) speak() (hear func(nodetest.Frame)) {
	switch d.hist.Route {
	case history.Script:
		d.wire = script{d}
	case history.Phoenix:
		w := &topics{d: d, named: map[string]string{}, joined: map[string]string{}}
		d.wire = w
		return w.hear
	default:
		d.wire = handler{d}
	}
	return d.hear
}

// info is what the device tells of itself in a room.
func (d *device) info(room, state string) map[string]any {
	return map[string]any{"user_id": d.hist.User, "c": d.labels[room], "state": state}
}

// command sends a command of the test app.
func (d *device) command(fields map[string]any) {
	d.lastID++
	fields["id"] = d.lastID
	d.sendLocked(fields)
}

// handler speaks to an event handler.
type handler struct{ d *device }

func (w handler) identify() { w.raw("identify", w.d.hist.User) }

func (w handler) enter(room string) {
	actions := map[string]any{"join": room}
	if w.d.hist.User == "" {
		actions["send_presence"] = room
	} else {
		track := w.d.info(room, w.d.states[room])
		track["channel"] = room
		actions["track"] = track
	}
	w.d.command(map[string]any{"actions": actions})
}

func (w handler) change(room, state string) {
	w.raw("set_presence", map[string]any{"channel": room, "state": state})
}

func (w handler) withdraw(room string) { w.raw("untrack", room) }

func (w handler) say(room string, message map[string]any) {
	w.raw("broadcast_channel", map[string]any{"channel": room, "message": message})
}

func (w handler) raw(action string, value any) {
	w.d.command(map[string]any{"raw": map[string]any{action: value}})
}

// script speaks to a connection script.
type script struct{ d *device }

func (w script) identify() { w.call("identify", w.d.hist.User) }

func (w script) enter(room string) {
	w.call("channel.subscribe", room)
	if w.d.hist.User != "" {
		w.change(room, w.d.states[room])
	}
	w.list(room)
}

func (w script) change(room, state string) { w.call("presence.join", room, w.d.info(room, state)) }

func (w script) withdraw(room string) { w.call("presence.leave", room) }

func (w script) say(room string, message map[string]any) { w.call("channel.broadcast", room, message) }

// list asks for the list.
func (w script) list(room string) {
	w.call("presence.list", room)
	w.d.asked[w.d.lastID] = room
}

func (w script) call(function string, args ...any) {
	w.d.command(map[string]any{"call": "solidb.ws." + function, "args": args})
}
