package app

import (
	"errors"
	"fmt"
	"slices"
	"time"

	lua "github.com/yuin/gopher-lua"

	"rollcall/history"
	"rollcall/hub"
	"rollcall/luavm"
)

// historyRule is one history(...) of config/routes.lua.
type historyRule struct {
	history.Rule
	place string
}

// registerHistory takes the arguments of history("room:*", { size = 100, ttl = 300 }) (SPEC 7).
func (r *router) registerHistory(place string, args []lua.LValue) {
	arg := argumentsOf(args)
	pattern, ok := arg(0).(lua.LString)
	if !ok {
		r.problem(place, "history: the first argument must be a channel, or a prefix like \"room:*\", not %s",
			describe(arg(0)))
		return
	}
	call := fmt.Sprintf("history(%q)", string(pattern))
	if err := history.CheckPattern(string(pattern)); err != nil {
		r.problem(place, "%s: %v", call, err)
		return
	}
	options, ok := arg(1).(*lua.LTable)
	if !ok || len(args) > 2 {
		r.problem(place, "%s: takes a pattern and a table like { size = 100, ttl = 300 }", call)
		return
	}
	policy, err := historyPolicy(options)
	if err != nil {
		r.problem(place, "%s: %v", call, err)
		return
	}
	for _, other := range r.history {
		if other.Pattern == string(pattern) {
			r.problem(place, "%s: the same pattern is at %s", call, other.place)
			return
		}
	}
	r.history = append(r.history, historyRule{history.Rule{Pattern: string(pattern), Policy: policy}, place})
}

// historyPolicy reads { size = 100, ttl = 300 }.
func historyPolicy(options *lua.LTable) (p history.Policy, err error) {
	for k, v := options.Next(lua.LNil); k != lua.LNil; k, v = options.Next(k) {
		n, ok := wholeNumber(v)
		switch k {
		case lua.LString("size"):
			if !ok || n < 1 || n > history.MaxSize {
				return p, fmt.Errorf("size must be a whole number from 1 to %d, not %s", history.MaxSize, describe(v))
			}
			p.Size = int(n)
		case lua.LString("ttl"):
			seconds, ok := v.(lua.LNumber)
			p.TTL = time.Duration(float64(seconds) * float64(time.Second)).Truncate(time.Millisecond)
			if !ok || !(seconds >= 1) || seconds > lua.LNumber(history.MaxTTL/time.Second) {
				return p, fmt.Errorf("ttl must be a number of seconds from 1 to %d (7 days), not %s",
					history.MaxTTL/time.Second, describe(v))
			}
		default:
			return p, fmt.Errorf("unknown option %s (known: size, ttl)", describe(k))
		}
	}
	if p.Size == 0 || p.TTL == 0 {
		return p, errors.New("both size and ttl are needed")
	}
	return p, nil
}

// History says which channels have a history.
func (a *App) History() *history.Rules { return a.history }

// readJoins reads a channel, {channel, since}, or an array of such.
func (r *actionReader) readJoins(v lua.LValue) error {
	t, ok := v.(*lua.LTable)
	if !ok || t.RawGetInt(1) == lua.LNil && !isEmpty(t) {
		return r.readJoin(v)
	}
	return eachElement(t, func(_ int, v lua.LValue) error { return r.readJoin(v) })
}

func (r *actionReader) readJoin(v lua.LValue) (err error) {
	a := hub.Action{Kind: hub.ActionJoin}
	if t, ok := v.(*lua.LTable); ok {
		if !hasOnly(t, "channel", "since") {
			return fmt.Errorf("must be a channel, an array of such, or a table with channel and since, not %s", describe(v))
		}
		if a.Since, err = sinceOf(t.RawGetString("since")); err != nil {
			return err
		}
		v = t.RawGetString("channel")
	}
	a.Channel, err = channelOf(v)
	r.add(a)
	return err
}

// readHistory reads {channel, limit, before}, or the channel alone.
func (r *actionReader) readHistory(v lua.LValue) (err error) {
	a := hub.Action{Kind: hub.ActionHistory, Query: history.Query{Limit: hub.DefaultPage}}
	if t, ok := v.(*lua.LTable); ok {
		if !hasOnly(t, "channel", "limit", "before") {
			return fmt.Errorf("must be a table with channel, and limit and before if need be, not %s", describe(v))
		}
		if a.Query.Limit, err = limitOf(t.RawGetString("limit")); err != nil {
			return err
		}
		if a.Query.Before, err = sinceOf(t.RawGetString("before")); err != nil {
			return fmt.Errorf("before: %w", err)
		}
		v = t.RawGetString("channel")
	}
	a.Channel, err = channelOf(v)
	r.add(a)
	return err
}

// sinceOf reads a position that a client gave, or nothing. Text that is no position is one that was never given.
func sinceOf(v lua.LValue) (*history.Position, error) {
	switch v := v.(type) {
	case *lua.LNilType:
		return nil, nil
	case lua.LString:
		p, ok := history.ParsePosition(string(v))
		if !ok {
			p = history.Never
		}
		return &p, nil
	}
	if v == luavm.Null {
		return nil, nil
	}
	return nil, fmt.Errorf("a position must be a string, not %s", describe(v))
}

// limitOf reads how many messages are wanted.
func limitOf(v lua.LValue) (int, error) {
	if v == lua.LNil || v == luavm.Null {
		return hub.DefaultPage, nil
	}
	n, ok := wholeNumber(v)
	if !ok || n < 1 || n > history.MaxSize {
		return 0, fmt.Errorf("limit must be a whole number from 1 to %d, not %s", history.MaxSize, describe(v))
	}
	return int(n), nil
}

// hasOnly tells whether a table has no other keys than these names.
func hasOnly(t *lua.LTable, names ...string) bool {
	for k, _ := t.Next(lua.LNil); k != lua.LNil; k, _ = t.Next(k) {
		name, ok := k.(lua.LString)
		if !ok || !slices.Contains(names, string(name)) {
			return false
		}
	}
	return true
}
