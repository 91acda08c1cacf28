package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
)

// newLog is the log of one run of a node, which each of its lines names.
func newLog(c *Config, process string, w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.LogLevel)) // kong has checked it
	opts := &slog.HandlerOptions{Level: level, ReplaceAttr: durationsAsText}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, opts)).With("node", process)
	}
	return slog.New(newTextHandler(w, opts, c.Dev)).With("node", process)
}

// durationsAsText writes "1.5s" where slog's JSON has a number of nanoseconds without a unit.
func durationsAsText(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().String())
	}
	return a
}

// textHandler is slog's, but what has several lines stands below the line of its record, as it is: tracebacks, and with
// dev the place, the text and the listing of an error. A record is one write.
type textHandler struct {
	slog.Handler // a TextHandler that writes to out.line
	out          *textOutput
	dev          bool
}

// textOutput is shared by all handlers of a log.
type textOutput struct {
	mu   sync.Mutex
	line bytes.Buffer
	to   io.Writer
}

func newTextHandler(w io.Writer, opts *slog.HandlerOptions, dev bool) slog.Handler {
	out := &textOutput{to: w}
	return &textHandler{slog.NewTextHandler(&out.line, opts), out, dev}
}

// WithAttrs is slog.Handler's.
func (h *textHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &textHandler{h.Handler.WithAttrs(attrs), h.out, h.dev}
}

// WithGroup is slog.Handler's.
func (h *textHandler) WithGroup(name string) slog.Handler {
	return &textHandler{h.Handler.WithGroup(name), h.out, h.dev}
}

// Handle is slog.Handler's.
func (h *textHandler) Handle(ctx context.Context, r slog.Record) error {
	below := map[string]string{}
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "traceback", "listing":
			below[a.Key] = a.Value.String()
		case "file", "line", "error":
			if h.dev {
				below[a.Key] = a.Value.String()
			}
		}
		return true
	})
	if below["file"] == "" { // the error of no place stays in the line
		delete(below, "error")
		delete(below, "line")
	}
	short := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		if _, ok := below[a.Key]; !ok {
			short.AddAttrs(a)
		}
		return true
	})
	h.out.mu.Lock()
	defer h.out.mu.Unlock()
	h.out.line.Reset()
	if err := h.Handler.Handle(ctx, short); err != nil {
		return err
	}
	if file := below["file"]; file != "" {
		if line := below["line"]; line != "" && line != "0" {
			file = fmt.Sprintf("%s:%s", file, line)
		}
		h.out.indent(file + ": " + strings.TrimPrefix(below["error"], file+": "))
	}
	h.out.indent(below["listing"])
	h.out.indent(below["traceback"])
	_, err := h.out.to.Write(h.out.line.Bytes())
	return err
}

// indent adds lines below the record's own.
func (o *textOutput) indent(text string) {
	for line := range strings.Lines(strings.Trim(text, "\n")) {
		line = strings.ReplaceAll(strings.TrimRight(line, " \t\r\n"), "\t", "  ")
		o.line.WriteString("    " + printable(line) + "\n")
	}
}

// printable leaves out what could drive a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 {
			return -1
		}
		return r
	}, s)
}
