package app

import (
	"context"
	"fmt"

	lua "github.com/yuin/gopher-lua"

	"rollcall/auth"
	"rollcall/hub"
	"rollcall/outbox"
	"rollcall/presence"
)

// wsFunctions are the ws_… functions of SPEC 1.3.
var wsFunctions = map[string]lua.LGFunction{
	"ws_send":           wsSend,
	"ws_close":          wsClose,
	"ws_user":           wsUser,
	"ws_users":          wsUsers,
	"ws_send_user":      wsSendUser,
	"ws_close_user":     wsCloseUser,
	"ws_broadcast":      wsBroadcast,
	"ws_broadcast_room": wsBroadcastRoom,
	"ws_count":          wsCount,
	"ws_join":           wsJoin,
	"ws_leave":          wsLeave,
	"ws_clients":        wsClients,
	"ws_clients_in":     wsClientsIn,
	"ws_list_presence":  wsListPresence,
	"ws_presence_count": wsPresenceCount,
	"ws_get_presence":   wsGetPresence,
	"ws_history":        wsHistory,
	"ws_allowed":        wsAllowed,
}

// ws_send(connection_id, message) -> false when no live node can hold that connection, else true
func wsSend(l *lua.LState) int {
	_, c := callOf(l)
	a := args{l, "ws_send"}
	id, message := a.str(1, "connection_id"), a.message(2, "message")
	return c.reach(a, func(ctx context.Context, h *hub.Hub) (bool, error) { return h.Send(ctx, id, message) })
}

// ws_close(connection_id, reason) -> as ws_send
func wsClose(l *lua.LState) int {
	_, c := callOf(l)
	a := args{l, "ws_close"}
	id, reason := a.str(1, "connection_id"), a.reason(2)
	return c.reach(a, func(ctx context.Context, h *hub.Hub) (bool, error) {
		return h.CloseConn(ctx, id, outbox.CodeNormal, reason)
	})
}

// reach does what gives true when there was a connection to do it to.
func (c *call) reach(a args, f func(ctx context.Context, h *hub.Hub) (there bool, err error)) int {
	var there bool
	c.wait(a.l, a.function, func(ctx context.Context) (err error) {
		there, err = f(ctx, c.server.cfg.Hub)
		return err
	})
	return a.push(lua.LBool(there))
}

// ws_broadcast(message [, options]) -> true
func wsBroadcast(l *lua.LState) int {
	_, c := callOf(l)
	a := args{l, "ws_broadcast"}
	message := a.message(1, "message")
	c.checkBroadcast(a, auth.AllChannels, a.broadcastOptions(2))
	c.wait(l, a.function, func(ctx context.Context) error { return c.server.cfg.Hub.BroadcastAll(ctx, message) })
	return a.push(lua.LTrue)
}

// ws_broadcast_room(channel, message [, options]) -> true
func wsBroadcastRoom(l *lua.LState) int {
	_, c := callOf(l)
	return c.broadcast(args{l, "ws_broadcast_room"}, "message")
}

// broadcast takes a channel, a value, and options.
func (c *call) broadcast(a args, name string) int {
	channel, message := a.channel(1), a.message(2, name)
	options := a.broadcastOptions(3)
	c.checkBroadcast(a, channel, options)
	message.Transient = options.transient
	c.wait(a.l, a.function, func(ctx context.Context) error {
		return c.server.cfg.Hub.Broadcast(ctx, channel, message, c.connID)
	})
	return a.push(lua.LTrue)
}

// ws_count() -> connections in the cluster
func wsCount(l *lua.LState) int {
	_, c := callOf(l)
	l.Push(lua.LNumber(c.server.cfg.Hub.Count()))
	return 1
}

// session is the current connection's; it raises where there is none.
func (c *call) session(a args) *hub.Session {
	if c.sess == nil {
		a.fail("there is no current connection in an HTTP handler or a job")
	}
	return c.sess
}

// ws_join(channel) -> true
func wsJoin(l *lua.LState) int {
	_, c := callOf(l)
	return c.join(args{l, "ws_join"})
}

func (c *call) join(a args) int {
	sess, channel := c.session(a), a.channel(1)
	c.notOfTopic(a)
	c.check(a, auth.ToJoin, channel)
	c.wait(a.l, a.function, func(ctx context.Context) error { return sess.Join(ctx, channel) })
	return a.push(lua.LTrue)
}

// notOfTopic raises in the handler of a topic: only its client joins, and the action leave ends it.
func (c *call) notOfTopic(a args) {
	if c.topic != nil {
		a.fail("a client of Phoenix joins topics by itself, and the action leave = true ends a join")
	}
}

// check raises when the route goes by the token's claims and they do not allow something in a channel.
func (c *call) check(a args, v auth.Verb, channel string) {
	if c.allow == nil {
		return
	}
	if err := c.allow.Check(v, channel); err != nil {
		c.deny(a, err)
	}
}

// checkBroadcast is check for a broadcast; the app's own needs no token.
func (c *call) checkBroadcast(a args, channel string, o broadcastOptions) {
	if !o.trusted {
		c.check(a, auth.ToPublish, channel)
	}
}

// deny raises a denial, and keeps it: a run that it ends has not failed.
func (c *call) deny(a args, err error) {
	c.denied = fmt.Errorf("%s: %w", a.function, err)
	a.fail("%s", err.Error())
}

// allowedVerbs are what ws_allowed asks for when it is not told.
var allowedVerbs = []auth.Verb{auth.ToJoin, auth.ToTrack, auth.ToPublish}

// ws_allowed(channel [, verb]) -> true, or false and why not
func wsAllowed(l *lua.LState) int {
	_, c := callOf(l)
	a := args{l, "ws_allowed"}
	channel, asked := a.channel(1), allowedVerbs
	if name := a.optStr(2, "verb"); name != "" {
		v, ok := auth.VerbOf(name)
		if !ok {
			a.fail("verb must be \"join\", \"track\", \"publish\" or \"watch\", not %s", describe(l.Get(2)))
		}
		asked = []auth.Verb{v}
	}
	if c.allow == nil {
		return a.push(lua.LTrue)
	}
	for _, v := range asked {
		if err := c.allow.Check(v, channel); err != nil {
			l.Push(lua.LFalse)
			l.Push(lua.LString(err.Error()))
			return 2
		}
	}
	return a.push(lua.LTrue)
}

// ws_leave(channel) -> true
func wsLeave(l *lua.LState) int {
	_, c := callOf(l)
	return c.leave(args{l, "ws_leave"})
}

func (c *call) leave(a args) int {
	sess, channel := c.session(a), a.channel(1)
	c.notOfTopic(a)
	c.wait(a.l, a.function, func(context.Context) error { return sess.Leave(channel) })
	return a.push(lua.LTrue)
}

// ws_clients() -> ids
func wsClients(l *lua.LState) int {
	_, c := callOf(l)
	a := args{l, "ws_clients"}
	var ids []string
	c.wait(l, a.function, func(ctx context.Context) (err error) {
		ids, err = c.server.cfg.Hub.Clients(ctx)
		return err
	})
	return a.strings(ids)
}

// ws_clients_in(channel) -> ids
func wsClientsIn(l *lua.LState) int {
	_, c := callOf(l)
	a := args{l, "ws_clients_in"}
	channel := a.channel(1)
	var ids []string
	c.wait(l, a.function, func(ctx context.Context) (err error) {
		ids, err = c.server.cfg.Hub.ClientsIn(ctx, channel)
		return err
	})
	return a.strings(ids)
}

// presence reads who is in a channel.
func (c *call) presence(a args, channel string) (users []*presence.User) {
	c.wait(a.l, a.function, func(ctx context.Context) (err error) {
		users, err = c.server.cfg.Hub.Presence(ctx, channel, c.connID)
		return err
	})
	return users
}

// ws_list_presence(channel) -> array of {user_id, metas}, oldest user first
func wsListPresence(l *lua.LState) int {
	_, c := callOf(l)
	a := args{l, "ws_list_presence"}
	users := c.presence(a, a.channel(1))
	return a.list(len(users), 0, func(i int) lua.LValue { return a.user(users[i]) })
}

// ws_presence_count(channel) -> unique users
func wsPresenceCount(l *lua.LState) int {
	_, c := callOf(l)
	a := args{l, "ws_presence_count"}
	return a.push(lua.LNumber(len(c.presence(a, a.channel(1)))))
}

// ws_get_presence(channel, user_id) -> {user_id, metas} or nil
func wsGetPresence(l *lua.LState) int {
	_, c := callOf(l)
	a := args{l, "ws_get_presence"}
	channel, id := a.channel(1), a.userID(2)
	for _, u := range c.presence(a, channel) {
		if u.ID == id {
			return a.push(a.user(u))
		}
	}
	return a.push(lua.LNil)
}

// user makes {user_id, metas}.
func (a args) user(u *presence.User) lua.LValue {
	if u == nil {
		return lua.LNil
	}
	t, ok := a.decode(string(u.AppendMetas(nil))).(*lua.LTable)
	if !ok {
		return lua.LNil
	}
	t.RawSetString("user_id", lua.LString(u.ID))
	return t
}
