package phoenix

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"rollcall/naming"
)

// Version is one of the two serializers: how frames look.
type Version byte

// The versions.
const (
	V1 Version = 1 // objects: {"topic","event","payload","ref"}
	V2 Version = 2 // arrays: [join_ref, ref, topic, event, payload]; and binary frames
)

// VersionOf reads the query parameter vsn: "2.0.x"; "1.0.x" or nothing.
func VersionOf(vsn string) (v Version, ok bool) {
	switch {
	case strings.HasPrefix(vsn, "2.0."):
		return V2, true
	case vsn == "", strings.HasPrefix(vsn, "1.0."):
		return V1, true
	}
	return 0, false
}

// None is the text of a join_ref or ref that is not there.
const None = "null"

// maxRef bounds a join_ref or ref, in bytes of its text.
const maxRef = 255

// Message is what a client sends.
type Message struct {
	JoinRef, Ref string // JSON texts, as they came: a string, a number, None
	Topic, Event string
	Payload      string // JSON text
	// Binary: the payload is Data. A broadcast of Supabase's kind has both: Data belongs into Payload, as "payload".
	Binary bool
	Data   []byte
}

// Errors of frames that are none: the socket is closed, with 1002 or 1007.
var (
	ErrFrame = errors.New("not a frame of Phoenix")
	ErrUTF8  = errors.New("a text is not UTF-8")
)

// DecodeText reads a text frame. The message shares nothing with it. ErrFrame.
func (v Version) DecodeText(frame []byte) (Message, error) {
	d := jsontext.NewDecoder(bytes.NewReader(frame), jsontext.AllowDuplicateNames(true))
	var m Message
	var ok bool
	if v == V2 {
		m, ok = readArray(d)
	} else {
		m, ok = readObject(d)
	}
	if _, err := d.ReadToken(); !ok || !errors.Is(err, io.EOF) {
		return Message{}, ErrFrame
	}
	return m, nil
}

// readArray reads [join_ref, ref, topic, event, payload]; further elements are ignored.
func readArray(d *jsontext.Decoder) (m Message, ok bool) {
	if t, err := d.ReadToken(); err != nil || t.Kind() != '[' {
		return m, false
	}
	ok = readRef(d, &m.JoinRef) && readRef(d, &m.Ref) && readText(d, &m.Topic) && readText(d, &m.Event) &&
		readPayload(d, &m.Payload)
	for ok && d.PeekKind() != ']' {
		ok = d.SkipValue() == nil
	}
	if !ok {
		return m, false
	}
	_, err := d.ReadToken()
	return m, err == nil
}

// readObject reads {"topic","event","payload","ref"}, all four needed, in any order; others but join_ref are ignored.
func readObject(d *jsontext.Decoder) (m Message, ok bool) {
	if t, err := d.ReadToken(); err != nil || t.Kind() != '{' {
		return m, false
	}
	m.JoinRef = None
	const topic, event, payload, ref = 1, 2, 4, 8
	seen := 0
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return m, false
		}
		switch name.String() {
		case "topic":
			ok, seen = readText(d, &m.Topic), seen|topic
		case "event":
			ok, seen = readText(d, &m.Event), seen|event
		case "payload":
			ok, seen = readPayload(d, &m.Payload), seen|payload
		case "ref":
			ok, seen = readRef(d, &m.Ref), seen|ref
		case "join_ref":
			ok = readRef(d, &m.JoinRef)
		default:
			ok = d.SkipValue() == nil
		}
		if !ok {
			return m, false
		}
	}
	_, err := d.ReadToken()
	return m, err == nil && seen == topic|event|payload|ref
}

func readRef(d *jsontext.Decoder, to *string) bool {
	switch d.PeekKind() {
	case '"', '0', 'n':
		v, err := d.ReadValue()
		*to = string(v)
		return err == nil && len(v) <= maxRef
	}
	return false
}

func readText(d *jsontext.Decoder, to *string) bool {
	if d.PeekKind() != '"' {
		return false
	}
	t, err := d.ReadToken()
	if err == nil {
		*to = t.String()
	}
	return err == nil
}

func readPayload(d *jsontext.Decoder, to *string) bool {
	v, err := d.ReadValue()
	*to = string(v)
	return err == nil
}

// Kinds of binary frames.
const (
	binaryPush      = 0
	binaryReply     = 1
	binaryBroadcast = 3 // of Supabase's clients
)

// encodingJSON says that the payload of a binaryBroadcast is JSON.
const encodingJSON = 1

// DecodeBinary reads a binary frame: the lengths of the texts, a byte each, the texts, the data. ErrFrame, ErrUTF8.
func (v Version) DecodeBinary(frame []byte) (Message, error) {
	if v != V2 || len(frame) == 0 {
		return Message{}, ErrFrame
	}
	switch frame[0] {
	case binaryPush:
		texts, data, err := split(frame[1:], 4, 4)
		if err != nil {
			return Message{}, err
		}
		return Message{JoinRef: refOf(texts[0]), Ref: refOf(texts[1]), Topic: texts[2], Event: texts[3], Binary: true,
			Data: bytes.Clone(data)}, nil
	case binaryBroadcast:
		texts, data, err := split(frame[1:], 6, 5)
		if err != nil {
			return Message{}, err
		}
		m := Message{JoinRef: refOf(texts[0]), Ref: refOf(texts[1]), Topic: texts[2], Event: "broadcast"}
		return m, m.wrap(texts[3], frame[6], data)
	}
	return Message{}, ErrFrame
}

// split reads the texts of a binary frame: head bytes, the first of which are their lengths, then n texts.
func split(frame []byte, head, n int) (texts [5]string, data []byte, err error) {
	if len(frame) < head {
		return texts, nil, ErrFrame
	}
	rest := frame[head:]
	for i := range n {
		size := int(frame[i])
		if size > len(rest) {
			return texts, nil, ErrFrame
		}
		if texts[i] = string(rest[:size]); !utf8.ValidString(texts[i]) {
			return texts, nil, ErrUTF8
		}
		rest = rest[size:]
	}
	return texts, rest, nil
}

// refOf is a ref of a binary frame as JSON.
func refOf(text string) string {
	if text == "" {
		return None
	}
	return string(quote(nil, text))
}

// wrap makes the payload of Supabase's broadcast: {"type":"broadcast","event":E,"payload":P}.
func (m *Message) wrap(event string, encoding byte, data []byte) error {
	b := quote([]byte(`{"type":"broadcast","event":`), event)
	if encoding != encodingJSON {
		m.Payload, m.Data = string(b)+"}", bytes.Clone(data)
		return nil
	}
	if !json.Valid(data) {
		return ErrFrame
	}
	if !utf8.Valid(data) {
		return ErrUTF8
	}
	m.Payload = string(append(append(append(b, `,"payload":`...), data...), '}'))
	return nil
}

// The protocol's own topic and events.
const (
	heartbeatTopic = "phoenix"
	heartbeatEvent = "heartbeat"
	joinEvent      = "phx_join"
	leaveEvent     = "phx_leave"
	ownEvents      = "phx_" // begins all of them but those of presence
)

// MaxJoins is how many topics a socket may have joined.
const MaxJoins = 128

// Meaning is what a message asks for.
type Meaning byte

// The meanings.
const (
	Nothing   Meaning = iota // it is of another join, or an event of the protocol that only servers send
	Heartbeat                // to be answered at once
	Join                     // also when the topic is joined: then the old join ends first
	TooMany                  // a join beyond MaxJoins
	Leave                    // of the topic's join
	LeaveNone                // of a topic that is not joined
	Event                    // for the handler
	BadEvent                 // its name is too long, or empty
	Unmatched                // of a topic that is not joined
)

// Meaning tells what a message asks for: joined tells whether its topic is, joinRef by which name, and joins how many
// topics are.
func (m *Message) Meaning(joined bool, joinRef string, joins int) Meaning {
	switch {
	case m.Topic == heartbeatTopic && m.Event == heartbeatEvent:
		return Heartbeat
	case m.Event == joinEvent && !joined && joins >= MaxJoins:
		return TooMany
	case m.Event == joinEvent:
		return Join
	case joined && m.JoinRef != None && m.JoinRef != joinRef:
		return Nothing
	case m.Event == leaveEvent && joined:
		return Leave
	case m.Event == leaveEvent:
		return LeaveNone
	case !joined:
		return Unmatched
	case Reserved(m.Event):
		return Nothing
	case len(m.Event) == 0 || len(m.Event) > naming.MaxBytes:
		return BadEvent
	}
	return Event
}

// Reserved tells whether an event is the protocol's own, which no app may send.
func Reserved(event string) bool {
	return strings.HasPrefix(event, ownEvents) || event == StateEvent || event == DiffEvent
}
