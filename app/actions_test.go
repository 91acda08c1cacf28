package app

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"rollcall/hub"
)

// short writes an action in one line.
func short(a hub.Action) string {
	s := a.Kind.String()
	if a.Channel != "" {
		s += " #" + a.Channel
	}
	if a.UserID != "" {
		s += " @" + a.UserID
	}
	names := make([]string, 0, len(a.Fields))
	for name := range a.Fields {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		s += fmt.Sprintf(" %s=%s", name, a.Fields[name])
	}
	switch {
	case a.Value.JSON:
		s += " json:" + a.Value.Text
	case a.Value.Text != "":
		s += " text:" + a.Value.Text
	}
	if a.Trusted {
		s += " trusted"
	}
	if a.Code != 0 {
		s += fmt.Sprintf(" code=%d", a.Code)
	}
	if a.Reason != "" {
		s += " reason=" + a.Reason
	}
	if a.Since != nil {
		s += " since " + a.Since.String()
	}
	if a.Kind == hub.ActionHistory {
		s += fmt.Sprint(" limit ", a.Query.Limit)
	}
	if a.Query.Before != nil {
		s += " before " + a.Query.Before.String()
	}
	if a.Value.Transient {
		s += " transient"
	}
	return s
}

// SPEC 1.2: "Actions of one return run one after another in the order of this table … an array of action tables runs in
// the array's order. Values that are not strings are JSON-encoded."
func TestReadActions(t *testing.T) {
	long := strings.Repeat("c", 255)
	tests := []struct{ name, source, want string }{
		{"nil", `nil`, ""},
		{"json.null is nil", `json.null`, ""},
		{"nothing returned", `local x = 1`, ""},
		{"empty table", `{}`, ""},
		{"one", `{join = "a"}`, "join #a"},
		{"array of channels", `{join = {"a", "b"}}`, "join #a|join #b"},
		{"join since", `{join = {channel = "a", since = "17-2"}}`, "join #a since 17-2"},
		{"join since null", `{join = {channel = "a", since = json.null}}`, "join #a"},
		{"join since text", `{join = {channel = "a", since = "x"}}`, "join #a since 0-9223372036854775807"},
		{"join some since", `{join = {"a", {channel = "b", since = "1-0"}, {channel = "c"}}}`, "join #a|join #b since 1-0|join #c"},
		{"history", `{history = "a", send_presence = "p", broadcast = "b"}`, "send_presence #p|history #a limit 100|broadcast text:b"},
		{"history before", `{history = {channel = "a", limit = 7, before = "17-2"}}`, "history #a limit 7 before 17-2"},
		{"transient", `{broadcast_room = {channel = "a", message = "m", transient = true}}`, "broadcast_room #a text:m transient"},
		{"not transient", `{broadcast_room = {channel = "a", message = "m", transient = false}}`, "broadcast_room #a text:m"},
		{"no channels", `{join = {}, leave = json.array({})}`, ""},
		{"longest channel", `{join = "` + long + `"}`, "join #" + long},
		{"the table's order", `{close = "bye", after = {name = "t", ms = 100}, broadcast = "all", broadcast_channel = {channel = "x", message = "m"}, broadcast_room = "r",
			send_presence = "p", send = "s", set_presence = {channel = "c", state = "away"}, track = {channel = "c", user_id = "u"},
			untrack = "d", join = "j", leave = "l"}`,
			"leave #l|join #j|untrack #d|track #c @u|set_presence #c state=\"away\"|send text:s|send_presence #p|broadcast_room text:r|broadcast_channel #x text:m|broadcast text:all|after|close reason=bye"},
		{"the array's order", `{{send = "1"}, {join = "a", leave = "b"}, {send = "2"}}`,
			"send text:1|leave #b|join #a|send text:2"},
		{"empty tables in an array", `{{}, {send = "1"}}`, "send text:1"},
		{"close runs last", `{{close = "x"}, {send = "bye"}}`, "send text:bye|close reason=x"},
		{"the first close counts", `{{close = "x"}, {close = {code = 4000, reason = "y"}}}`, "close reason=x"},
		{"close with a code", `{close = {code = 4001, reason = "kicked"}}`, "close code=4001 reason=kicked"},
		{"send a table", `{send = {a = 1}}`, `send json:{"a":1}`},
		{"send an empty table", `{send = {}}`, `send json:{}`},
		{"send an array", `{send = {1, 2}}`, `send json:[1,2]`},
		{"send a number", `{send = 4}`, `send json:4`},
		{"send false", `{send = false}`, `send json:false`},
		{"send null", `{send = json.null}`, `send json:null`},
		{"send an empty string", `{send = ""}`, `send`},
		{"track with metadata", `{track = {channel = "c", user_id = "u", name = "N", tags = {"x"}, state = "busy"}}`,
			`track #c @u name="N" state="busy" tags=["x"]`},
		{"track a number", `{track = {channel = "c", user_id = 42}}`, "track #c @42"},
		{"track the largest number", `{track = {channel = "c", user_id = 9007199254740991}}`, "track #c @9007199254740991"},
		{"track a negative number", `{track = {channel = "c", user_id = -9007199254740991}}`, "track #c @-9007199254740991"},
		{"track two", `{track = {{channel = "a", user_id = "u"}, {channel = "b", user_id = "v"}}}`,
			"track #a @u|track #b @v"},
		{"track none", `{track = {}}`, ""},
		{"own fields are ignored", `{track = {channel = "c", user_id = "u", phx_ref = "x", connection_id = "y", online_at = 1, z = 1}}`, "track #c @u z=1"},
		{"set_presence deletes by null", `{set_presence = {channel = "c", x = json.null}}`, "set_presence #c x=null"},
		{"set_presence twice", `{set_presence = {{channel = "a", state = "x"}, {channel = "b"}}}`,
			`set_presence #a state="x"|set_presence #b`},
		{"broadcast_room with a channel", `{broadcast_room = {channel = "c", message = {1}}}`, "broadcast_room #c json:[1]"},
		{"broadcast_room of a table", `{broadcast_room = {channel = "c", text = "x"}}`,
			`broadcast_room json:{"channel":"c","text":"x"}`},
		{"broadcast_room with one key more", `{broadcast_room = {channel = "c", message = "x", at = 1}}`,
			`broadcast_room json:{"channel":"c","message":"x","at":1}`},
		{"broadcast_channel of null", `{broadcast_channel = {channel = "c", message = json.null}}`,
			"broadcast_channel #c json:null"},
		{"trusted to a channel", `{broadcast_channel = {channel = "c", message = "m", trusted = true}}`,
			"broadcast_channel #c text:m trusted"},
		{"trusted to a room", `{broadcast_room = {channel = "c", message = "m", trusted = true}}`,
			"broadcast_room #c text:m trusted"},
		{"trusted to the newest room", `{broadcast_room = {message = {1}, trusted = true}}`,
			"broadcast_room json:[1] trusted"},
		{"trusted to all", `{broadcast = {message = json.null, trusted = true}}`, "broadcast json:null trusted"},
		{"not trusted", `{broadcast = {message = "m", trusted = false}}`, "broadcast text:m"},
		{"a message of its own", `{broadcast = {message = "m"}, broadcast_room = {trusted = true}}`,
			`broadcast_room json:{"trusted":true}|broadcast json:{"message":"m"}`},
		{"broadcast has no channel", `{broadcast = {channel = "c", message = "m", trusted = true}}`,
			`broadcast json:{"channel":"c","message":"m","trusted":true}`},
		{"one key more than trusted", `{broadcast = {message = "m", trusted = true, at = 1}}`,
			`broadcast json:{"message":"m","trusted":true,"at":1}`},
		// What clients send is never trusted, however it is written.
		{"decoded, to all", `{broadcast = json.decode('{"message":"m","trusted":true}')}`,
			`broadcast json:{"message":"m","trusted":true}`},
		{"decoded, to a room", `{broadcast_room = json.decode('{"channel":"c","message":"m","trusted":true}')}`,
			`broadcast_room json:{"channel":"c","message":"m","trusted":true}`},
		{"decoded, without options", `{broadcast_room = json.decode('{"channel":"c","message":"m"}')}`,
			"broadcast_room #c text:m"},
		{"a decoded message", `{broadcast = {message = json.decode('{"trusted":true}'), trusted = true}}`,
			`broadcast json:{"trusted":true} trusted`},
		{"send_presence of two", `{send_presence = {"a", "b"}}`, "send_presence #a|send_presence #b"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, v := eval(t, tt.source)
			r := actionReader{limit: 1 << 20}
			if err := r.read(v); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, a := range r.actions {
				got = append(got, short(a))
			}
			if strings.Join(got, "|") != tt.want {
				t.Fatalf("got  %s\nwant %s", strings.Join(got, "|"), tt.want)
			}
		})
	}
}

// SPEC 1.2: "An unknown key or a wrong type: … the error is logged"; SPEC 6: "A return is validated whole before
// anything runs", "Two-field forms … are keyed, with exactly these keys".
func TestBadActions(t *testing.T) {
	tests := []struct{ name, source, want string }{
		{"a string", `"hello"`, `a handler must return a table of actions or nil, not the string "hello"`},
		{"a number", `7`, "not the number 7"},
		{"true", `true`, "not true"},
		{"a function", `print`, "not a function"},
		{"unknown key", `{sned = "x"}`, `unknown action "sned"`},
		{"unknown key beside a good one", `{send = "x", brodcast = "y"}`, `unknown action "brodcast"`},
		{"number as key", `{[2] = {send = "x"}}`, "has names as keys, not the number 2"},
		{"array and names", `{{send = "x"}, send = "y"}`, "must be an array, but it has the key \"send\""},
		{"array of strings", `{"send"}`, `element 1 of the returned array must be a table of actions, not the string "send"`},
		{"mistake in the second", `{{send = "x"}, {sned = "y"}}`, `element 2 of the returned array: unknown action "sned"`},
		{"join a number", `{join = 5}`, "join: the channel must be a string, not the number 5"},
		{"join true", `{join = true}`, "join: the channel must be a string, not true"},
		{"join empty", `{join = ""}`, "join: a channel name must be 1 to 255 bytes"},
		{"join too long", `{join = string.rep("c", 256)}`, "join: a channel name must be 1 to 255 bytes"},
		{"join control character", `{join = "a\nb"}`, "without control characters"},
		{"join no UTF-8", `{join = "a\255"}`, "join: a channel name must be"},
		{"join keyed", `{join = {room = "a"}}`, `join: must be a channel, an array of such, or a table with channel and since, not a table`},
		{"join since a number", `{join = {channel = "a", since = 1}}`, "join: a position must be a string, not the number 1"},
		{"join since of no channel", `{join = {since = "1-1"}}`, "join: the channel must be a string, not nil"},
		{"leave keyed", `{leave = {channel = "a"}}`, `leave: must be an array, but it has the key "channel"`},
		{"history of too many", `{history = {channel = "a", limit = 1001}}`, "history: limit must be a whole number from 1 to 1000"},
		{"history since", `{history = {channel = "a", since = "1-1"}}`, "history: must be a table with channel, and limit"},
		{"history of an array", `{history = {"a"}}`, "history: must be a table with channel, and limit"},
		{"join null", `{join = json.null}`, "join: the channel must be a string, not a userdata"},
		{"leave a table in an array", `{leave = {"a", {}}}`, "leave: the channel must be a string, not a table"},
		{"untrack a number", `{untrack = 1}`, "untrack: the channel must be a string"},
		{"send_presence a number", `{send_presence = 1}`, "send_presence: the channel must be a string"},
		{"track a string", `{track = "a"}`, `track: must be a table with a channel, or an array of such, not the string "a"`},
		{"track without channel", `{track = {user_id = "u"}}`, "track: the channel must be a string, not nil"},
		{"track without user", `{track = {channel = "c"}}`, "track: user_id must be a string or a number, not nil"},
		{"track an empty user", `{track = {channel = "c", user_id = ""}}`, "track: user_id must be 1 to 255 bytes"},
		{"track a user too long", `{track = {channel = "c", user_id = string.rep("u", 256)}}`,
			"track: user_id must be 1 to 255 bytes"},
		{"track a table as user", `{track = {channel = "c", user_id = {}}}`,
			"track: user_id must be a string or a number, not a table"},
		{"track NaN", `{track = {channel = "c", user_id = 0/0}}`,
			"track: a user_id that is a number must be whole and between -2^53 and 2^53, not nan; pass it as a string"},
		{"track infinity", `{track = {channel = "c", user_id = 1/0}}`, "track: a user_id that is a number must be whole"},
		{"track a fraction", `{track = {channel = "c", user_id = 1.5}}`,
			"track: a user_id that is a number must be whole and between -2^53 and 2^53, not 1.5; pass it as a string"},
		// SPEC 6
		{"track 2^53", `{track = {channel = "c", user_id = 9007199254740993}}`, "must be whole and between -2^53 and 2^53"},
		{"track -2^53", `{track = {channel = "c", user_id = -9007199254740992}}`, "must be whole and between -2^53 and 2^53"},
		{"track 1e300", `{track = {channel = "c", user_id = 1e300}}`, "must be whole and between -2^53 and 2^53"},
		{"track a function", `{track = {channel = "c", user_id = "u", f = print}}`, `track: field "f": `},
		{"track with a number as key", `{track = {channel = "c", user_id = "u", [7] = 1}}`,
			"track: metadata has names as keys"},
		{"track a bad second", `{track = {{channel = "c", user_id = "u"}, {channel = "c"}}}`, "track: element 2: user_id"},
		{"track array of strings", `{track = {"c"}}`, `track: element 1 must be a table with a channel`},
		{"set_presence without channel", `{set_presence = {state = "x"}}`,
			"set_presence: the channel must be a string, not nil"},
		{"set_presence a string", `{set_presence = "away"}`, "set_presence: must be a table with a channel"},
		{"send a function", `{send = print}`, "send: "},
		{"send a cycle", `local t = {} t.t = t return {send = t}`, "send: "},
		{"send NaN", `{send = {0/0}}`, "send: "},
		{"send no UTF-8", `{send = "\255"}`, "send: the string is not UTF-8"},
		{"broadcast a coroutine", `{broadcast = coroutine.create(function() end)}`, "broadcast: "},
		{"broadcast_channel a string", `{broadcast_channel = "x"}`,
			"broadcast_channel: must be a table with exactly channel and message"},
		{"broadcast_channel without message", `{broadcast_channel = {channel = "x"}}`,
			"broadcast_channel: must be a table with exactly channel and message"},
		{"broadcast_channel by position", `{broadcast_channel = {"x", "m"}}`,
			"broadcast_channel: must be a table with exactly channel and message"},
		{"broadcast_channel with one key more", `{broadcast_channel = {channel = "x", message = "m", to = 1}}`,
			"broadcast_channel: must be a table with exactly"},
		{"broadcast_channel without channel", `{broadcast_channel = {message = "m", trusted = true}}`,
			"broadcast_channel: must be a table with exactly"},
		{"broadcast_channel of JSON", `{broadcast_channel = json.decode('{"channel":"x","message":"m","trusted":true}')}`,
			"broadcast_channel: must be a table with exactly"},
		{"actions of JSON", `return json.decode('{"broadcast_channel":{"channel":"x","message":"m","trusted":true}}')`,
			"broadcast_channel: must be a table with exactly"},
		{"trusted by text", `{broadcast_channel = {channel = "x", message = "m", trusted = "true"}}`,
			`broadcast_channel: trusted must be true or false, not the string "true"`},
		{"trusted by a number", `{broadcast = {message = "m", trusted = 1}}`, "broadcast: trusted must be true or false"},
		{"transient by a number", `{broadcast_channel = {channel = "x", message = "m", transient = 1}}`,
			"broadcast_channel: transient must be true or false"},
		{"kept is no option", `{broadcast_channel = {channel = "x", message = "m", kept = true}}`,
			"broadcast_channel: must be a table with exactly"},
		{"broadcast_channel to a number", `{broadcast_channel = {channel = 1, message = "m"}}`,
			"broadcast_channel: the channel must be a string"},
		{"broadcast_room to a bad channel", `{broadcast_room = {channel = "", message = "m"}}`,
			"broadcast_room: a channel name must be"},
		{"close true", `{close = true}`, "close: must be a reason, or a table with code and reason, not true"},
		{"close a number", `{close = 4000}`, "close: must be a reason"},
		{"close without reason", `{close = {code = 4000}}`, "close: must be a reason, or a table with exactly code"},
		{"close with one key more", `{close = {code = 4000, reason = "x", now = true}}`,
			"close: must be a reason, or a table with exactly code"},
		{"close with a fraction", `{close = {code = 4000.5, reason = "x"}}`, "close: the code must be a whole number"},
		{"close with a reserved code", `{close = {code = 1006, reason = "x"}}`,
			"close: 1006 is no close code that may be sent"},
		{"close with a low code", `{close = {code = 7, reason = "x"}}`, "close: 7 is no close code"},
		{"send a table with no UTF-8", `{send = {m = {"\255"}}}`, "send: a string in it is not UTF-8"},
		{"broadcast a key that is no UTF-8", `{broadcast = {["\255"] = 1}}`, "broadcast: a string in it is not UTF-8"},
		{"broadcast_channel no UTF-8", `{broadcast_channel = {channel = "c", message = {"\255"}}}`,
			"a string in it is not UTF-8"},
		{"broadcast_room no UTF-8", `{broadcast_room = {channel = "c", message = {"\255"}}}`, "a string in it is not UTF-8"},
		{"track no UTF-8", `{track = {channel = "c", user_id = "u", m = "\255"}}`, `field "m": a string in it is not UTF-8`},
		{"set_presence no UTF-8", `{set_presence = {channel = "c", m = {"\255"}}}`, `field "m": a string in it is not UTF-8`},
		{"close no UTF-8", `{close = "\255"}`, "close: the string is not UTF-8"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, v := eval(t, tt.source)
			r := actionReader{limit: 1 << 20}
			if err := r.read(v); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v, want %q", err, tt.want)
			}
		})
	}
}

// SPEC 6: "phx_ref, connection_id and online_at in input are ignored and logged."
func TestIgnoredFieldsAreNoted(t *testing.T) {
	_, v := eval(t, `{track = {channel = "c", user_id = "u", phx_ref = "x"}, set_presence = {channel = "c", user_id = "v"}}`)
	r := actionReader{limit: 1 << 20}
	if err := r.read(v); err != nil {
		t.Fatal(err)
	}
	if want := []string{`track: the field "phx_ref" is ignored`,
		`set_presence: the field "user_id" is ignored`}; !slices.Equal(r.notes, want) {
		t.Fatalf("notes %q, want %q", r.notes, want)
	}
}
