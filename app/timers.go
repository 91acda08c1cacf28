package app

import (
	"errors"
	"fmt"
	"slices"
	"time"

	lua "github.com/yuin/gopher-lua"

	"rollcall/hub"
	"rollcall/luavm"
	"rollcall/naming"
)

// Limits of a connection's timers (SPEC 11).
const (
	maxTimers     = 16
	maxTimerBytes = 64 << 10 // of their names and data together
	minTimer      = 100 * time.Millisecond
	maxTimer      = 24 * time.Hour
)

var (
	errTooManyTimers = fmt.Errorf("a connection has %d timers at most", maxTimers)
	errTimersTooLong = fmt.Errorf("names and data of a connection's timers take more than %d bytes", maxTimerBytes)
)

// timer is one event that a connection has coming.
type timer struct {
	name string
	data string // JSON; "": none
	at   time.Duration
	of   *handling // whose handler gets it
}

func (t timer) bytes() int { return len(t.name) + len(t.data) }

// addData gives an event the timer's data. The error is one of a run.
func (t timer) addData(vm *luavm.VM, event *lua.LTable) error {
	if t.data == "" {
		return nil
	}
	data, err := luavm.DecodeJSON(vm, t.data)
	if err == nil {
		event.RawSetString("data", data)
	}
	return err
}

// timers are those that a connection has coming, the nearest first, and those for the same moment in the order in which
// they were set. A pure value; times are those of Server.now.
type timers struct{ list []timer }

// set adds a timer, in the place of one of the same name. On an error all stay as they were.
func (s *timers) set(t timer) error {
	bytes, others := t.bytes(), 0
	for _, o := range s.list {
		if !t.replaces(o) {
			bytes, others = bytes+o.bytes(), others+1
		}
	}
	switch {
	case others >= maxTimers:
		return errTooManyTimers
	case bytes > maxTimerBytes:
		return errTimersTooLong
	}
	s.cancel(t)
	i := len(s.list)
	for i > 0 && s.list[i-1].at > t.at {
		i--
	}
	s.list = slices.Insert(s.list, i, t)
	return nil
}

// replaces tells whether one timer is in place of another.
func (t timer) replaces(o timer) bool { return o.name == t.name && o.of == t.of }

// cancel takes a timer back; also right when there is none of this name.
func (s *timers) cancel(t timer) { s.list = slices.DeleteFunc(s.list, t.replaces) }

// drop takes back all timers of a handling.
func (s *timers) drop(of *handling) {
	s.list = slices.DeleteFunc(s.list, func(t timer) bool { return t.of == of })
}

// next says when the nearest one is due; false: there is none.
func (s *timers) next() (at time.Duration, ok bool) {
	if len(s.list) == 0 {
		return 0, false
	}
	return s.list[0].at, true
}

// take gives the nearest one if it is due, and forgets it.
func (s *timers) take(now time.Duration) (t timer, ok bool) {
	if at, some := s.next(); !some || at > now {
		return timer{}, false
	}
	t = s.list[0]
	if s.list = slices.Delete(s.list, 0, 1); len(s.list) == 0 {
		s.list = nil
	}
	return t, true
}

// readTimer reads {name, ms, data} or {name, cancel = true}.
func (r *actionReader) readTimer(t *lua.LTable) error {
	var out hub.Timer
	for k, v := t.Next(lua.LNil); k != lua.LNil; k, v = t.Next(k) {
		switch k {
		case lua.LString("name"):
			s, ok := v.(lua.LString)
			if out.Name = string(s); !ok || !naming.Valid(out.Name) {
				return fmt.Errorf("name must be 1 to %d bytes of UTF-8 without control characters, not %s", naming.MaxBytes,
					describe(v))
			}
		case lua.LString("ms"):
			ms, ok := wholeNumber(v)
			if !ok || ms < minTimer.Milliseconds() || ms > maxTimer.Milliseconds() {
				return fmt.Errorf("ms must be a whole number from %d to %d (24 h), not %s", minTimer.Milliseconds(),
					maxTimer.Milliseconds(), describe(v))
			}
			out.Wait = time.Duration(ms) * time.Millisecond
		case lua.LString("data"):
			text, err := luavm.EncodeText(v, r.limit)
			if err != nil {
				return fmt.Errorf("data: %w", err)
			}
			if len(text) > maxTimerBytes {
				return fmt.Errorf("data has %d bytes as JSON; %d are the most", len(text), maxTimerBytes)
			}
			out.Data = string(text)
		case lua.LString("cancel"):
			if out.Cancel = v == lua.LTrue; !out.Cancel {
				return fmt.Errorf("cancel must be true, not %s", describe(v))
			}
		default:
			return fmt.Errorf("unknown field %s (known: name, ms, data, cancel)", keyText(k))
		}
	}
	switch {
	case out.Name == "":
		return errors.New("name is missing")
	case out.Cancel && (out.Wait != 0 || out.Data != ""):
		return errors.New("cancel takes a name, and no ms or data")
	case !out.Cancel && out.Wait == 0:
		return errors.New("ms is missing")
	}
	r.add(hub.Action{Kind: hub.ActionAfter, Timer: &out})
	return nil
}
