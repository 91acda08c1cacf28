package app

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	lua "github.com/yuin/gopher-lua"

	"rollcall/history"
	"rollcall/hub"
	"rollcall/ijson"
	"rollcall/luavm"
)

// Bounds of what a client says of where it was (SPEC 7).
const (
	maxResume          = 4 << 10 // bytes of the parameter
	maxResumePositions = 64
)

// resumeParameter is where a client that comes back says where it was: base64url of JSON {channel: position}.
const resumeParameter = "resume"

// resumeHeader is where the client of an event stream says it, in lower case: it gives back the id of the last event.
const resumeHeader = "last-event-id"

// readResume reads the parameter; its error says why it counts as absent.
func readResume(value string) (map[string]history.Position, error) {
	if len(value) > maxResume {
		return nil, fmt.Errorf("it has more than %d bytes", maxResume)
	}
	text, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(value, "="))
	if err != nil {
		return nil, errors.New("it is not base64url")
	}
	every := func(*jsontext.Decoder, jsontext.Token) error { return nil }
	var said map[string]string
	if ijson.Walk(text, 1, every) != nil || json.Unmarshal(text, &said) != nil || said == nil {
		return nil, errors.New("it is no JSON object of texts")
	}
	if len(said) > maxResumePositions {
		return nil, fmt.Errorf("it has more than %d channels", maxResumePositions)
	}
	out := make(map[string]history.Position, len(said))
	for channel, text := range said {
		if err := hub.CheckChannel(channel); err != nil {
			return nil, err
		}
		p, ok := history.ParsePosition(text)
		if !ok {
			return nil, fmt.Errorf("%q is no position", text)
		}
		out[channel] = p
	}
	return out, nil
}

// resume reads where the client was, on a route with resume = true.
func (c *eventConn) resume() map[string]history.Position {
	if !c.route.Options.Resume {
		return nil
	}
	var value string
	take := func(wanted string) func(name, v string) {
		return func(name, v string) {
			if name == wanted && v != "" {
				value = v
			}
		}
	}
	c.req.query.each(take(resumeParameter))
	if c.route.Method == MethodSSE {
		c.req.headers.each(take(resumeHeader)) // which a browser sends when it comes back by itself
	}
	if value == "" {
		return nil
	}
	positions, err := readResume(value)
	if err != nil {
		c.log().Info("resume parameter is not readable", "error", err)
	}
	c.whereabouts.begin(positions)
	return positions
}

// resumeTable is event.resume.
func resumeTable(positions map[string]history.Position) *lua.LTable {
	o := luavm.NewObject(len(positions))
	for channel, p := range positions {
		o.Set(channel, lua.LString(p.String()))
	}
	return o.Table()
}
