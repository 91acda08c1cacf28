package history

import (
	"strconv"
	"strings"
)

// Broadcast is one on its way through Redis, as text: `<b|j|e><sender> <ms> <data>`, b for a string as it is, j for
// JSON text, e for JSON text of the form {"event":E,"payload":P}; B, J, E when the sender itself does not get it. One
// that is kept has `<ms>-<seq>-<prev>` in place of `<ms>`: its position, and the ms of the one before it.
type Broadcast struct {
	JSON   bool
	Named  bool   // Text is of the form phoenix.Named
	Others bool   // all but the sender get it
	Text   string // JSON text, or the string itself
	Sender string // connection id; "" for the HTTP API
	At     Position
	Prev   int64
	Kept   bool // At and Prev are; else At.MS is when it was sent
}

// kind is the first byte of the text.
func (b Broadcast) kind() byte {
	kind := byte('b')
	switch {
	case b.Named:
		kind = 'e'
	case b.JSON:
		kind = 'j'
	}
	if b.Others {
		kind -= 'a' - 'A'
	}
	return kind
}

// Head is what of the text stands before the time.
func (b Broadcast) Head() string { return string(b.kind()) + b.Sender + " " }

// Encode writes a broadcast that is not kept; ms is when it was sent.
func (b Broadcast) Encode(ms int64) []byte {
	out := make([]byte, 0, len(b.Text)+len(b.Sender)+24)
	out = append(append(out, b.kind()), b.Sender...)
	out = append(out, ' ')
	out = strconv.AppendInt(out, ms, 10)
	out = append(out, ' ')
	return append(out, b.Text...)
}

// IsBroadcast tells a broadcast from other messages of a topic.
func IsBroadcast(text string) bool { return text != "" && strings.IndexByte("bjeBJE", text[0]) >= 0 }

// Decode reads a text of which IsBroadcast is true.
func Decode(text string) (b Broadcast, ok bool) {
	kind := text[0] | ('a' - 'A')
	b.JSON, b.Named, b.Others = kind != 'b', kind == 'e', kind != text[0]
	var at, rest string
	if b.Sender, rest, ok = strings.Cut(text[1:], " "); !ok {
		return b, false
	}
	if at, b.Text, ok = strings.Cut(rest, " "); !ok {
		return b, false
	}
	end := strings.LastIndexByte(at, '-')
	if end < 0 {
		ms, err := strconv.ParseInt(at, 10, 64)
		b.At.MS = ms
		return b, err == nil
	}
	b.Kept = true
	if b.At, ok = ParsePosition(at[:end]); !ok {
		return b, false
	}
	b.Prev, ok = parseNumber(at[end+1:])
	return b, ok && b.At.Seq > 0
}
