package app

import (
	"context"
	"errors"

	lua "github.com/yuin/gopher-lua"

	"rollcall/auth"
	"rollcall/history"
	"rollcall/hub"
	"rollcall/luavm"
)

// ws_history(channel [, {since, before, limit, reverse}]) -> array of {position, data, timestamp, sender_id} and the
// channel's position; or nil and why, when not all since then can be had
func wsHistory(l *lua.LState) int {
	_, c := callOf(l)
	a := args{l, "ws_history"}
	channel, q := a.channel(1), a.query(2)
	c.check(a, auth.ToJoin, channel)
	var page hub.HistoryPage
	var missed history.MissedError
	c.wait(l, a.function, func(ctx context.Context) (err error) {
		page, err = c.server.cfg.Hub.History(ctx, channel, q)
		if errors.As(err, &missed) {
			return nil
		}
		return err
	})
	if missed.Why != "" {
		l.Push(lua.LNil)
		l.Push(lua.LString(missed.Why))
		return 2
	}
	a.list(len(page.Messages), luavm.ObjectSize(4), func(i int) lua.LValue { return a.historyMessage(page.Messages[i]) })
	l.Push(lua.LString(page.Position))
	return 2
}

// historyMessage makes {position, data, timestamp, sender_id}.
func (a args) historyMessage(m hub.HistoryMessage) lua.LValue {
	o := luavm.NewObject(4)
	o.Set("position", lua.LString(m.Position))
	o.Set("data", a.value(m.Data))
	o.Set("timestamp", lua.LNumber(m.Timestamp))
	if m.SenderID != "" {
		o.Set("sender_id", lua.LString(m.SenderID))
	}
	return o.Table()
}

// query reads {since, before, limit, reverse}, which may be left out.
func (a args) query(i int) (q history.Query) {
	q.Limit = hub.DefaultPage
	t := a.optTable(i, "the options")
	if t == nil {
		return q
	}
	if !hasOnly(t, "since", "before", "limit", "reverse") {
		a.fail("the options are since, before, limit and reverse")
	}
	var err error
	if q.Since, err = sinceOf(t.RawGetString("since")); err != nil {
		a.fail("since: %s", err.Error())
	}
	if q.Before, err = sinceOf(t.RawGetString("before")); err != nil {
		a.fail("before: %s", err.Error())
	}
	if q.Limit, err = limitOf(t.RawGetString("limit")); err != nil {
		a.fail("%s", err.Error())
	}
	if v := t.RawGetString("reverse"); v != lua.LNil {
		var ok bool
		if q.Reverse, ok = luaBool(v); !ok {
			a.fail("reverse must be true or false, not %s", describe(v))
		}
	}
	return q
}

// since reads the options of subscribe: {since = position}.
func (a args) since(i int) *history.Position {
	t := a.optTable(i, "the options")
	if t == nil {
		return nil
	}
	if !hasOnly(t, "since") {
		a.fail("the only option is since")
	}
	p, err := sinceOf(t.RawGetString("since"))
	if err != nil {
		a.fail("since: %s", err.Error())
	}
	return p
}

// recovery makes {recovered, missed, why}.
func recovery(rec hub.Recovery) lua.LValue {
	o := luavm.NewObject(3)
	o.Set("recovered", lua.LBool(rec.Recovered))
	if rec.Recovered {
		o.Set("missed", lua.LNumber(rec.Missed))
	} else {
		o.Set("why", lua.LString(rec.Why))
	}
	return o.Table()
}
