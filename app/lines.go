package app

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"rollcall/overload"
)

// Bounds of the log lines of handlers and scripts.
const (
	maxLine      = 4 << 10 // bytes
	tellDropped  = time.Second
	droppedLines = "log lines of handlers and scripts were dropped"
)

// How many lines there may be: so many a second, and as many at once.
var (
	linesOfOne  = overload.Rate{Every: time.Second / 100, Burst: 100} // of one connection or HTTP call
	linesOfNode = overload.Rate{Every: time.Second / 1000, Burst: 1000}
)

// lines bounds what handlers and scripts write to the log. What is dropped is counted, and told once a second.
type lines struct {
	log *slog.Logger
	now func() time.Duration

	mu      sync.Mutex
	node    overload.Limiter
	dropped int64
	told    int64
	timer   *time.Timer // runs tell; set while something dropped is to be told
	closed  bool
}

// allow tells whether a source, whose limiter l.mu guards, may write a line now.
func (l *lines) allow(source *overload.Limiter) bool {
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if source.Allow(now, linesOfOne) && l.node.Allow(now, linesOfNode) {
		return true
	}
	l.dropped++
	if l.timer == nil && !l.closed {
		l.timer = time.AfterFunc(tellDropped, l.tell)
	}
	return false
}

func (l *lines) tell() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.timer == nil {
		return
	}
	l.timer = nil
	l.log.Warn(droppedLines, "lines", l.dropped-l.told)
	l.told = l.dropped
}

// count is how many lines were dropped so far.
func (l *lines) count() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dropped
}

// close tells what is left to be told.
func (l *lines) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.tell()
}

// logger is the log of one source.
func (l *lines) logger(source *overload.Limiter, attrs ...any) *slog.Logger {
	return slog.New(&lineHandler{l.log.Handler(), l, source}).With(attrs...)
}

// lineHandler is a slog.Handler that keeps the bounds.
type lineHandler struct {
	slog.Handler
	lines  *lines
	source *overload.Limiter
}

// Handle is slog.Handler's.
func (h *lineHandler) Handle(ctx context.Context, r slog.Record) error {
	if !h.lines.allow(h.source) {
		return nil
	}
	left := maxLine
	short := slog.NewRecord(r.Time, r.Level, clip(r.Message, &left), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		short.AddAttrs(clipAttr(a, &left))
		return left > 0
	})
	return h.Handler.Handle(ctx, short)
}

// WithAttrs is slog.Handler's.
func (h *lineHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &lineHandler{h.Handler.WithAttrs(attrs), h.lines, h.source}
}

// WithGroup is slog.Handler's.
func (h *lineHandler) WithGroup(name string) slog.Handler {
	return &lineHandler{h.Handler.WithGroup(name), h.lines, h.source}
}

// clipAttr shortens a field so that it fits into what is left of its line.
func clipAttr(a slog.Attr, left *int) slog.Attr {
	a.Key = clip(a.Key, left)
	switch v := a.Value.Resolve(); v.Kind() {
	case slog.KindGroup:
		var group []slog.Attr
		seen := map[string]bool{} // Lua's 1 and "1" have one name here, and so may two that were clipped
		for _, o := range v.Group() {
			if *left <= 0 {
				break
			}
			if o = clipAttr(o, left); !seen[o.Key] {
				seen[o.Key] = true
				group = append(group, o)
			}
		}
		a.Value = slog.GroupValue(group...)
	case slog.KindString, slog.KindAny:
		a.Value = slog.StringValue(clip(v.String(), left))
	default:
		*left -= 24
	}
	return a
}

// clip shortens a text to half of what is left of its line, so that there is room for others, and takes it off. What
// the log escapes counts as it is written.
func clip(s string, left *int) string {
	room, n := max(*left/2, 0), 4 // quotes, a space and a sign
	for i, r := range s {
		switch {
		case r == utf8.RuneError || r < ' ' || r == 0x7f:
			n += 6
		case r == '"' || r == '\\':
			n += 2
		default:
			n += utf8.RuneLen(r)
		}
		if n > room {
			*left -= n
			return strings.Clone(s[:i]) + "…"
		}
	}
	*left -= n
	return s
}
