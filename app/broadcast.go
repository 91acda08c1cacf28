package app

import (
	"fmt"

	lua "github.com/yuin/gopher-lua"

	"rollcall/hub"
	"rollcall/luavm"
)

// broadcastOptions may stand beside the message of a broadcast (SPEC 6): in the table of an action, and in one that is
// the last argument of a function.
type broadcastOptions struct {
	trusted   bool // it is the app's own and not the client's: the client's token is not asked
	transient bool // it is not kept where the channel has a history
}

// set takes one option; false: there is none of this name.
func (o *broadcastOptions) set(name, v lua.LValue) (known bool, err error) {
	switch name {
	case lua.LString("trusted"):
		var ok bool
		if o.trusted, ok = luaBool(v); !ok {
			return true, fmt.Errorf("trusted must be true or false, not %s", describe(v))
		}
		return true, nil
	case lua.LString("transient"):
		var ok bool
		if o.transient, ok = luaBool(v); !ok {
			return true, fmt.Errorf("transient must be true or false, not %s", describe(v))
		}
		return true, nil
	}
	return false, nil
}

// broadcastOptions reads the options of a function; they may be left out.
func (a args) broadcastOptions(i int) (o broadcastOptions) {
	t := a.optTable(i, "the options")
	if t == nil {
		return o
	}
	for k, v := t.Next(lua.LNil); k != lua.LNil; k, v = t.Next(k) {
		known, err := o.set(k, v)
		switch {
		case !known:
			a.fail("unknown option %s (known: transient, trusted)", keyText(k))
		case err != nil:
			a.fail("%s", err.Error())
		}
	}
	return o
}

// broadcastForm is a broadcast that is written with names: {channel, message}, options beside it. broadcast has no
// channel.
type broadcastForm struct {
	channel, message lua.LValue // nil: not given
	options          broadcastOptions
	err              error // what is wrong with an option
}

// formOf reads a broadcast that is written with names; false: it is not, and so the table itself is the message. That
// it is as soon as it has another key, no message, or neither channel nor option. Options count in tables that the
// handler has made, not in those of json.decode: else a handler that passes on what clients send would trust them.
func formOf(kind hub.ActionKind, t *lua.LTable) (f broadcastForm, ok bool) {
	optional := false
	for k, v := t.Next(lua.LNil); k != lua.LNil; k, v = t.Next(k) {
		switch {
		case k == lua.LString("message"):
			f.message = v
		case k == lua.LString("channel") && kind != hub.ActionBroadcast:
			f.channel = v
		default:
			known, err := f.options.set(k, v)
			if !known || luavm.Decoded(t) {
				return broadcastForm{}, false
			}
			optional = true
			if f.err == nil {
				f.err = err
			}
		}
	}
	return f, f.message != nil && (f.channel != nil || optional)
}

// readBroadcast reads a broadcast: the message alone, but for broadcast_channel, or the form with names.
func (r *actionReader) readBroadcast(kind hub.ActionKind, v lua.LValue) error {
	var f broadcastForm
	if t, ok := v.(*lua.LTable); ok {
		if named, ok := formOf(kind, t); ok {
			f = named
		}
	}
	if kind == hub.ActionBroadcastChannel && f.channel == nil {
		return fmt.Errorf("must be a table with exactly channel and message, and transient or trusted where it is so, not %s",
			describe(v))
	}
	if f.err != nil {
		return f.err
	}
	a := hub.Action{Kind: kind, Trusted: f.options.trusted}
	var err error
	if kind == hub.ActionBroadcastRoom || kind == hub.ActionBroadcastFrom {
		a.Channel = r.topic
	}
	if f.channel != nil {
		if a.Channel, err = channelOf(f.channel); err != nil {
			return err
		}
	}
	if f.message != nil {
		v = f.message
	}
	a.Value, err = r.value(v)
	a.Value.Transient = f.options.transient
	r.add(a)
	return err
}
