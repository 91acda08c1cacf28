package app

import (
	"errors"
	"maps"
	"net/http"
	"sync/atomic"

	"rollcall/history"
	"rollcall/hub"
	"rollcall/outbox"
	"rollcall/overload"
)

// eventClient is one connection whose events handlers get. It has no goroutine of its own: its events run in that of
// the connection, and timers in one that is there for them (timing); one at a time and in order.
type eventClient struct {
	// Static.
	server *Server
	in     *instance

	// Owned by who has the turn (timing), the connection's goroutine while there is no timing.
	accepted // a renewal changes user and expires
	sess     *hub.Session
	current  *handling        // whose event runs
	ended    bool             // Closed has come: no timer is set any more
	timing   *timing          // nil until the first timer
	use      load             // of Lua time
	calls    overload.Limiter // to Redis
	lines    overload.Limiter // of the log
	gone     atomic.Int64     // when the client was seen to have gone, unix ns; 0: not yet. For checks of turns too
}

// eventConn is one connection of an event handler (SPEC 1.2).
//
//	Open ── connect handler ──▶ accepted ── messages, timers ──▶ Closed: disconnect handler, then rooms and presence go
//	             └────────────▶ refused ───────────────▶ Closed: nothing
type eventConn struct {
	eventClient
	handling
	whereabouts *whereabouts // of an event stream's client; nil: nobody asks
	refused     bool         // owned by who has the turn
}

// newEventConn makes the connection of a route.
func newEventConn(s *Server, in *instance, route *Route, a accepted) *eventConn {
	c := &eventConn{eventClient: eventClient{server: s, in: in, accepted: a}}
	c.handling = handling{eventClient: &c.eventClient, route: route}
	c.current = &c.handling
	return c
}

// event is one call of the handler.
type event struct {
	kind    RunKind
	message string
	binary  bool
	code    int
	reason  string
	timer   timer
	resume  map[string]history.Position // RunConnect: where the client was; nil: it does not say

	// Of a join: RunJoin, RunMessage.
	name    string
	payload string // JSON; "": none
	data    []byte // RunMessage: bytes beside the payload, or with binary in place of it
}

// Open runs the connect handler.
func (c *eventConn) Open() {
	h := c.server.cfg.Hub
	m := hub.Member{ID: c.id, Conn: c.ws, Route: c.route.Path, Addr: c.addr, User: c.user.User,
		Devices: c.route.Options.Devices, Resume: c.route.Options.Resume, SetTimer: c.setTimer}
	connect := event{kind: RunConnect, resume: c.resume()}
	m.Positions = maps.Clone(connect.resume)
	if c.route.Options.ByClaims {
		m.Permit = c.permit
	}
	c.sess = h.Enter(m)
	defer func() { c.timing.leave() }() // of which the handler may have set the first
	t := c.server.newTurn(c)
	defer t.end()
	actions, err := c.run(t, connect)
	var invalid *invalidReturn
	if err == nil {
		if i := closing(actions); i >= 0 {
			err = c.refuse(t, actions, actions[i])
		} else {
			err = deniedOf(c.do(t, RunConnect, c.identified(actions)))
		}
	}
	switch {
	case err == nil:
	case errors.As(err, &invalid):
		_ = c.do(t, RunConnect, c.identified(nil))
	case isDenied(err):
		c.refused = true
		c.ws.Refuse(http.StatusForbidden, outbox.WhyFailed, outbox.CodeRefused, err.Error())
	default:
		c.refused = true
		c.ws.Refuse(http.StatusInternalServerError, outbox.WhyFailed, outbox.CodeInternal, "handler error")
	}
}

// identified puts what the route's option identify asks for before a connect handler's actions.
func (c *eventConn) identified(actions []hub.Action) []hub.Action {
	if !c.route.Options.Identify || c.user.ID == "" {
		return actions
	}
	return append([]hub.Action{{Kind: hub.ActionIdentify, UserID: c.user.ID}}, actions...)
}

// closing finds the close action, or -1.
func closing(actions []hub.Action) int {
	for i := range actions {
		if actions[i].Kind == hub.ActionClose {
			return i
		}
	}
	return -1
}

// refuse ends a connection whose connect handler returned close: only its sends run (SPEC 6). Its error is do's.
func (c *eventConn) refuse(t *turn, actions []hub.Action, end hub.Action) (denied error) {
	if refused := c.sess.Resolve(actions); refused != nil {
		c.deny(RunConnect, refused)
		return refused
	}
	c.refused = true
	sends := make([]hub.Action, 0, len(actions))
	for _, a := range actions {
		if a.Kind == hub.ActionSend {
			sends = append(sends, a)
		}
	}
	c.do(t, RunConnect, sends) // nobody is asked about them
	if end.Code == 0 {
		end.Code = outbox.CodeRefused
	}
	c.ws.Refuse(http.StatusForbidden, outbox.WhyServer, end.Code, end.Reason)
	return nil
}

// Message runs the message handler.
func (c *eventConn) Message(binary bool, data []byte) {
	c.timing.enter()
	defer func() { c.timing.leave() }()
	if c.refused || c.longGone() || c.timing != nil && c.isClosing() {
		return
	}
	if c.route.Options.TokenRenewal && !binary {
		if token, ok := renewal(data); ok {
			c.renew(token)
			return
		}
	}
	c.handleEvent(event{kind: RunMessage, message: string(data), binary: binary})
}

// Closed runs the disconnect handler; rooms and presence are released after its actions.
func (c *eventConn) Closed(info outbox.CloseInfo) {
	c.timing.enter()
	defer c.timing.leave()
	c.ended = true
	c.timing.end()
	defer c.server.done(&c.accepted, c.route.Path, info)
	defer c.forget()
	if c.sess == nil {
		return
	}
	defer c.sess.Exit(ending(info))
	if c.refused {
		return
	}
	t := c.server.newTurn(nil)
	defer t.end()
	actions, err := c.run(t, event{kind: RunDisconnect, code: info.Code, reason: info.Reason})
	if err == nil {
		c.do(t, RunDisconnect, actions) // nobody is left to be told
	}
}
