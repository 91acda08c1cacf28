package hub

import (
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"rollcall/history"
	"rollcall/outbox"
	"rollcall/wsconn"
)

// delivery is one broadcast of a feed, with what was made of it for its members: once for all, also for those who come
// back later.
type delivery struct {
	history.Broadcast

	// guarded by the room's mu
	asFrame outbox.Frame // the zero Frame: not made yet
	asEvent *Event
}

// deliveries is what was read, for the gate.
func deliveries(h history.Held[history.Broadcast]) history.Held[*delivery] {
	out := history.Held[*delivery]{What: h.What, At: h.At, Now: h.Now,
		Messages: make([]history.Message[*delivery], len(h.Messages))}
	for i, m := range h.Messages {
		out.Messages[i] = history.Message[*delivery]{At: m.At, Prev: m.Prev, Until: m.Until, Size: m.Size,
			Body: &delivery{Broadcast: m.Body}}
	}
	return out
}

// event is what scripts get.
func (d *delivery) event(r *room) *Event {
	if d.asEvent == nil {
		d.asEvent = r.broadcastEvent(d.Broadcast)
	}
	return d.asEvent
}

// frame is what connections of routes with resume = true get:
// {"event":"message","channel":C,"position":P,"data":V}, without a position when it is not kept.
func (d *delivery) frame(r *room) outbox.Frame {
	if d.asFrame.IsZero() {
		b := r.feed.begin("message", len(d.Text)+len(d.Text)/8)
		if d.Kept {
			b = appendPosition(b, d.At)
		}
		b = Value{Text: d.Text, JSON: d.JSON}.AppendJSON(append(b, `,"data":`...))
		d.asFrame = wsconn.Text(append(b, '}'))
		if d.Kept {
			d.asFrame = d.asFrame.At(r.feed.resumePoint(d.At))
		}
	}
	return d.asFrame
}

// begin begins a frame with its event and channel, and room for more.
func (f *feed) begin(event string, more int) []byte {
	b := make([]byte, 0, 96+len(f.name)+more)
	b = append(b, `{"event":"`...)
	b = append(b, event...)
	b = append(b, `","channel":`...)
	return append(b, f.name...)
}

// resumePoint is where a client stands who has got a frame that says so.
func (f *feed) resumePoint(p history.Position) *outbox.ResumePoint {
	return &outbox.ResumePoint{Channel: f.channel, Position: p.String()}
}

func appendPosition(b []byte, p history.Position) []byte {
	b = append(b, `,"position":"`...)
	return append(p.Append(b), '"')
}

// joinedFrame answers a join.
func (f *feed) joinedFrame(rec Recovery) outbox.Frame {
	b := appendPosition(f.begin("joined", 0), rec.Position)
	switch {
	case !rec.Asked:
	case rec.Recovered:
		b = append(b, `,"recovered":true,"missed":`...)
		b = strconv.AppendInt(b, int64(rec.Missed), 10)
	default:
		b = append(b, `,"recovered":false,"why":"`...)
		b = append(append(b, rec.Why...), '"')
	}
	return wsconn.Text(append(b, '}')).At(f.resumePoint(rec.Position))
}

// missedFrames is what one who comes back gets: the answer, and what it missed.
func (f *feed) missedFrames(r *room, rec Recovery, missed []history.Message[*delivery]) []outbox.Frame {
	frames := make([]outbox.Frame, 0, 1+len(missed))
	frames = append(frames, f.joinedFrame(rec))
	for _, m := range missed {
		frames = append(frames, m.Body.frame(r))
	}
	return frames
}

// lostFrame tells a live connection that messages are missing.
func (f *feed) lostFrame(l *history.Loss) outbox.Frame {
	b := append(appendPosition(f.begin("lost", 0), l.At), `,"why":"`...)
	return wsconn.Text(append(append(b, l.Why...), `"}`...)).At(f.resumePoint(l.At))
}

func quote(s string) []byte { return appendQuoted(nil, s) }

// appendQuoted writes a string as JSON. All strings here are UTF-8.
func appendQuoted(b []byte, s string) []byte {
	b, _ = jsontext.AppendQuote(b, s)
	return b
}
