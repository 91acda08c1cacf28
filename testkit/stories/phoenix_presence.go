package stories

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"rollcall/testkit/nodetest"
)

// byRefs are the metas of a half of a presence frame, by user: "ref:state", and the refs before.
type byRefs map[string]struct {
	Metas []struct {
		Ref   string `json:"phx_ref"`
		Prev  string `json:"phx_ref_prev"`
		State string `json:"state"`
		Conn  string `json:"connection_id"`
	} `json:"metas"`
}

// presenceOf reads [join_ref,null,topic,event,payload]; both halves of a diff must be there.
func (s *story) presenceOf(c *nodetest.Client, joinRef, topic, event string) (state, joins, leaves byRefs) {
	s.Helper()
	text := c.Next()
	var f []json.RawMessage
	if err := json.Unmarshal([]byte(text), &f); err != nil || len(f) != 5 || string(f[0]) != `"`+joinRef+`"` ||
		string(f[1]) != "null" || string(f[2]) != `"`+topic+`"` || string(f[3]) != `"`+event+`"` {
		s.Fatalf("got %s, want %s for %s", text, event, joinRef)
	}
	if event == "presence_state" {
		s.decode(string(f[4]), &state)
		return state, nil, nil
	}
	var diff struct{ Joins, Leaves byRefs }
	s.decode(string(f[4]), &diff)
	if diff.Joins == nil || diff.Leaves == nil {
		s.Fatalf("a half is missing: %s", text)
	}
	return nil, diff.Joins, diff.Leaves
}

func (s *story) phoenixPresence() {
	room := "room:" + s.name("1")
	w := s.phoenix(0)
	s.joinTopic(w, "w", room, `{}`) // never asks, and hears nothing of presence
	silent := s.phoenix(0)
	s.joinTopic(silent, "s", room, `{}`)
	w.Send(`["w","1","` + room + `","x",{"returns":{"send_presence":true}}]`)
	if state, _, _ := s.presenceOf(w, "w", room, "presence_state"); state == nil || len(state) != 0 {
		s.Fatalf("an empty channel has %v", state)
	}
	plain := s.events(1)
	plain.Act(fmt.Sprintf(`{"join":%q}`, room))

	a := s.phoenix(2)
	s.joinTopic(a, "a", room, `{"track":{"user_id":"ann","state":"here"}}`)
	state, _, _ := s.presenceOf(a, "a", room, "presence_state")
	_, joins, leaves := s.presenceOf(w, "w", room, "presence_diff")
	ref := joins["ann"].Metas[0].Ref
	if len(leaves) != 0 || state["ann"].Metas[0].Ref != ref || joins["ann"].Metas[0].State != "here" ||
		joins["ann"].Metas[0].Prev != "" {
		s.Fatalf("joins %v leaves %v state %v", joins, leaves, state)
	}
	frame := plain.Next()
	tracking, _, _ := strings.Cut(ref, ".")
	s.contains(frame, `"phx_ref":"`+tracking+`"`)

	// an update is a new ref in joins, and the old one in leaves; also for the one who caused it
	a.Send(`["a","2","` + room + `","x",{"returns":{"set_presence":{"state":"away"}}}]`)
	for joinRef, c := range map[string]*nodetest.Client{"w": w, "a": a} {
		_, joins, leaves = s.presenceOf(c, joinRef, room, "presence_diff")
		if m := joins["ann"].Metas; len(m) != 1 || m[0].State != "away" || m[0].Prev != ref || m[0].Ref == ref ||
			len(leaves["ann"].Metas) != 1 || leaves["ann"].Metas[0].Ref != ref || leaves["ann"].Metas[0].State != "here" {
			s.Fatalf("joins %v leaves %v", joins, leaves)
		}
	}
	s.contains(plain.Next(), `"joins":{"ann":`, `"phx_ref":"`+tracking+`"`, `"leaves":{}`)
	// content that comes back has its old ref
	a.Send(`["a","3","` + room + `","x",{"returns":{"set_presence":{"state":"here"}}}]`)
	s.presenceOf(a, "a", room, "presence_diff")
	if _, joins, _ = s.presenceOf(w, "w", room, "presence_diff"); joins["ann"].Metas[0].Ref != ref {
		s.Fatalf("content that came back has %v, not %s", joins, ref)
	}
	plain.Next()

	// a second device is one ref in joins, its end one in leaves; plain clients see no change of users
	b := s.events(0)
	b.Act(fmt.Sprintf(`{"join":%q,"track":{"channel":%q,"user_id":"ann"}}`, room, room))
	_, joins, leaves = s.presenceOf(w, "w", room, "presence_diff")
	if len(joins["ann"].Metas) != 1 || len(leaves) != 0 {
		s.Fatalf("joins %v leaves %v", joins, leaves)
	}
	second := joins["ann"].Metas[0].Ref
	s.presenceOf(a, "a", room, "presence_diff") // before the end of it, which would cancel it out
	b.Leave(1000, "")
	_, joins, leaves = s.presenceOf(w, "w", room, "presence_diff")
	if len(joins) != 0 || len(leaves["ann"].Metas) != 1 || leaves["ann"].Metas[0].Ref != second {
		s.Fatalf("joins %v leaves %v", joins, leaves)
	}
	s.presenceOf(a, "a", room, "presence_diff")

	// a join that comes again hears nothing until it asks, and then a new ref
	a.Send(`["a2","a2","` + room + `","phx_join",{}]`)
	a.Expect(`["a","a","`+room+`","phx_close",{}]`, `["a2","a2","`+room+`","phx_reply",{"status":"ok","response":{}}]`)
	_, _, leaves = s.presenceOf(w, "w", room, "presence_diff")
	if len(leaves["ann"].Metas) != 1 {
		s.Fatalf("leaves %v", leaves)
	}
	s.contains(plain.Next(), `"leaves":{"ann":`)
	a.Send(`["a2","4","` + room + `","x",{"returns":{"track":{"user_id":"ann"}}}]`)
	state, _, _ = s.presenceOf(a, "a2", room, "presence_state")
	if m := state["ann"].Metas; len(m) != 1 || strings.HasPrefix(m[0].Ref, tracking) {
		s.Fatalf("state %v after %s", state, tracking)
	}
	silent.Send(`["s","9","` + room + `","x",{"returns":{"reply":"nothing came"}}]`)
	silent.Expect(`["s","9","` + room + `","phx_reply",{"status":"ok","response":"nothing came"}]`)
}

func (s *story) phoenixEachUser() {
	room := "each:" + s.name("1")
	c := s.phoenix(0)
	s.joinTopic(c, "1", room, `{"send_presence":true}`)
	s.presenceOf(c, "1", room, "presence_state")
	both := s.events(1)
	both.Act(fmt.Sprintf(`{"track":{"channel":%q,"user_id":"ann"}}`, room))
	other := s.events(1)
	other.Act(fmt.Sprintf(`{"track":{"channel":%q,"user_id":"bob"}}`, room))
	seen := []string{}
	for range 2 {
		_, joins, _ := s.presenceOf(c, "1", room, "presence_diff")
		if len(joins) != 1 {
			s.Fatalf("a diff of %d users", len(joins))
		}
		for user := range joins {
			seen = append(seen, user)
		}
	}
	slices.Sort(seen)
	s.same("users", seen, "[ann bob]")
}
