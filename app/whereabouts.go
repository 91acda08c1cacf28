package app

import (
	"cmp"
	"encoding/base64"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"rollcall/history"
	"rollcall/outbox"
)

// whereabouts is where the client of an event stream stands: in the channels heard last, 64 at most. Each event has it
// as its id, and a client that comes back gives it back (SPEC 8).
type whereabouts struct {
	points []*outbox.ResumePoint // the one heard last is the last
}

// begin takes where the client was. nil: nobody wants to know.
func (w *whereabouts) begin(was map[string]history.Position) {
	if w == nil {
		return
	}
	for channel, p := range was {
		w.points = append(w.points, &outbox.ResumePoint{Channel: channel, Position: p.String()})
	}
	slices.SortFunc(w.points, func(a, b *outbox.ResumePoint) int {
		return cmp.Or(cmp.Compare(was[a.Channel].MS, was[b.Channel].MS), cmp.Compare(a.Channel, b.Channel))
	})
}

// hear notes an event after which the client stands at p, and gives its id. Channels that were heard long ago are left
// out of an id that would be too long.
func (w *whereabouts) hear(p *outbox.ResumePoint) string {
	w.points = slices.DeleteFunc(w.points, func(o *outbox.ResumePoint) bool { return o.Channel == p.Channel })
	if len(w.points) == maxResumePositions {
		w.points = slices.Delete(w.points, 0, 1)
	}
	w.points = append(w.points, p)
	if len(w.points) == 1 {
		return p.Alone(w.id)
	}
	return w.id()
}

// id writes the points as readResume reads them.
func (w *whereabouts) id() string {
	const most = maxResume / 4 * 3 // bytes of JSON that base64 makes maxResume of
	b := []byte{'{'}
	for _, p := range slices.Backward(w.points) {
		before := len(b)
		if len(b) > 1 {
			b = append(b, ',')
		}
		b, _ = jsontext.AppendQuote(b, p.Channel) // names of channels are UTF-8
		b = append(append(append(b, `:"`...), p.Position...), '"')
		if len(b) >= most {
			b = b[:before]
			break
		}
	}
	return base64.RawURLEncoding.EncodeToString(append(b, '}'))
}
