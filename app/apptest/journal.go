package apptest

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// journal keeps what nodes and the test itself write, with the virtual time since the case began.
type journal struct {
	began time.Time

	mu    sync.Mutex
	lines []string
	ended bool // the case is over: what comes now is of its end
}

func (j *journal) add(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.ended {
		j.lines = append(j.lines, at(j.began)+"  "+fmt.Sprintf(format, args...))
	}
}

// end returns the lines.
func (j *journal) end() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.ended = true
	return j.lines
}

// at is the virtual time since the case began.
func at(began time.Time) string { return fmt.Sprintf("%8.3fs", time.Since(began).Seconds()) }

// nodeLog takes what a node logs, from warnings on, from its start until it is killed. What it says of its Redis when
// it starts is none of the app's business.
type nodeLog struct {
	journal *journal
	member  *member
	attrs   string
}

func (h nodeLog) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

// Handle adds a line. Tracebacks have many lines, and what they are of names file and line already.
func (h nodeLog) Handle(_ context.Context, r slog.Record) error {
	if !h.member.up.Load() || h.member.killed.Load() {
		return nil
	}
	attrs := strings.Builder{}
	r.Attrs(func(a slog.Attr) bool {
		if a.Key != "traceback" {
			attrs.WriteString(attrText(a))
		}
		return true
	})
	h.journal.add("node %d  %s  %s%s%s", h.member.number, r.Level, r.Message, h.attrs, attrs.String())
	return nil
}

func (h nodeLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	for _, a := range attrs {
		h.attrs += attrText(a)
	}
	return h
}

func (h nodeLog) WithGroup(string) slog.Handler { return h }

func attrText(a slog.Attr) string { return fmt.Sprintf("  %s=%v", a.Key, a.Value) }
