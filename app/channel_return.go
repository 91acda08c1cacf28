package app

import (
	"errors"
	"fmt"

	lua "github.com/yuin/gopher-lua"

	"rollcall/hub"
	"rollcall/luavm"
	"rollcall/phoenix"
)

// returnKind is whose return an actionReader reads.
type returnKind byte

const (
	eventReturn   returnKind = iota // of handlers of router_websocket
	channelReturn                   // of router_channel
	connectReturn                   // of router_socket
)

// ownActions are keys of a returned table beside actionKinds.
var ownActions = [...][]string{channelReturn: {"reply", "error", "leave"}, connectReturn: {"error"}}

// has tells whether an action may be in a return, with the meaning that it has for event handlers.
func (k returnKind) has(kind hub.ActionKind) bool {
	switch k {
	case channelReturn: // only clients join a topic
		switch kind {
		case hub.ActionIdentify, hub.ActionJoin, hub.ActionLeave, hub.ActionWatch, hub.ActionUnwatch, hub.ActionHistory:
			return false
		}
	case connectReturn: // nobody is connected yet
		return kind == hub.ActionClose
	}
	return true
}

// names are the keys that a returned table may have.
func (k returnKind) names() (names []string) {
	for _, kind := range actionKinds {
		if k.has(kind) {
			names = append(names, kind.String())
		}
	}
	return append(names, ownActions[k]...)
}

// readOwn reads what the return of an event handler has not; false: it is none of these.
func (r *actionReader) readOwn(k, v lua.LValue) (own bool, err error) {
	switch {
	case r.of == eventReturn:
		return false, nil
	case k == lua.LString("error"):
		return true, r.readError(v)
	case r.of == channelReturn && k == lua.LString("reply"):
		return true, r.readReply(v)
	case r.of == channelReturn && k == lua.LString("leave"):
		r.leaves = true
		return true, mustBeTrue(v)
	}
	return false, nil
}

var errTwoReplies = errors.New("there is one reply or error in a return at most")

func (r *actionReader) setReply(a reply) error {
	if r.reply.status != "" {
		return errTwoReplies
	}
	r.reply = a
	return nil
}

// readReply reads any value. A string may be bytes, for a reply to bytes.
func (r *actionReader) readReply(v lua.LValue) error {
	if s, ok := v.(lua.LString); ok {
		if len(s) > r.limit {
			return fmt.Errorf("the reply has more than %d bytes", r.limit)
		}
		return r.setReply(reply{status: phoenix.OK, bytes: []byte(s)})
	}
	text, err := luavm.EncodeText(v, r.limit)
	if err != nil {
		return err
	}
	return r.setReply(reply{status: phoenix.OK, response: string(text)})
}

// readError reads an object, or a string for {"reason":…}.
func (r *actionReader) readError(v lua.LValue) error {
	if s, ok := v.(lua.LString); ok {
		value, err := r.plainValue(s)
		if err != nil {
			return err
		}
		return r.setReply(reply{status: phoenix.Error, response: reasonJSON(value.Text)})
	}
	if _, ok := v.(*lua.LTable); !ok {
		return fmt.Errorf("must be a table or a string, not %s", describe(v))
	}
	text, err := luavm.EncodeText(v, r.limit)
	if err != nil {
		return err
	}
	return r.setReply(reply{status: phoenix.Error, response: string(text)})
}

func mustBeTrue(v lua.LValue) error {
	if v != lua.LTrue {
		return fmt.Errorf("must be true, not %s", describe(v))
	}
	return nil
}

// trackedIn is the channel of track and set_presence; in a topic's handler it is the topic, and need not be named.
func (r *actionReader) trackedIn(v lua.LValue) (string, error) {
	if r.of == channelReturn && v == lua.LNil {
		return r.topic, nil
	}
	channel, err := channelOf(v)
	if err == nil && r.of == channelReturn && channel != r.topic {
		err = fmt.Errorf("channel is the topic, %q, and need not be named", r.topic)
	}
	return channel, err
}

// namedValue marks a value {event, payload}: on its way its event is found without reading it.
func namedValue(v hub.Value) (hub.Value, error) {
	event, payload, ok := (phoenix.Value{Text: v.Text, JSON: v.JSON}).Split()
	if !ok {
		return v, nil
	}
	if name := phoenix.Unquote(event); phoenix.Reserved(name) {
		return v, fmt.Errorf("the event %q is the protocol's own", name)
	}
	if v.JSON {
		v.Text, v.Named = phoenix.Named(event, payload).Text, true
	}
	return v, nil
}
