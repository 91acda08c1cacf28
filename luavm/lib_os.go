package luavm

import (
	"fmt"
	"strings"
	"time"

	lua "github.com/yuin/gopher-lua"
)

// osFunctions have to do with time alone.
var osFunctions = map[string]lua.LGFunction{
	"clock": osClock,
	"date":  osDate,
	"time":  osTime,
}

// osClock gives seconds since the process started, for differences.
func osClock(L *lua.LState) int {
	L.Push(lua.LNumber(now().Seconds()))
	return 1
}

// osTime gives seconds since 1970: of now, or of a table of local time.
func osTime(L *lua.LState) int {
	if L.Get(1) == lua.LNil {
		L.Push(lua.LNumber(time.Now().Unix()))
		return 1
	}
	t := readable(L, 1)
	field := func(name string, missing int) int {
		v := t.RawGetString(name)
		if s, ok := v.(lua.LString); ok {
			v = parseNumber(string(s))
		}
		n, ok := v.(lua.LNumber)
		if !ok && missing < 0 {
			L.RaiseError("field '%s' missing in date table", name)
		}
		if !ok {
			return missing
		}
		return int(max(min(n, 1e9), -1e9))
	}
	at := time.Date(field("year", -1), time.Month(field("month", -1)), field("day", -1),
		field("hour", 12), field("min", 0), field("sec", 0), 0, time.Local)
	L.Push(lua.LNumber(at.Unix()))
	return 1
}

// gmt is UTC by the name that C gives it.
var gmt = time.FixedZone("GMT", 0)

// osDate formats a time as C's strftime does; "!" first means UTC, "*t" a table.
func osDate(L *lua.LState) int {
	format := "%c"
	if L.Get(1) != lua.LNil {
		format = checkString(L, 1)
	}
	t := time.Now()
	if L.Get(2) != lua.LNil {
		t = time.Unix(int64(max(min(number(L, 2), 1e12), -1e12)), 0)
	}
	if rest, ok := strings.CutPrefix(format, "!"); ok {
		format, t = rest, t.In(gmt)
	}
	if strings.HasPrefix(format, "*t") {
		Of(L).charge(L, ObjectSize(9))
		L.Push(dateTable(t))
		return 1
	}
	out := newBuffer(L)
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			out.addByte(format[i])
			continue
		}
		i++
		out.room(64)
		out.text = appendDate(out.text, t, format[i])
		out.vm.spend(L, 4)
	}
	return out.push()
}

func dateTable(t time.Time) *lua.LTable {
	o := newObject(9)
	for _, f := range []struct {
		name  string
		value int
	}{
		{"year", t.Year()}, {"month", int(t.Month())}, {"day", t.Day()}, {"hour", t.Hour()}, {"min", t.Minute()},
		{"sec", t.Second()}, {"wday", int(t.Weekday()) + 1}, {"yday", t.YearDay()},
	} {
		o.set(f.name, lua.LNumber(f.value))
	}
	o.set("isdst", lua.LBool(t.IsDST()))
	return o.table()
}

// dateLayouts are the directives that Go's own layouts cover, in the C locale.
var dateLayouts = map[byte]string{
	'a': "Mon", 'A': "Monday", 'b': "Jan", 'B': "January", 'c': "Mon Jan _2 15:04:05 2006", 'd': "02", 'D': "01/02/06",
	'e': "_2", 'F': "2006-01-02", 'h': "Jan", 'H': "15", 'I': "03", 'm': "01", 'M': "04", 'p': "PM", 'P': "pm",
	'r': "03:04:05 PM",
	'R': "15:04", 'S': "05", 'T': "15:04:05", 'x': "01/02/06", 'X': "15:04:05", 'y': "06", 'Y': "2006", 'z': "-0700",
	'Z': "MST",
}

func appendDate(out []byte, t time.Time, directive byte) []byte {
	if layout, ok := dateLayouts[directive]; ok {
		return t.AppendFormat(out, layout)
	}
	monday := (int(t.Weekday()) + 6) % 7
	switch directive {
	case '%':
		return append(out, '%')
	case 'n':
		return append(out, '\n')
	case 't':
		return append(out, '\t')
	case 'C':
		return fmt.Appendf(out, "%02d", t.Year()/100)
	case 'j':
		return fmt.Appendf(out, "%03d", t.YearDay())
	case 's':
		return fmt.Appendf(out, "%d", t.Unix())
	case 'u':
		return fmt.Appendf(out, "%d", monday+1)
	case 'w':
		return fmt.Appendf(out, "%d", int(t.Weekday()))
	case 'U':
		return fmt.Appendf(out, "%02d", (t.YearDay()+6-int(t.Weekday()))/7)
	case 'W':
		return fmt.Appendf(out, "%02d", (t.YearDay()+6-monday)/7)
	case 'k':
		return fmt.Appendf(out, "%2d", t.Hour())
	case 'l':
		return fmt.Appendf(out, "%2d", (t.Hour()+11)%12+1)
	case 'g':
		year, _ := t.ISOWeek()
		return fmt.Appendf(out, "%02d", year%100)
	case 'G':
		year, _ := t.ISOWeek()
		return fmt.Appendf(out, "%d", year)
	case 'V':
		_, week := t.ISOWeek()
		return fmt.Appendf(out, "%02d", week)
	}
	return append(out, '%', directive)
}
