package app

import (
	"errors"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	lua "github.com/yuin/gopher-lua"

	"rollcall/hub"
	"rollcall/luavm"
	"rollcall/outbox"
	"rollcall/phoenix"
	"rollcall/presence"
	"rollcall/wsconn"
)

// join is one topic that a client of Phoenix has joined, with what its handler keeps.
//
//	phx_join ── handler: join ──▶ joined ── handler: messages, timers ──▶ end: handler: leave ──▶ over
//	               └── error ──▶ over         └── the handler raised ──▶ crash ──▶ over
type join struct {
	handling
	conn  *phoenixConn
	topic string
	rest  string // what the * of its pattern stands for
	ref   string // join_ref, JSON

	broken bool // a turn took too long: the join is over after it; owned by who has the turn
}

// Why a join ended, as its handler is told.
const (
	leftByClient  = "left"
	leftByRejoin  = "rejoined"
	leftByHandler = "removed"
	leftByClose   = "closed"
)

// Reasons of error replies.
const (
	reasonUnmatched = "unmatched topic"
	reasonTooMany   = "too many channels joined"
	reasonDenied    = "denied"
	reasonCrashed   = "join crashed"
	reasonBadEvent  = "bad event"
	reasonBadReturn = "bad return value"
	reasonFailed    = "unavailable"
)

// reasonJSON is the response of an error reply.
func reasonJSON(reason string) string {
	return `{"reason":` + quoted(reason) + `}`
}

// describe sets what an event of a join has beside those of a connection's events.
func (j *join) describe(o *luavm.Object, e event) {
	o.Set("topic", lua.LString(j.topic))
	o.Set("rest", lua.LString(j.rest))
	switch e.kind {
	case RunMessage:
		o.Set("name", lua.LString(e.name))
	case RunLeave:
		o.Set("reason", lua.LString(e.reason))
		if e.reason == leftByClose {
			o.Set("code", lua.LNumber(e.code))
			o.Set("reason_text", lua.LString(e.message))
		}
	}
}

// addPayload gives an event its payload. The error is one of a run.
func (e event) addPayload(vm *luavm.VM, event *lua.LTable) error {
	switch {
	case e.binary:
		event.RawSetString("payload", lua.LString(e.data))
		return nil
	case e.payload == "":
		return nil
	}
	v, err := luavm.DecodeJSON(vm, e.payload)
	if err != nil {
		return err
	}
	if t, ok := v.(*lua.LTable); ok && e.data != nil {
		t.RawSetString("payload", lua.LString(e.data))
	}
	event.RawSetString("payload", v)
	return nil
}

// reader reads the returns of the join's handler.
func (j *join) reader() actionReader {
	return actionReader{limit: j.server.cfg.Limits.Value, of: channelReturn, topic: j.topic}
}

// begin runs the handler for phx_join. true: the topic is joined, and the client has been told.
func (j *join) begin(m *phoenix.Message) (joined bool) {
	t := j.server.newTurn(j.eventClient)
	defer t.end()
	r := j.reader()
	err := j.runReading(t, event{kind: RunJoin, payload: m.Payload, binary: m.Binary, data: m.Data}, &r)
	if err == nil && r.reply.status != phoenix.Error {
		if refused := j.sess.Resolve(r.actions); refused != nil {
			j.deny(RunJoin, refused)
			err = refused
		}
	}
	var invalid *invalidReturn
	switch {
	case isDenied(err):
		return j.refuse(m, phoenix.Error, reasonJSON(reasonDenied))
	case errors.As(err, &invalid):
		return j.refuse(m, phoenix.Error, reasonJSON(reasonBadReturn))
	case err != nil:
		return j.refuse(m, phoenix.Error, reasonJSON(reasonCrashed))
	case r.reply.status == phoenix.Error:
		return j.refuse(m, phoenix.Error, r.reply.text())
	}
	status, response := r.reply.answer()
	if !j.enter(t, j.frame(m, status, response)) {
		return false
	}
	j.conn.joins = append(j.conn.joins, j)
	j.do(t, RunJoin, r.actions)
	j.after(&r)
	return true
}

// enter joins the room of the topic; answer is the first that the client gets of it.
func (j *join) enter(t *turn, answer outbox.Frame) bool {
	err := j.sess.Begin(t.context(), j.topic, hub.Stay{JoinRef: j.ref, EachUser: j.route.Options.EachUser}, answer)
	if err != nil && !errors.Is(err, hub.ErrGone) {
		j.fail(RunJoin, err, ReasonAction)
	}
	return err == nil
}

// refuse answers a join that does not come about.
func (j *join) refuse(m *phoenix.Message, status, response string) (joined bool) {
	j.forget()
	j.send(j.frame(m, status, response))
	return false
}

// handle runs the handler for an event of a joined topic, and answers the message that it is, if it is one.
func (j *join) handle(e event, m *phoenix.Message) {
	t := j.server.newTurn(j.eventClient)
	defer t.end()
	r := j.reader()
	err := j.runReading(t, e, &r)
	var invalid *invalidReturn
	switch {
	case err == nil:
	case isDenied(err):
		j.answer(m, reply{phoenix.Error, reasonJSON(reasonDenied), nil})
		return
	case errors.As(err, &invalid):
		j.answer(m, reply{phoenix.Error, reasonJSON(reasonBadReturn), nil})
		return
	default:
		j.crash()
		return
	}
	errs := j.do(t, e.kind, r.actions)
	switch {
	case j.broken:
		j.crash()
		return
	case deniedOf(errs) != nil:
		r.reply = reply{phoenix.Error, reasonJSON(reasonDenied), nil}
	case broadcastFailed(errs):
		r.reply = reply{phoenix.Error, reasonJSON(reasonFailed), nil}
	}
	j.answer(m, r.reply)
	j.after(&r)
}

// broadcastFailed tells whether a broadcast of a return was not published.
func broadcastFailed(errs []hub.ActionError) bool {
	for _, e := range errs {
		switch e.Action.Kind {
		case hub.ActionBroadcastRoom, hub.ActionBroadcastFrom, hub.ActionBroadcastChannel, hub.ActionBroadcast:
			return true
		}
	}
	return false
}

// after does what of a return comes last.
func (j *join) after(r *actionReader) {
	if j.broken {
		j.crash()
		return
	}
	if r.leaves {
		j.end(event{reason: leftByHandler}, wsconn.Text(j.conn.version.Close(j.ref, j.topic)))
	}
	if r.closing != nil {
		code := r.closing.Code
		if code == 0 {
			code = outbox.CodeNormal
		}
		j.ws.Close(code, r.closing.Reason)
	}
}

// end ends the join: the last frames leave, then the handler hears of it, then its presence is released.
func (j *join) end(e event, last ...outbox.Frame) {
	j.sess.Silence(j.topic, last...)
	j.conn.remove(j)
	j.leave(e)
	j.release(presence.CauseUntracked)
}

// leave runs the handler for the end of the join.
func (j *join) leave(e event) {
	e.kind = RunLeave
	t := j.server.newTurn(nil)
	defer t.end()
	r := j.reader()
	if j.runReading(t, e, &r) == nil {
		j.do(t, RunLeave, r.actions)
	}
}

// crash ends the join of which the handler has failed: the client joins again.
func (j *join) crash() {
	j.sess.Silence(j.topic, wsconn.Text(j.conn.version.Crash(j.ref, j.topic)))
	j.conn.remove(j)
	j.release(presence.CauseError)
}

// release lets go of what the join has; cause is told of its user, who leaves by it.
func (j *join) release(cause presence.Cause) {
	j.timing.endOf(&j.handling)
	j.forget()
	t := j.server.newTurn(nil)
	defer t.end()
	_ = j.sess.UntrackFor(t.context(), j.topic, cause) // pending or not, it is done
}

// answer answers a message; nothing when there is none, or no reply.
func (j *join) answer(m *phoenix.Message, r reply) {
	if m == nil || r.status == "" {
		return
	}
	if m.Binary && r.bytes != nil {
		if frame, ok := phoenix.BinaryReply(j.ref, m.Ref, j.topic, r.status, r.bytes); ok {
			j.send(wsconn.Binary(frame))
		}
		return
	}
	j.send(j.frame(m, r.status, r.text()))
}

// frame is a reply.
func (j *join) frame(m *phoenix.Message, status, response string) outbox.Frame {
	return wsconn.Text(j.conn.version.Reply(j.ref, m.Ref, j.topic, status, response))
}

// send sends the client a frame; a closed client need not know.
func (j *join) send(f outbox.Frame) { _ = j.ws.Send(f) }

// reply is what a handler answers; status "": it does not.
type reply struct {
	status   string
	response string // JSON
	bytes    []byte // of a string: to bytes it is answered in kind
}

// answer is the reply to a join, which is always answered.
func (r reply) answer() (status, response string) {
	if r.status == "" {
		return phoenix.OK, "{}"
	}
	return r.status, r.text()
}

// text is the response as JSON.
func (r reply) text() string {
	if r.bytes == nil || r.response != "" {
		return r.response
	}
	if !utf8.Valid(r.bytes) {
		return reasonJSON(errNotUTF8.Error())
	}
	return quoted(string(r.bytes))
}

// quoted writes text, which is UTF-8, as JSON.
func quoted(s string) string {
	b, _ := jsontext.AppendQuote(nil, s)
	return string(b)
}
