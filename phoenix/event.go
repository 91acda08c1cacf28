package phoenix

import (
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"rollcall/naming"
)

// Value is a broadcast value: JSON text, or a string as it is.
type Value struct {
	Text string
	JSON bool
	// Named: Text is of the form that Named makes, so its event and payload are found without reading it.
	Named bool
}

// The texts around an event and its payload in a value of the form Named.
const (
	namedBegin  = `{"event":`
	namedMiddle = `,"payload":`
)

// Named is the value {"event":E,"payload":P}; event and payload are JSON.
func Named(event, payload string) Value {
	return Value{Text: namedBegin + event + namedMiddle + payload + "}", JSON: true, Named: true}
}

// messageEvent is the event, as JSON, under which values come that name none.
const messageEvent = `"message"`

// EventOf gives the event and the payload, a JSON object, under which a client of Phoenix gets a value: an object with
// exactly event (a string) and payload (an object) is that event; another object is the payload of the event message,
// and any other value V has {"data":V} there. A string that is JSON text of an object counts as that object. An event
// of the protocol's own is no event: nobody can forge it. event is JSON.
func (v Value) EventOf() (event, payload string) {
	if v.Named {
		end := len(namedBegin) + quotedLen(v.Text[len(namedBegin):])
		return v.Text[len(namedBegin):end], v.Text[end+len(namedMiddle) : len(v.Text)-1]
	}
	if e, p, ok := v.Split(); ok && !Reserved(Unquote(e)) {
		return e, p
	}
	text := v.Text
	if object, ok := compactObject(text); ok {
		return messageEvent, object
	}
	if !v.JSON {
		text = string(quote(nil, text))
	}
	return messageEvent, `{"data":` + text + `}`
}

// Split finds the event (JSON) and the payload of an object with exactly these, also when the event is reserved.
func (v Value) Split() (event, payload string, ok bool) {
	if !strings.Contains(v.Text, `"event"`) { // most of what has none
		return "", "", false
	}
	d := jsontext.NewDecoder(strings.NewReader(v.Text))
	if t, err := d.ReadToken(); err != nil || t.Kind() != '{' {
		return "", "", false
	}
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return "", "", false
		}
		value, kind := name.String(), d.PeekKind()
		raw, err := d.ReadValue()
		switch {
		case err != nil:
			return "", "", false
		case value == "event" && kind == '"':
			event = string(raw)
		case value == "payload" && kind == '{':
			if raw.Compact() != nil {
				return "", "", false
			}
			payload = string(raw)
		default:
			return "", "", false
		}
	}
	if _, err := d.ReadToken(); err != nil || event == "" || payload == "" || d.StackDepth() != 0 {
		return "", "", false
	}
	if !onlySpace(v.Text[d.InputOffset():]) {
		return "", "", false
	}
	n := len(Unquote(event))
	return event, payload, n > 0 && n <= naming.MaxBytes
}

// compactObject gives the text of a JSON object without white space; false: it is none.
func compactObject(text string) (object string, ok bool) {
	if !strings.HasPrefix(strings.TrimLeft(text, " \t\r\n"), "{") {
		return "", false
	}
	v := jsontext.Value(text)
	if v.Compact(jsontext.AllowDuplicateNames(true)) != nil {
		return "", false
	}
	return string(v), true
}

func onlySpace(s string) bool { return strings.Trim(s, " \t\r\n") == "" }

// quotedLen is the length of the JSON string that a text begins with.
func quotedLen(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(s)
}

// Unquote gives the text of a JSON string.
func Unquote(s string) string {
	b, _ := jsontext.AppendUnquote(nil, s) // it was read as JSON
	return string(b)
}
