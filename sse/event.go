package sse

import (
	"strings"

	"rollcall/outbox"
)

// stream is what an event stream sends (outbox.Kind).
type stream struct {
	heard  func(*outbox.ResumePoint) string // Options.Heard; nil: no ids
	header string                           // of the answer, which leaves first
	refuse func(status int, reason string) string

	// guarded by the connection's lock
	begun  bool // the header has been queued
	lastID int  // how long the last id was
}

// Encode gives the event of a frame. Those who may resume at the same points share it.
func (s *stream) Encode(f outbox.Frame) string {
	if f.IsControl() {
		return f.Wire()
	}
	id := ""
	if p := f.ResumePoint(); p != nil && s.heard != nil {
		id = s.heard(p)
		s.lastID = len(id)
	}
	return f.Once(id, func() string { return event(f.Text(), id) })
}

// Size counts on an id that grows by the frame's channel at most.
func (s *stream) Size(f outbox.Frame) int {
	n := len(f.Text()) + len(dataLine)*(1+lineEnds(f.Text())) + 2
	if p := f.ResumePoint(); p != nil && s.heard != nil {
		n += len("id: \n") + s.lastID + 2*(len(p.Channel)+len(p.Position)+8)
	}
	return n
}

// Ping keeps proxies from taking the stream for dead.
func (s *stream) Ping() string { return ":\n\n" }

// Farewell is a comment with the close code, for people; or, before the stream has begun, the whole answer.
func (s *stream) Farewell(info outbox.CloseInfo) string {
	if s.begun {
		return comment(info)
	}
	switch {
	case info.Status != 0:
		return s.refuse(info.Status, info.Reason)
	case info.Code == outbox.CodeInternal:
		return s.refuse(500, info.Reason)
	}
	return s.header + comment(info)
}

// IsData: all else are comments, and the header.
func (s *stream) IsData(wire string) bool { return strings.HasPrefix(wire, dataLine) }

// dataLine begins each line of a payload; every event begins with one.
const dataLine = "data: "

// event writes a payload as an unnamed event. Line ends of all kinds become those that the client makes of lines of
// data: "\n".
func event(text, id string) string {
	var b strings.Builder
	b.Grow(len(text) + len(id) + 16 + len(dataLine)*lineEnds(text))
	for rest, more := text, true; more; {
		var line string
		line, rest, more = cutLine(rest)
		b.WriteString(dataLine)
		b.WriteString(line)
		b.WriteByte('\n')
	}
	if id != "" {
		b.WriteString("id: ")
		b.WriteString(id)
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	return b.String()
}

// cutLine cuts the first line off; more: there is another one.
func cutLine(text string) (line, rest string, more bool) {
	i := strings.IndexAny(text, "\r\n")
	if i < 0 {
		return text, "", false
	}
	line, rest = text[:i], text[i+1:]
	if text[i] == '\r' {
		rest = strings.TrimPrefix(rest, "\n")
	}
	return line, rest, true
}

func lineEnds(text string) int { return strings.Count(text, "\n") + strings.Count(text, "\r") }
