package roster

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// meta writes a device as frames have it.
func meta(id string) string {
	return fmt.Sprintf(`{"phx_ref":"r%s","connection_id":"%s","state":"online","online_at":1}`, id, id)
}

// written writes "ann:1,2 bob:3": users and their devices.
func written(text string) string {
	var all []string
	for _, word := range strings.Fields(text) {
		user, ids, _ := strings.Cut(word, ":")
		var metas []string
		for id := range strings.SplitSeq(ids, ",") {
			metas = append(metas, meta(id))
		}
		all = append(all, fmt.Sprintf(`%q:{"metas":[%s]}`, user, strings.Join(metas, ",")))
	}
	return "{" + strings.Join(all, ",") + "}"
}

func state(all string) string {
	return `{"event":"presence_state","channel":"c","payload":` + written(all) + `}`
}

func diff(joins, leaves string) string {
	return `{"event":"presence_diff","channel":"c","payload":{"joins":` + written(joins) + `,"leaves":` + written(leaves) +
		`}}`
}

// byRefs makes a frame one for clients of Phoenix.
func byRefs(frame string) string {
	frame, _ = strings.CutPrefix(frame, `{"event":`)
	event, payload, _ := strings.Cut(frame, `,"channel":"c","payload":`)
	return `["1",null,"c",` + event + "," + strings.TrimSuffix(payload, "}") + "]"
}

// SPEC 1.2: "a client that replaces users on joins and deletes them on leaves is always right".
func TestRoster(t *testing.T) {
	for _, tt := range []struct {
		name         string
		frames       []string
		there        string // "ann:1,2 bob:3"
		told, faults string
	}{
		{"a state", []string{state("bob:2 ann:1,3")}, "ann:1,3 bob:2", "state", ""},
		{"a state replaces all", []string{state("ann:1"), state("bob:2")}, "bob:2", "state, state", ""},
		{"an empty state", []string{state("ann:1"), state("")}, "", "state, state", ""},
		{"joins, leaves", []string{state("ann:1"), diff("bob:2 cat:3", "ann:1")}, "bob:2 cat:3",
			"state, join bob, join cat, leave ann", ""},
		{"an update", []string{state("ann:1"), diff("ann:1,2", "")}, "ann:1,2", "state, update ann", ""},
		{"nothing new", []string{state("ann:1"), diff("ann:1", "")}, "ann:1", "state",
			"ann was told again, with nothing new"},
		{"a leave of nobody", []string{state(""), diff("", "ann:1")}, "", "state, leave ann",
			"ann leaves, who was not there"},
		{"without a state nobody need be known", []string{diff("bob:2", "ann:1")}, "bob:2", "join bob, leave ann", ""},
		{"both halves", []string{state("ann:1"), diff("ann:2", "ann:1")}, "", "state, update ann, leave ann",
			"ann in both halves of a diff"},
		{"an empty diff", []string{diff("", "")}, "", "", "an empty presence_diff"},
		{"no metas", []string{`{"event":"presence_state","channel":"c","payload":{"ann":{"metas":[]}}}`}, "ann:", "state",
			"ann without metas"},
		{"half a meta", []string{`{"event":"presence_state","channel":"c","payload":{"ann":{"metas":[{"connection_id":"1"}]}}}`}, "ann:1", "state", `ann has the meta {"connection_id":"1"}`},
		{"a half is missing", []string{`{"event":"presence_diff","channel":"c","payload":{"joins":{}}}`}, "", "",
			`presence_diff with payload {"joins":{}}`},
		{"no payload", []string{state("ann:1"), `{"event":"presence_state","channel":"c","payload":[]}`}, "ann:1", "state",
			"presence_state with payload []"},

		{"by refs: devices come and go", []string{byRefs(state("ann:1")), byRefs(diff("ann:2 bob:3", "")),
			byRefs(diff("", "ann:1 bob:3"))}, "ann:2", "state, update ann, join bob, update ann, leave bob", ""},
		{"by refs: a new one for an old one", []string{byRefs(state("ann:1,2")), byRefs(diff("ann:3", "ann:1"))},
			"ann:2,3", "state, update ann", ""},
		{"by refs: other text", []string{byRefs(state("ann:1")),
			strings.ReplaceAll(byRefs(state("ann:1 bob:2")), `"online"`, `"away"`)}, "ann:1 bob:2",
			"state, state", "ann changed under the ref r1"},
		{"by refs: again", []string{byRefs(state("ann:1")), byRefs(diff("ann:1", ""))}, "ann:1", "state, update ann",
			"ann was told again, by the ref r1"},
		{"by refs: a stranger", []string{byRefs(state("ann:1")), byRefs(diff("", "ann:2"))}, "ann:1", "state, update ann",
			"ann leaves by the ref r2, which was not there"},
		{"by refs: both halves", []string{byRefs(state("")), byRefs(diff("ann:1", "ann:1"))}, "", "state, leave ann",
			"ann in both halves of a diff, by the ref r1"},
		{"object frames of Phoenix", []string{strings.ReplaceAll(state("ann:1"), `"channel"`, `"topic"`),
			strings.ReplaceAll(diff("ann:2", ""), `"channel"`, `"topic"`)}, "ann:1,2", "state, update ann", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var r Roster
			var told, faults []string
			for _, text := range tt.frames {
				f, wrong := Read([]byte(text))
				if f == nil || f.Channel != "c" {
					t.Fatalf("%s is read as %v", text, f)
				}
				news, more := r.Take(f)
				told = append(told, news...)
				for _, fault := range append(wrong, more...) {
					faults = append(faults, fault.String())
				}
			}
			var there []string
			for _, user := range slices.Sorted(maps.Keys(r.Users)) {
				var ids []string
				for _, m := range r.Users[user] {
					ids = append(ids, m.ConnectionID)
				}
				there = append(there, user+":"+strings.Join(ids, ","))
			}
			if got := strings.Join(there, " "); got != tt.there {
				t.Errorf("there are %q, want %q", got, tt.there)
			}
			if got := strings.Join(told, ", "); got != tt.told {
				t.Errorf("told %q, want %q", got, tt.told)
			}
			if got := strings.Join(faults, ", "); got != tt.faults {
				t.Errorf("faults %q, want %q", got, tt.faults)
			}
		})
	}
}

func TestOtherFrames(t *testing.T) {
	for _, text := range []string{"", "text", "{", `{"event":"message"}`, `{"event":{"a":1}}`, `[1]`,
		`["1",null,7,"presence_state",{}]`, `[null,null,"c","presence_stat",{}]`,
		`{"type":"presence","event":{}}`} {
		if f, faults := Read([]byte(text)); f != nil || faults != nil {
			t.Errorf("%q is read as %v, %v", text, f, faults)
		}
	}
}
