package app

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/gorilla/websocket"

	"rollcall/auth"
	"rollcall/hub"
	"rollcall/naming"
	"rollcall/outbox"
	"rollcall/phoenix"
	"rollcall/presence"
	"rollcall/wsconn"
)

// phoenixConn is one socket of a client of Phoenix: a connection whose joins each have a handler.
type phoenixConn struct {
	eventClient
	socket  *Route
	version phoenix.Version
	state   string  // what the connect handler put into event.state: each join begins with it
	joins   []*join // owned by who has the turn
}

// vsnParameter says which frames a client speaks.
const vsnParameter = "vsn"

// phoenixSubprotocol is what phoenix.js offers beside its token.
const phoenixSubprotocol = "phoenix"

// servePhoenix makes a request a socket. Who may not come in is refused before the upgrade: a client that is let in and
// closed begins its waits anew each time.
func (s *Server) servePhoenix(w http.ResponseWriter, r *http.Request, in *instance, socket *Route) {
	a, clean, _, refused, ok := s.admit(w, r, socket.Path, socket.Options)
	if refused != nil {
		refused.Write(w)
	}
	if !ok {
		return
	}
	version, ok := phoenix.VersionOf(clean.URL.Query().Get(vsnParameter))
	if !ok {
		a.giveBack()
		writeProblem(w, http.StatusForbidden, "vsn must be 2.0.0 or 1.0.0")
		return
	}
	state, refused := s.connect(r, in, socket, a)
	if refused != nil {
		a.giveBack()
		refused.Write(w)
		return
	}
	subprotocol := ""
	if slices.Contains(websocket.Subprotocols(r), phoenixSubprotocol) {
		subprotocol = phoenixSubprotocol
	}
	s.accept(w, r, a, subprotocol, socket.Path, socket.Options, func(a accepted) outbox.Handler {
		return &phoenixConn{eventClient: eventClient{server: s, in: in, accepted: a}, socket: socket, version: version,
			state: state}
	})
}

// connect runs the connect handler of a socket, if it has one, and gives the state that it leaves.
func (s *Server) connect(r *http.Request, in *instance, socket *Route, a accepted) (state string, _ *Refusal) {
	if socket.file == "" {
		return "", nil
	}
	h := &handling{eventClient: &eventClient{server: s, in: in, accepted: a}, route: socket}
	defer h.forget()
	t := s.newTurn(&requester{ctx: r.Context()})
	defer t.end()
	read := actionReader{limit: s.cfg.Limits.Value, of: connectReturn}
	err := h.runReading(t, event{kind: RunConnect}, &read)
	switch {
	case isDenied(err):
		return "", &Refusal{Status: http.StatusForbidden, Detail: err.Error()}
	case err != nil:
		detail := "the handler failed"
		if s.cfg.Dev {
			detail = err.Error()
		}
		return "", &Refusal{Status: http.StatusInternalServerError, Detail: detail}
	case read.closing != nil:
		return "", s.refused(r, socket.Path, http.StatusForbidden, "refused: "+read.closing.Reason)
	case read.reply.status == phoenix.Error:
		return "", s.refused(r, socket.Path, http.StatusForbidden, "refused: "+read.reply.text())
	}
	return h.state, nil
}

// Open takes the socket in. Nothing is sent: clients speak first.
func (c *phoenixConn) Open() {
	c.sess = c.server.cfg.Hub.Enter(hub.Member{ID: c.id, Conn: c.ws, Route: c.socket.Path, Addr: c.addr,
		User: c.user.User, Phoenix: c.version, SetTimer: c.setTimer, Permit: c.permit})
}

// Message takes one frame.
func (c *phoenixConn) Message(binary bool, data []byte) {
	c.timing.enter()
	defer func() { c.timing.leave() }()
	if c.longGone() || c.timing != nil && c.isClosing() {
		return
	}
	decode := c.version.DecodeText
	if binary {
		decode = c.version.DecodeBinary
	}
	m, err := decode(data)
	switch {
	case errors.Is(err, phoenix.ErrUTF8):
		c.ws.CloseFor(outbox.WhyBadText, outbox.CodeBadText, err.Error())
	case err != nil:
		c.ws.CloseFor(outbox.WhyProtocol, outbox.CodeProtocol, err.Error())
	default:
		c.take(&m)
	}
}

// take does what a message asks for.
func (c *phoenixConn) take(m *phoenix.Message) {
	j := c.find(m.Topic)
	var ref string
	if j != nil {
		ref = j.ref
	}
	switch m.Meaning(j != nil, ref, len(c.joins)) {
	case phoenix.Heartbeat:
		c.reply(m, phoenix.None, phoenix.OK, "{}")
	case phoenix.Join:
		if j != nil {
			j.end(event{reason: leftByRejoin}, wsconn.Text(c.version.Close(ref, j.topic)))
		}
		c.join(m)
	case phoenix.TooMany:
		c.reply(m, m.JoinRef, phoenix.Error, reasonJSON(reasonTooMany))
	case phoenix.Leave:
		j.end(event{reason: leftByClient}, j.frame(m, phoenix.OK, "{}"), wsconn.Text(c.version.Close(ref, j.topic)))
	case phoenix.LeaveNone:
		c.reply(m, m.JoinRef, phoenix.OK, "{}")
	case phoenix.Event:
		if !c.renewed(j, m) {
			j.handle(event{kind: RunMessage, name: m.Event, payload: m.Payload, binary: m.Binary, data: m.Data}, m)
		}
	case phoenix.BadEvent:
		c.reply(m, ref, phoenix.Error, reasonJSON(reasonBadEvent))
	case phoenix.Unmatched:
		c.reply(m, phoenix.None, phoenix.Error, reasonJSON(reasonUnmatched))
	}
}

// join begins a join.
func (c *phoenixConn) join(m *phoenix.Message) {
	route, rest := c.socket.channels.find(m.Topic)
	if route == nil || !naming.Valid(m.Topic) {
		c.reply(m, m.JoinRef, phoenix.Error, reasonJSON(reasonUnmatched))
		return
	}
	j := &join{handling: handling{eventClient: &c.eventClient, route: route, state: c.state}, conn: c, topic: m.Topic,
		rest: rest, ref: m.JoinRef}
	j.handling.join = j
	if allow := route.Options.permissions(c.user); allow != nil {
		if err := allow.Check(auth.ToJoin, m.Topic); err != nil {
			j.deny(RunJoin, err)
			c.reply(m, m.JoinRef, phoenix.Error, reasonJSON(reasonDenied))
			return
		}
	}
	j.begin(m)
}

// renewed takes a new token of a client of Supabase, on a socket with token_renewal = true.
func (c *phoenixConn) renewed(j *join, m *phoenix.Message) bool {
	if !c.socket.Options.TokenRenewal || m.Event != "access_token" {
		return false
	}
	token, ok := accessToken(m.Payload)
	if !ok {
		return false
	}
	status, response := phoenix.OK, "{}"
	if err := c.renewIdentity(c.socket.Path, token); err != nil {
		status, response = phoenix.Error, reasonJSON(err.Error())
	}
	c.reply(m, j.ref, status, response)
	return true
}

// reply answers a message.
func (c *phoenixConn) reply(m *phoenix.Message, joinRef, status, response string) {
	_ = c.ws.Send(wsconn.Text(c.version.Reply(joinRef, m.Ref, m.Topic, status, response))) // a closed client need not know
}

// find gives the join of a topic, or nil.
func (c *phoenixConn) find(topic string) *join {
	for _, j := range c.joins {
		if j.topic == topic {
			return j
		}
	}
	return nil
}

func (c *phoenixConn) remove(j *join) {
	c.joins = slices.DeleteFunc(c.joins, func(o *join) bool { return o == j })
}

// Closed tells the handlers of all joins; rooms and presence are released after their actions.
func (c *phoenixConn) Closed(info outbox.CloseInfo) {
	c.timing.enter()
	defer c.timing.leave()
	c.ended = true
	c.timing.end()
	defer c.server.done(&c.accepted, c.socket.Path, info)
	if c.sess == nil {
		return
	}
	defer c.sess.Exit(phoenixEnding(info))
	began := time.Now()
	for _, j := range c.joins {
		if time.Since(began) < c.server.cfg.TurnTimeout { // 128 slow handlers would take minutes
			j.leave(event{reason: leftByClose, code: info.Code, message: info.Reason})
		}
		j.forget()
	}
	c.joins = nil
}

// noStatus is the code of a client's close that has none (RFC 6455, 7.4.1).
const noStatus = 1005

// phoenixEnding is ending for clients of Phoenix: a page that goes closes without a code.
func phoenixEnding(info outbox.CloseInfo) (hub.Ending, presence.Cause) {
	if info.ByPeer && info.Code == noStatus {
		info.Code = outbox.CodeGoingAway
	}
	return ending(info)
}

// channels are the patterns of topics of one socket.
type channels struct {
	socket string // where router_socket was called; "": nowhere
	exact  map[string]*Route
	prefix []*Route // the longest first
}

// find gives the handler of a topic, the exact one first, then that of the longest prefix; rest is what the * of its
// pattern stands for.
func (c *channels) find(topic string) (route *Route, rest string) {
	if r := c.exact[topic]; r != nil {
		return r, ""
	}
	for _, r := range c.prefix {
		if n := len(r.Topic) - 1; len(topic) >= n && topic[:n] == r.Topic[:n] {
			return r, topic[n:]
		}
	}
	return nil, ""
}
