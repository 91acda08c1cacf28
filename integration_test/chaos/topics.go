package chaos

import (
	"encoding/json"
	"strconv"

	"rollcall/integration_test/chaos/history"
	"rollcall/testkit/nodetest"
)

// topics is a client of Phoenix, with array frames: a topic for each room. What it asks for must be answered before a
// rest, and what it hears of a room must be of the join that was answered last.
type topics struct {
	d      *device
	named  map[string]string // room to the join_ref of the newest join
	joined map[string]string // room to that of the join that was answered; none: nothing of the room may come
}

// identify does nothing: clients of Phoenix are no user's (docs/phoenix.md).
func (w *topics) identify() {}

func (w *topics) enter(room string) {
	returns := map[string]any{"send_presence": true}
	if w.d.hist.User != "" {
		returns = map[string]any{"track": w.d.info(room, w.d.states[room])}
	}
	if w.named[room] == "" {
		w.join(room, returns)
		return
	}
	w.push(room, returns)
}

func (w *topics) change(room, state string) {
	w.push(room, map[string]any{"set_presence": map[string]any{"state": state}})
}

// withdraw untracks, or leaves the topic or joins it anew, which ends the tracking too.
func (w *topics) withdraw(room string) {
	switch w.d.lastID % 3 {
	case 0:
		w.push(room, map[string]any{"untrack": true})
		return
	case 1:
		w.ask(w.named[room], room, "phx_leave", nil)
	}
	w.join(room, map[string]any{"send_presence": true})
}

func (w *topics) say(room string, message map[string]any) {
	w.push(room, map[string]any{"broadcast_room": map[string]any{"event": "said", "payload": message}})
}

// join names a join like its message, as phoenix.js does.
func (w *topics) join(room string, returns map[string]any) {
	w.named[room] = strconv.Itoa(w.d.lastID + 1)
	w.ask(w.named[room], room, "phx_join", map[string]any{"returns": returns})
}

// push lets the handler of the joined topic do something; every fifth time a heartbeat goes before it.
func (w *topics) push(room string, returns map[string]any) {
	if w.d.lastID%5 == 0 {
		w.ask(nil, "phoenix", "heartbeat", nil)
	}
	returns["reply"] = "done"
	w.ask(w.named[room], room, "do", map[string]any{"returns": returns})
}

func (w *topics) ask(joinRef any, room, event string, payload map[string]any) {
	w.d.lastID++
	w.d.asked[w.d.lastID] = room
	w.d.sendLocked([]any{joinRef, strconv.Itoa(w.d.lastID), room, event, payload})
}

// hear takes a frame; the client's reader calls it.
func (w *topics) hear(f nodetest.Frame) {
	w.d.mu.Lock()
	defer w.d.mu.Unlock()
	if w.d.ends(f) {
		return
	}
	var joinRef, ref, room, event string
	var payload json.RawMessage
	err := json.Unmarshal([]byte(f.Text), &[]any{&joinRef, &ref, &room, &event, &payload}) // null is ""
	switch {
	case err != nil:
		w.absurd(room, f.Text)
	case event == "phx_reply":
		if !w.answered(joinRef, ref, room, payload) {
			w.absurd(room, f.Text)
		}
	case event == "phx_close" && joinRef == w.joined[room] && joinRef != w.named[room]: // another join follows
		delete(w.joined, room)
	case w.joined[room] == "" || joinRef != w.joined[room] && (joinRef != "" || f.Channel != ""):
		w.absurd(room, f.Text)
	case f.Channel != "":
		w.d.hearPresence(f)
	case event == "said" || event == "message":
		w.d.hearBroadcast(payload)
	default: // phx_error, and the end of a join that nobody left
		w.absurd(room, f.Text)
	}
}

// answered takes a reply; false: it is none that a right server sends.
func (w *topics) answered(joinRef, ref, room string, payload []byte) bool {
	id, _ := strconv.Atoi(ref)
	asked := w.d.asked[id]
	delete(w.d.asked, id)
	var reply struct {
		Status   string
		Response json.RawMessage
	}
	if asked != room || json.Unmarshal(payload, &reply) != nil {
		return false
	}
	switch {
	case room == "phoenix":
		return joinRef == "" && reply.Status == "ok"
	case joinRef == ref: // of a join; that before it has been closed
		before := w.joined[room]
		w.joined[room] = ref
		return before == "" && reply.Status == "ok"
	case joinRef != w.joined[room]:
		return false
	}
	return reply.Status == "ok" || string(reply.Response) == `{"reason":"unavailable"}` // what it said is not published
}

// absurd notes what no right server sends.
func (w *topics) absurd(room, text string) {
	w.d.noteLocked(history.Event{Kind: history.Absurd, Room: w.d.run.intern(room), Text: text, Frame: w.d.frames})
}
