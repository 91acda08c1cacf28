package app

import (
	"log/slog"

	lua "github.com/yuin/gopher-lua"

	"rollcall/luavm"
)

// logFunctions are log.debug/info/warn/error(msg, fields): lines that name route and connection (SPEC 1.3).
var logFunctions = map[string]lua.LGFunction{
	"debug": func(l *lua.LState) int { return logLine(args{l, "log.debug"}, slog.LevelDebug) },
	"info":  func(l *lua.LState) int { return logLine(args{l, "log.info"}, slog.LevelInfo) },
	"warn":  func(l *lua.LState) int { return logLine(args{l, "log.warn"}, slog.LevelWarn) },
	"error": func(l *lua.LState) int { return logLine(args{l, "log.error"}, slog.LevelError) },
}

func logLine(a args, level slog.Level) int {
	_, c := callOf(a.l)
	msg, fields := a.str(1, "msg"), a.optTable(2, "fields")
	if !c.server.cfg.Log.Enabled(c.server.ctx, level) {
		return 0
	}
	var attrs []any
	if fields != nil {
		left := maxLine // the line is clipped in any case; this bounds the work
		for k, v := fields.Next(lua.LNil); k != lua.LNil && left > 0; k, v = fields.Next(k) {
			value, work := a.logValue(v)
			left -= 16 + work
			attrs = append(attrs, slog.Attr{Key: k.String(), Value: value})
		}
	}
	if attrs != nil {
		attrs = []any{slog.Group("fields", attrs...)}
	}
	c.log().Log(c.server.ctx, level, msg, attrs...)
	return 0
}

// logValue is what a log line shows of a value: what cannot be encoded is shown by its type. work is some measure of
// what that took.
func (a args) logValue(v lua.LValue) (value slog.Value, work int) {
	switch v := v.(type) {
	case lua.LString:
		return slog.StringValue(string(v)), len(v)
	case lua.LNumber:
		if n, ok := wholeNumber(v); ok {
			return slog.Int64Value(n), 0
		}
		return slog.Float64Value(float64(v)), 0
	case lua.LBool:
		return slog.BoolValue(bool(v)), 0
	}
	text, err := luavm.EncodeJSON(v, maxLine)
	if err != nil {
		return slog.StringValue(describe(v)), maxLine / 16
	}
	return slog.StringValue(string(text)), len(text)
}
