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
		for k, v := fields.Next(lua.LNil); k != lua.LNil; k, v = fields.Next(k) {
			attrs = append(attrs, slog.Attr{Key: k.String(), Value: a.logValue(v)})
		}
	}
	if attrs != nil {
		attrs = []any{slog.Group("fields", attrs...)}
	}
	c.log().Log(c.server.ctx, level, msg, attrs...)
	return 0
}

// maxLogValue bounds the JSON of one field, in bytes.
const maxLogValue = 16 << 10

// logValue is what a log line shows of a value: what cannot be encoded is shown by its type.
func (a args) logValue(v lua.LValue) slog.Value {
	switch v := v.(type) {
	case lua.LString:
		return slog.StringValue(string(v))
	case lua.LNumber:
		if n, ok := wholeNumber(v); ok {
			return slog.Int64Value(n)
		}
		return slog.Float64Value(float64(v))
	case lua.LBool:
		return slog.BoolValue(bool(v))
	}
	text, err := luavm.EncodeJSON(v, maxLogValue)
	if err != nil {
		return slog.StringValue(describe(v))
	}
	return slog.StringValue(string(text))
}
