package app

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	lua "github.com/yuin/gopher-lua"

	"rollcall/auth"
	"rollcall/hub"
	"rollcall/luavm"
	"rollcall/outbox"
	"rollcall/presence"
	"rollcall/wsconn"
)

// solidbWS is solidb.ws of connection scripts (SPEC 1.1).
func solidbWS() *lua.LTable {
	return luavm.SharedTableFields(
		map[string]lua.LGFunction{
			"send":        scriptSend,
			"send_binary": scriptSendBinary,
			"recv":        scriptRecv,
			"recv_any":    scriptRecvAny,
			"close":       scriptClose,
		},
		map[string]lua.LValue{
			"channel": luavm.SharedTable(map[string]lua.LGFunction{
				"subscribe":   scriptSubscribe,
				"unsubscribe": scriptUnsubscribe,
				"broadcast":   scriptBroadcast,
				"list":        scriptChannels,
			}, nil),
			"presence": luavm.SharedTable(map[string]lua.LGFunction{
				"join":  scriptPresenceJoin,
				"leave": scriptPresenceLeave,
				"list":  scriptPresenceList,
			}, nil),
		},
		map[string]func(*luavm.VM) lua.LValue{
			"id": func(vm *luavm.VM) lua.LValue {
				if c, ok := vm.Data.(*call); ok {
					return lua.LString(c.connID)
				}
				return lua.LNil
			},
		})
}

// errClosedText is the message of what raises once the connection is closed.
const errClosedText = "the connection is closed"

// closed raises; a script that ends by it has not failed.
func (c *call) closed(a args) {
	c.script.metClosed = true
	a.fail(errClosedText)
}

// solidb.ws.send(data)
func scriptSend(l *lua.LState) int {
	_, c := callOf(l)
	a := args{l, "solidb.ws.send"}
	c.sendFrame(a, wsconn.TextString(a.message(1, "data").Text))
	return 0
}

// solidb.ws.send_binary(data)
func scriptSendBinary(l *lua.LState) int {
	_, c := callOf(l)
	a := args{l, "solidb.ws.send_binary"}
	c.sendFrame(a, wsconn.Binary([]byte(a.str(1, "data"))))
	return 0
}

func (c *call) sendFrame(a args, f outbox.Frame) {
	c.script.checkOver(a.l)
	if err := c.script.ws.Send(f); err != nil {
		c.closed(a)
	}
}

// solidb.ws.recv() -> message, or nil when closed
func scriptRecv(l *lua.LState) int {
	_, c := callOf(l)
	t := c.script.receive(l, false, -1)
	if t.message == nil {
		l.Push(lua.LNil)
		return 1
	}
	l.Push(lua.LString(t.message.data))
	return 1
}

// solidb.ws.recv_any([timeout_ms]) -> message, type; or nil, "timeout" or "closed"
func scriptRecvAny(l *lua.LState) int {
	_, c := callOf(l)
	a := args{l, "solidb.ws.recv_any"}
	timeout := time.Duration(-1)
	if v := l.Get(1); v != lua.LNil {
		ms, ok := v.(lua.LNumber)
		if !ok || ms < 0 || ms != ms {
			a.fail("timeout_ms must be a number from 0, not %s", describe(v))
		}
		timeout = time.Duration(min(ms, maxTimeout)) * time.Millisecond
	}
	switch t := c.script.receive(l, true, timeout); {
	case t.message != nil && t.message.binary:
		l.Push(lua.LString(t.message.data))
		l.Push(lua.LString("ws"))
		l.Push(lua.LString("binary"))
		return 3
	case t.message != nil:
		l.Push(lua.LString(t.message.data))
		l.Push(lua.LString("ws"))
	case t.event != nil:
		v, kind := a.event(t.event)
		l.Push(v)
		l.Push(kind)
	case t.closed:
		l.Push(lua.LNil)
		l.Push(lua.LString("closed"))
	default:
		l.Push(lua.LNil)
		l.Push(lua.LString("timeout"))
	}
	return 2
}

// maxTimeout is the longest wait that is told apart from waiting without limit: a year, in ms.
const maxTimeout = 365 * 24 * 3600 * 1000

// solidb.ws.close([code [, reason]])
func scriptClose(l *lua.LState) int {
	_, c := callOf(l)
	a := args{l, "solidb.ws.close"}
	code := int64(outbox.CodeNormal)
	if l.Get(1) != lua.LNil {
		code = a.number(1, "code", 1000)
		if err := checkCloseCode(int(code)); err != nil {
			a.fail("%s", err.Error())
		}
	}
	reason := a.reason(2)
	c.script.inbox.drop()
	c.script.ws.Close(int(code), reason)
	return 0
}

// solidb.ws.channel.subscribe(name [, {since = position}]) -> true; with a position also {recovered, missed, why}, or
// nil while Redis cannot be reached
func scriptSubscribe(l *lua.LState) int {
	_, c := callOf(l)
	a := args{l, "solidb.ws.channel.subscribe"}
	channel, since := a.channel(1), a.since(2)
	c.check(a, auth.ToJoin, channel)
	var rec hub.Recovery
	c.wait(l, a.function, func(ctx context.Context) (err error) {
		rec, _, err = c.sess.JoinSince(ctx, channel, since)
		return err
	})
	l.Push(lua.LTrue)
	if !rec.Asked {
		return 1
	}
	l.Push(recovery(rec))
	return 2
}

// solidb.ws.channel.unsubscribe(name) -> true
func scriptUnsubscribe(l *lua.LState) int {
	_, c := callOf(l)
	a := args{l, "solidb.ws.channel.unsubscribe"}
	channel := a.channel(1)
	c.wait(l, a.function, func(context.Context) error { return ignoreGone(c.sess.Leave(channel)) })
	return a.push(lua.LTrue)
}

// solidb.ws.channel.broadcast(name, data [, options]) -> true
func scriptBroadcast(l *lua.LState) int {
	_, c := callOf(l)
	return c.broadcast(args{l, "solidb.ws.channel.broadcast"}, "data")
}

// solidb.ws.channel.list() -> names in the order of subscription
func scriptChannels(l *lua.LState) int {
	_, c := callOf(l)
	l.Push(luavm.Strings(c.sess.Rooms()))
	return 1
}

// solidb.ws.presence.join(channel, user_info) -> true
func scriptPresenceJoin(l *lua.LState) int {
	_, c := callOf(l)
	a := args{l, "solidb.ws.presence.join"}
	channel := a.channel(1)
	info, ok := l.Get(2).(*lua.LTable)
	if !ok {
		a.fail("user_info must be a table, not %s", describe(l.Get(2)))
	}
	userID := a.userOf(info, c.connID)
	c.check(a, auth.ToTrack, channel)
	for name := range ignoredFields {
		if info.RawGetString(name) != lua.LNil {
			c.log().Warn("solidb.ws.presence.join: a field of user_info is ignored", "field", name)
		}
	}
	text := a.json(info, "user_info")
	if text[0] != '{' {
		if len(text) > 2 {
			a.fail("user_info must have names as keys, but it is an array")
		}
		text = []byte("{}")
	}
	c.wait(l, a.function, func(ctx context.Context) error { return c.sess.PresenceJoin(ctx, channel, userID, text) })
	return a.push(lua.LTrue)
}

// userOf is user_info.user_id, else user_info.id, else the connection itself; empty strings count as absent.
func (a args) userOf(info *lua.LTable, connID string) string {
	for _, name := range []string{"user_id", "id"} {
		v := info.RawGetString(name)
		if v == lua.LNil || v == luavm.Null || v == lua.LString("") {
			continue
		}
		id, err := userIDOf(v)
		if err != nil {
			a.fail("user_info.%s: %s", name, err.Error())
		}
		return id
	}
	return connID
}

// solidb.ws.presence.leave(channel) -> true
func scriptPresenceLeave(l *lua.LState) int {
	_, c := callOf(l)
	a := args{l, "solidb.ws.presence.leave"}
	channel := a.channel(1)
	c.wait(l, a.function, func(ctx context.Context) error { return ignoreGone(c.sess.Untrack(ctx, channel)) })
	return a.push(lua.LTrue)
}

// solidb.ws.presence.list(channel) -> array of {connection_id, user_info, joined_at}, oldest first
func scriptPresenceList(l *lua.LState) int {
	_, c := callOf(l)
	a := args{l, "solidb.ws.presence.list"}
	type entry struct {
		meta *presence.Meta
		user string
	}
	var entries []entry
	for _, u := range c.presence(a, a.channel(1)) {
		for i := range u.Metas {
			entries = append(entries, entry{&u.Metas[i], u.ID})
		}
	}
	slices.SortStableFunc(entries, func(x, y entry) int {
		if x.meta.JoinedAt != y.meta.JoinedAt {
			return int(x.meta.JoinedAt - y.meta.JoinedAt)
		}
		return strings.Compare(x.meta.Ref, y.meta.Ref)
	})
	return a.list(len(entries), luavm.ObjectSize(3), func(i int) lua.LValue {
		e := entries[i]
		o := luavm.NewObject(3)
		o.Set("connection_id", lua.LString(e.meta.ConnID))
		o.Set("user_info", a.decode(string(e.meta.UserInfo(e.user))))
		o.Set("joined_at", lua.LNumber(e.meta.JoinedAt))
		return o.Table()
	})
}

// ignoreGone makes leaving right after the connection has closed.
func ignoreGone(err error) error {
	if errors.Is(err, hub.ErrGone) {
		return nil
	}
	return err
}
