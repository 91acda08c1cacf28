package app

import (
	"errors"
	"fmt"
	"unicode/utf8"

	lua "github.com/yuin/gopher-lua"

	"rollcall/hub"
	"rollcall/luavm"
	"rollcall/naming"
	"rollcall/outbox"
	"rollcall/presence"
)

// actionKinds are the keys of an action table, in the order in which actions of one table run (SPEC 1.2).
var actionKinds = [...]hub.ActionKind{hub.ActionLeave, hub.ActionJoin, hub.ActionUntrack, hub.ActionTrack,
	hub.ActionSetPresence,
	hub.ActionSend, hub.ActionSendPresence, hub.ActionHistory,
	hub.ActionBroadcastRoom, hub.ActionBroadcastChannel, hub.ActionBroadcast,
	hub.ActionAfter, hub.ActionClose}

// ignoredFields of metadata are Rollcall's own; in input they are ignored and logged (SPEC 6).
var ignoredFields = map[string]bool{"phx_ref": true, "connection_id": true, "online_at": true}

// actionReader turns what a handler returned into actions. It validates everything before anything runs.
type actionReader struct {
	limit int // of one value's JSON, in bytes

	actions []hub.Action
	closing *hub.Action // runs after the others, wherever it stood
	notes   []string    // things to log that are no error
}

// read takes a handler's return value: nil, a table of actions, or an array of such tables.
// The error says what is wrong with it; then no action may run.
func (r *actionReader) read(v lua.LValue) error {
	if v == lua.LNil || v == luavm.Null {
		return nil
	}
	t, ok := v.(*lua.LTable)
	if !ok {
		return fmt.Errorf("a handler must return a table of actions or nil, not %s", describe(v))
	}
	err := r.readAny(t)
	if err != nil {
		return err
	}
	if r.closing != nil {
		r.actions = append(r.actions, *r.closing)
	}
	return nil
}

func (r *actionReader) readAny(t *lua.LTable) error {
	if t.RawGetInt(1) == lua.LNil {
		return r.readTable(t)
	}
	return eachElement(t, func(i int, v lua.LValue) error {
		at, ok := v.(*lua.LTable)
		if !ok {
			return fmt.Errorf("element %d of the returned array must be a table of actions, not %s", i, describe(v))
		}
		if err := r.readTable(at); err != nil {
			return fmt.Errorf("element %d of the returned array: %w", i, err)
		}
		return nil
	})
}

// readTable reads one table of actions.
func (r *actionReader) readTable(t *lua.LTable) error {
	var values [hub.ActionClose + 1]lua.LValue
	for k, v := t.Next(lua.LNil); k != lua.LNil; k, v = t.Next(k) {
		kind, err := actionKind(k)
		if err != nil {
			return err
		}
		values[kind] = v
	}
	for _, kind := range actionKinds {
		if values[kind] == nil {
			continue
		}
		if err := r.readAction(kind, values[kind]); err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
	}
	return nil
}

func actionKind(k lua.LValue) (hub.ActionKind, error) {
	name, ok := k.(lua.LString)
	if !ok {
		return 0, fmt.Errorf("a table of actions has names as keys, not %s", describe(k))
	}
	for _, kind := range actionKinds {
		if kind.String() == string(name) {
			return kind, nil
		}
	}
	return 0, fmt.Errorf("unknown action %q%s", string(name), orMeant(string(name), actionNames()))
}

// actionNames are the keys of an action table.
func actionNames() []string {
	names := make([]string, len(actionKinds))
	for i, kind := range actionKinds {
		names[i] = kind.String()
	}
	return names
}

func (r *actionReader) readAction(kind hub.ActionKind, v lua.LValue) error {
	switch kind {
	case hub.ActionTrack, hub.ActionSetPresence:
		return eachTable(v, "a channel", func(t *lua.LTable) error { return r.readTrack(kind, t) })
	case hub.ActionSend:
		value, err := r.value(v)
		r.add(hub.Action{Kind: kind, Value: value})
		return err
	case hub.ActionBroadcastRoom, hub.ActionBroadcastChannel, hub.ActionBroadcast:
		return r.readBroadcast(kind, v)
	case hub.ActionAfter:
		return eachTable(v, "a name", r.readTimer)
	case hub.ActionClose:
		return r.readClose(v)
	case hub.ActionJoin:
		return r.readJoins(v)
	case hub.ActionHistory:
		return r.readHistory(v)
	default:
		return r.readChannels(kind, v)
	}
}

func (r *actionReader) add(a hub.Action) { r.actions = append(r.actions, a) }

// readChannels reads a channel or an array of them.
func (r *actionReader) readChannels(kind hub.ActionKind, v lua.LValue) error {
	if t, ok := v.(*lua.LTable); ok {
		return eachElement(t, func(i int, v lua.LValue) error {
			channel, err := channelOf(v)
			r.add(hub.Action{Kind: kind, Channel: channel})
			return err
		})
	}
	channel, err := channelOf(v)
	r.add(hub.Action{Kind: kind, Channel: channel})
	return err
}

// eachTable reads one table that has something, or an array of such.
func eachTable(v lua.LValue, something string, read func(*lua.LTable) error) error {
	t, ok := v.(*lua.LTable)
	if !ok {
		return fmt.Errorf("must be a table with %s, or an array of such, not %s", something, describe(v))
	}
	if t.RawGetInt(1) == lua.LNil && !isEmpty(t) {
		return read(t)
	}
	return eachElement(t, func(i int, v lua.LValue) error {
		one, ok := v.(*lua.LTable)
		if !ok {
			return fmt.Errorf("element %d must be a table with %s, not %s", i, something, describe(v))
		}
		if err := read(one); err != nil {
			return fmt.Errorf("element %d: %w", i, err)
		}
		return nil
	})
}

// readTrack reads {channel, user_id, …}.
func (r *actionReader) readTrack(kind hub.ActionKind, t *lua.LTable) error {
	channel, err := channelOf(t.RawGetString("channel"))
	if err != nil {
		return err
	}
	a := hub.Action{Kind: kind, Channel: channel}
	if kind == hub.ActionTrack {
		if a.UserID, err = userIDOf(t.RawGetString("user_id")); err != nil {
			return err
		}
	}
	for k, v := t.Next(lua.LNil); k != lua.LNil; k, v = t.Next(k) {
		name, ok := k.(lua.LString)
		switch {
		case !ok:
			return fmt.Errorf("metadata has names as keys, not %s", describe(k))
		case name == "channel" || name == "user_id" && kind == hub.ActionTrack:
		case name == "user_id" || ignoredFields[string(name)]:
			r.notes = append(r.notes, fmt.Sprintf("%s: the field %q is ignored", kind, string(name)))
		default:
			text, err := luavm.EncodeText(v, r.limit)
			if err != nil {
				return fmt.Errorf("field %q: %w", string(name), err)
			}
			if a.Fields == nil {
				a.Fields = presence.Fields{}
			}
			a.Fields[string(name)] = text
		}
	}
	r.add(a)
	return nil
}

// readClose reads a reason or {code, reason}. Of several the first counts.
func (r *actionReader) readClose(v lua.LValue) error {
	a := hub.Action{Kind: hub.ActionClose}
	switch v := v.(type) {
	case lua.LString:
		a.Reason = string(v)
	case *lua.LTable:
		code, isNumber := v.RawGetString("code").(lua.LNumber)
		reason, isString := v.RawGetString("reason").(lua.LString)
		if !isNumber || !isString || !hasExactly(v, "code", "reason") {
			return errors.New("must be a reason, or a table with exactly code (a number) and reason (a string)")
		}
		a.Code, a.Reason = int(code), string(reason)
		if lua.LNumber(a.Code) != code {
			return fmt.Errorf("the code must be a whole number, not %s", code)
		}
		if err := checkCloseCode(a.Code); err != nil {
			return err
		}
	default:
		return fmt.Errorf("must be a reason, or a table with code and reason, not %s", describe(v))
	}
	if !utf8.ValidString(a.Reason) {
		return errNotUTF8
	}
	if r.closing == nil {
		r.closing = &a
	}
	return nil
}

var errNotUTF8 = errors.New("the string is not UTF-8")

// value makes the JSON value that travels: a string as it is, anything else encoded.
func (r *actionReader) value(v lua.LValue) (hub.Value, error) {
	if s, ok := v.(lua.LString); ok {
		if !utf8.ValidString(string(s)) {
			return hub.Value{}, errNotUTF8
		}
		return hub.Value{Text: string(s)}, nil
	}
	text, err := luavm.EncodeText(v, r.limit)
	return hub.Value{Text: string(text), JSON: true}, err
}

// checkCloseCode allows the codes that a close frame may carry.
func checkCloseCode(code int) error {
	if !outbox.ValidCode(code) {
		return fmt.Errorf("%d is no close code that may be sent; use 1000 or 4000 to 4999", code)
	}
	return nil
}

func channelOf(v lua.LValue) (string, error) {
	s, ok := v.(lua.LString)
	if !ok {
		return "", fmt.Errorf("the channel must be a string, not %s", describe(v))
	}
	if err := hub.CheckChannel(string(s)); err != nil {
		return "", fmt.Errorf("%w; this is %s", err, describe(v))
	}
	return string(s), nil
}

// userIDOf takes a string or a number (SPEC 1.2).
func userIDOf(v lua.LValue) (id string, err error) {
	switch v := v.(type) {
	case lua.LString:
		id = string(v)
	case lua.LNumber:
		var ok bool
		if id, ok = naming.NumericUserID(float64(v)); !ok {
			return "", fmt.Errorf("a user_id that is a number must be whole and between -2^53 and 2^53, not %s; pass it as a string", luavm.FormatNumber(v))
		}
	default:
		return "", fmt.Errorf("user_id must be a string or a number, not %s", describe(v))
	}
	return id, naming.CheckUserID(id)
}

// eachElement calls f for the elements of an array, and fails when the table is none.
func eachElement(t *lua.LTable, f func(i int, v lua.LValue) error) error {
	n := 0
	for k, v := t.Next(lua.LNil); k != lua.LNil; k, v = t.Next(k) {
		i, ok := k.(lua.LNumber)
		if n++; !ok || int(i) != n {
			return fmt.Errorf("must be an array, but it has the key %s", keyText(k))
		}
		if err := f(n, v); err != nil {
			return err
		}
	}
	return nil
}

func keyText(k lua.LValue) string {
	if s, ok := k.(lua.LString); ok {
		return fmt.Sprintf("%q", string(s))
	}
	return k.String()
}

// hasExactly tells whether the table's keys are these names and no others.
func hasExactly(t *lua.LTable, names ...string) bool {
	n := 0
	for k, _ := t.Next(lua.LNil); k != lua.LNil && n <= len(names); k, _ = t.Next(k) {
		n++
	}
	for _, name := range names {
		if t.RawGetString(name) == lua.LNil {
			return false
		}
	}
	return n == len(names)
}
