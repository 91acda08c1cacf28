package chaos

import (
	"encoding/json"
	"strings"

	"rollcall/integration_test/chaos/history"
	"rollcall/testkit/nodetest"
	"rollcall/testkit/roster"
)

// hear takes a frame; the client's reader calls it.
func (d *device) hear(f nodetest.Frame) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.ends(f):
	case f.Channel != "":
		d.hearPresence(f)
	case strings.HasPrefix(f.Text, `{"reply":`):
		d.hearReply(f.Text)
	default:
		d.hearBroadcast([]byte(f.Text))
	}
}

// ends counts a frame; true: the connection is over.
func (d *device) ends(f nodetest.Frame) bool {
	d.frames++
	if f.Over && !d.over {
		d.over = true
		d.noteLocked(history.Event{Kind: history.Ended, Text: f.Text})
	}
	return d.over
}

// hearPresence notes what a frame told of presence, by the roster that took it.
func (d *device) hearPresence(f nodetest.Frame) {
	for _, fault := range f.Faults {
		switch fault.Kind {
		case roster.Again:
			d.noteLocked(history.Event{Kind: history.Again, Room: d.run.intern(f.Channel), User: d.run.intern(fault.User),
				Frame: d.frames})
		case roster.Malformed:
			d.noteLocked(history.Event{Kind: history.Absurd, Room: d.run.intern(f.Channel), Text: fault.String(),
				Frame: d.frames})
		case roster.Stranger: // of users the checker finds that itself
			if d.hist.Route == history.Phoenix {
				d.noteLocked(history.Event{Kind: history.Absurd, Room: d.run.intern(f.Channel), Text: fault.String(),
					Frame: d.frames})
			}
		}
	}
	for _, told := range f.Told {
		what, user, _ := strings.Cut(told, " ")
		e := history.Event{Room: d.run.intern(f.Channel), User: d.run.intern(user), Frame: d.frames}
		switch what {
		case "state":
			e.Kind, e.View = history.Whole, make(map[string]string, len(f.Users))
			for u, metas := range f.Users {
				e.View[d.run.intern(u)] = d.metas(metas)
			}
		case "join", "update":
			if e.Kind = history.Join; what == "update" {
				e.Kind = history.Update
			}
			e.Text = d.metas(f.Users[user])
		case "leave":
			e.Kind, e.Text = history.Leave, d.metas(f.Left[user])
		}
		if d.hist.Route == history.Script && e.Kind != history.Whole {
			e.Text = d.caused(f.Text)
		}
		d.noteLocked(e)
		switch {
		case e.Kind == history.Whole:
			d.confirm(e.Room, e.View[d.hist.User])
		case d.hist.Route == history.Phoenix && user == d.hist.User && e.Kind != history.Leave:
			d.confirm(e.Room, e.Text) // who tracks again in a topic is told by a diff
		}
	}
}

// caused reads the device that an event of a script is about.
func (d *device) caused(text string) string {
	var e struct {
		Event struct {
			Info struct {
				C string `json:"c"`
			} `json:"user_info"`
		} `json:"event"`
	}
	_ = json.Unmarshal([]byte(text), &e) // the roster has read it
	return d.run.intern(e.Event.Info.C)
}

// metas are a user's devices and states as views have them.
func (d *device) metas(metas []roster.Meta) string {
	devices := make([]string, len(metas))
	for i, m := range metas {
		devices[i] = deviceIn([]byte(m.All)) + "=" + m.State
	}
	return d.run.intern(history.Metas(devices))
}

// deviceIn reads the name of the device, which it gave as metadata.
func deviceIn(meta json.RawMessage) string {
	var m struct {
		C string `json:"c"`
	}
	_ = json.Unmarshal(meta, &m) // a missing name will not be the truth
	return m.C
}

// confirm notes that the device has been shown itself.
func (d *device) confirm(room, metas string) {
	if d.states[room] == "" || d.seen[room] {
		return
	}
	for _, one := range strings.Fields(metas) {
		if name, _, _ := strings.Cut(one, "="); name == d.labels[room] {
			d.seen[room] = true
			d.noteLocked(history.Event{Kind: history.Confirmed, Room: room})
		}
	}
}

// hearReply takes the list that a script asked for.
func (d *device) hearReply(text string) {
	var r struct {
		Reply   int
		Error   string
		Results []json.RawMessage
	}
	if json.Unmarshal([]byte(text), &r) != nil {
		return
	}
	room, ok := d.asked[r.Reply]
	if !ok {
		return
	}
	delete(d.asked, r.Reply)
	var list []struct {
		Info struct {
			C      string `json:"c"`
			State  string `json:"state"`
			UserID string `json:"user_id"`
		} `json:"user_info"`
	}
	if r.Error != "" || len(r.Results) != 1 || json.Unmarshal(r.Results[0], &list) != nil {
		return // asked again by doubt
	}
	devices := map[string][]string{}
	for _, one := range list {
		devices[one.Info.UserID] = append(devices[one.Info.UserID], one.Info.C+"="+one.Info.State)
	}
	d.noteLocked(history.Event{Kind: history.Whole, Room: d.run.intern(room), View: d.run.view(devices), Frame: d.frames})
	d.confirm(room, d.views[room].Users[d.hist.User])
}

// hearBroadcast takes what a device said.
func (d *device) hearBroadcast(text []byte) {
	if s := sayingIn(text); s.Say != "" {
		d.noteLocked(history.Event{Kind: history.Heard, Room: d.run.intern(s.Room), Device: d.run.intern(s.Say), Number: s.N,
			Frame: d.frames})
	}
}

// saying is what a device says.
type saying struct {
	Say  string
	Room string
	N    int
}

// sayingIn finds it: as it is, as the test app's script passes it on, or under the payload of an event of Phoenix.
func sayingIn(text []byte) saying {
	var m struct {
		saying
		Type    string
		Event   json.RawMessage
		Payload json.RawMessage
	}
	if json.Unmarshal(text, &m) != nil {
		return saying{}
	}
	var e struct{ Data json.RawMessage }
	switch {
	case m.Type == "channel" && json.Unmarshal(m.Event, &e) == nil:
		return sayingIn(e.Data)
	case m.Payload != nil:
		return sayingIn(m.Payload)
	}
	return m.saying
}
