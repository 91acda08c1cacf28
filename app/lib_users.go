package app

import (
	"context"

	lua "github.com/yuin/gopher-lua"

	"rollcall/auth"
	"rollcall/hub"
	"rollcall/luavm"
	"rollcall/outbox"
	"rollcall/presence"
)

// identity reads the id of a user who has a channel.
func (a args) identity(i int) string {
	id, err := identityOf(a.l.Get(i))
	if err != nil {
		a.fail("%s", err.Error())
	}
	return id
}

func (c *call) users(a args, ids []string) (us []presence.Status) {
	c.wait(a.l, a.function, func(ctx context.Context) (err error) {
		us, err = c.server.cfg.Hub.Users(ctx, ids, c.connID)
		return err
	})
	return us
}

// ws_user(user_id) -> {user_id, online, metas, last_seen}
func wsUser(l *lua.LState) int {
	_, c := callOf(l)
	a := args{l, "ws_user"}
	return a.push(a.status(c.users(a, []string{a.identity(1)})[0]))
}

// ws_users({user_ids}) -> an array of such, in the order asked
func wsUsers(l *lua.LState) int {
	_, c := callOf(l)
	a := args{l, "ws_users"}
	t, ok := l.Get(1).(*lua.LTable)
	if !ok {
		a.fail("user_ids must be an array, not %s", describe(l.Get(1)))
	}
	var ids []string
	err := eachElement(t, func(_ int, v lua.LValue) error {
		id, err := identityOf(v)
		ids = append(ids, id)
		return err
	})
	if err != nil {
		a.fail("user_ids: %s", err.Error())
	}
	us := c.users(a, ids)
	return a.list(len(us), luavm.ObjectSize(4), func(i int) lua.LValue { return a.status(us[i]) })
}

// status makes {user_id, online, metas, last_seen}.
func (a args) status(u presence.Status) lua.LValue {
	o := luavm.NewObject(4)
	o.Set("user_id", lua.LString(u.ID))
	o.Set("online", lua.LBool(u.User != nil))
	metas := a.decode("[]")
	if t, ok := a.user(u.User).(*lua.LTable); ok {
		metas = t.RawGetString("metas")
	}
	o.Set("metas", metas)
	if u.LastSeen != 0 {
		o.Set("last_seen", lua.LNumber(u.LastSeen))
	}
	return o.Table()
}

// ws_send_user(user_id, message) -> false when the user has no connection, else true
func wsSendUser(l *lua.LState) int {
	_, c := callOf(l)
	a := args{l, "ws_send_user"}
	id, message := a.identity(1), a.message(2, "message")
	return c.reach(a, func(ctx context.Context, h *hub.Hub) (bool, error) { return h.SendUser(ctx, id, message) })
}

// ws_close_user(user_id [, reason [, code]]) -> as ws_send_user
func wsCloseUser(l *lua.LState) int {
	_, c := callOf(l)
	a := args{l, "ws_close_user"}
	id, reason, code := a.identity(1), a.reason(2), a.closeCode(3)
	return c.reach(a, func(ctx context.Context, h *hub.Hub) (bool, error) { return h.CloseUser(ctx, id, code, reason) })
}

// closeCode reads a close code, 1000 when it was left out.
func (a args) closeCode(i int) int {
	if a.l.Get(i) == lua.LNil {
		return outbox.CodeNormal
	}
	code := a.number(i, "code", 1000)
	if err := checkCloseCode(int(code)); err != nil {
		a.fail("%s", err.Error())
	}
	return int(code)
}

// solidb.ws.identify(user_id [, fields]) -> true
func scriptIdentify(l *lua.LState) int {
	_, c := callOf(l)
	a := args{l, "solidb.ws.identify"}
	id := a.identity(1)
	var fields presence.Fields
	if t := a.optTable(2, "fields"); t != nil {
		r := actionReader{limit: c.server.cfg.Limits.Value}
		if err := r.readFields(hub.Action{Kind: hub.ActionIdentify}, t); err != nil {
			a.fail("fields: %s", err.Error())
		}
		for _, note := range r.notes {
			c.log().Warn(a.function + ": " + note)
		}
		fields = r.actions[0].Fields
	}
	c.wait(l, a.function, func(ctx context.Context) error { return c.sess.Identify(ctx, id, fields) })
	return a.push(lua.LTrue)
}

// solidb.ws.presence.watch(channel) -> true
func scriptWatch(l *lua.LState) int {
	_, c := callOf(l)
	a := args{l, "solidb.ws.presence.watch"}
	channel := a.channel(1)
	c.check(a, auth.ToWatch, channel)
	c.wait(l, a.function, func(ctx context.Context) error { return c.sess.Watch(ctx, channel) })
	return a.push(lua.LTrue)
}

// solidb.ws.presence.unwatch(channel) -> true
func scriptUnwatch(l *lua.LState) int {
	_, c := callOf(l)
	a := args{l, "solidb.ws.presence.unwatch"}
	channel := a.channel(1)
	c.wait(l, a.function, func(context.Context) error { return ignoreGone(c.sess.Unwatch(channel)) })
	return a.push(lua.LTrue)
}
