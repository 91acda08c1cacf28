package phoenix

import (
	"encoding/json"

	"github.com/go-json-experiment/json/jsontext"
)

// The statuses of replies.
const (
	OK    = "ok"
	Error = "error"
)

// Reply is the text frame that answers a message: joinRef is that of the join, ref that of the message, response JSON.
func (v Version) Reply(joinRef, ref, topic, status, response string) []byte {
	b := v.begin(len(topic)+len(response)+64, joinRef, ref, topic, `"phx_reply"`)
	b = append(append(b, `{"status":"`...), status...)
	b = append(append(append(b, `","response":`...), response...), '}')
	return v.end(b, ref)
}

// Push is the text frame of an event for one join; event and payload are JSON, payload an object.
func (v Version) Push(joinRef, topic, event, payload string) []byte {
	b := v.begin(len(topic)+len(event)+len(payload)+16, joinRef, None, topic, event)
	return v.end(append(b, payload...), None)
}

// Broadcast is the text frame of a broadcast value, the same for all joins; see EventOf.
func (v Version) Broadcast(topic string, value Value) []byte {
	event, payload := value.EventOf()
	return v.Push(None, topic, event, payload)
}

// Close is the frame that tells that a join is over for good.
func (v Version) Close(joinRef, topic string) []byte {
	return v.end(append(v.begin(len(topic), joinRef, joinRef, topic, `"phx_close"`), `{}`...), joinRef)
}

// Crash is the frame that tells that a join is over, and that the client may join again.
func (v Version) Crash(joinRef, topic string) []byte {
	b := v.begin(len(topic), joinRef, joinRef, topic, `"phx_error"`)
	return v.end(append(b, `{"reason":"channel_crash"}`...), joinRef)
}

// begin begins a frame, up to its payload; event is JSON, more what is to come.
func (v Version) begin(more int, joinRef, ref, topic, event string) []byte {
	b := make([]byte, 0, 48+len(joinRef)+len(ref)+more)
	if v == V1 {
		b = quote(append(b, `{"topic":`...), topic)
		b = append(append(b, `,"event":`...), event...)
		return append(b, `,"payload":`...)
	}
	b = append(append(append(b, '['), joinRef...), ',')
	b = append(append(b, ref...), ',')
	b = append(quote(b, topic), ',')
	return append(append(b, event...), ',')
}

// end ends a frame behind its payload.
func (v Version) end(b []byte, ref string) []byte {
	if v == V1 {
		return append(append(append(b, `,"ref":`...), ref...), '}')
	}
	return append(b, ']')
}

// BinaryReply is the binary frame that answers a binary push with bytes; false: its texts do not fit.
func BinaryReply(joinRef, ref, topic, status string, response []byte) (frame []byte, ok bool) {
	frame = append(make([]byte, 0, 5+len(joinRef)+len(ref)+len(topic)+len(status)+len(response)), binaryReply)
	texts := [...]string{plain(joinRef), plain(ref), topic, status}
	for _, t := range texts {
		if len(t) > 255 {
			return nil, false
		}
		frame = append(frame, byte(len(t)))
	}
	for _, t := range texts {
		frame = append(frame, t...)
	}
	return append(frame, response...), true
}

// plain is a ref as binary frames have it.
func plain(ref string) string {
	if ref == None {
		return ""
	}
	var s string
	if json.Unmarshal([]byte(ref), &s) == nil {
		return s
	}
	return ref
}

// quote writes a string as JSON. All strings here are UTF-8.
func quote(b []byte, s string) []byte {
	b, _ = jsontext.AppendQuote(b, s)
	return b
}
