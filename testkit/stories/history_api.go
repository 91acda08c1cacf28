package stories

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"rollcall/testkit/nodetest"
)

func (s *story) historyAPI() {
	room := s.kept()
	path := "/_api/channels/" + url.PathEscape(room) + "/history"
	get := func(query string) (int, string) {
		s.Helper()
		return s.api("GET", 1, path+query, "")
	}
	status, answer := get("")
	s.same("empty", fmt.Sprint(status, s.field(answer, "messages"), seq(s.at(answer))), "200[]0")
	began := s.at(answer)
	var at []string
	for i := range 6 {
		at = append(at, s.at(s.posted(room, fmt.Sprintf(`{"message":%d}`, i))))
	}
	s.same("seq", seq(at[5]), "6")
	data := func(query string) string {
		s.Helper()
		status, answer := get(query)
		var page struct {
			Messages []struct{ Data any }
			Why      string
		}
		s.decode(answer, &page)
		out := fmt.Sprint(status, page.Why, " ")
		for _, m := range page.Messages {
			out += fmt.Sprint(m.Data)
		}
		return out
	}
	for query, want := range map[string]string{"": "200 12345", "?limit=2": "200 45", "?limit=2&reverse=true": "200 54",
		"?since=" + at[2]: "200 345", "?since=" + at[2] + "&limit=1": "200 3", "?before=" + at[2]: "200 1",
		"?since=" + at[1] + "&before=" + at[4] + "&reverse=true": "200 32", "?since=" + at[5]: "200 ",
		"?since=" + began: "410too_many ", "?since=1-3": "410fork ", "?since=1-77": "410unknown "} {
		s.same(query, data(query), want)
	}
	for _, query := range []string{"?since=x", "?before=7", "?since=1-", "?limit=0", "?limit=1001", "?limit=x",
		"?reverse=2", "?after=1-1"} {
		if status, answer := get(query); status != http.StatusUnprocessableEntity {
			s.Errorf("%s: %d %s", query, status, answer)
		}
	}
	for _, method := range []string{"GET", "DELETE"} {
		status, _ = s.api(method, 0, "/_api/channels/nothing/history", "")
		s.same(method+" without a history", status, http.StatusNotFound)
		status, answer = s.api(method, 0, "/_api/channels/a%00b/history", "")
		s.same(method+" of a bad name", fmt.Sprint(status, strings.Contains(answer, "path.channel")), "422 true")
	}
	status, _ = s.api("DELETE", 2, path, "")
	s.same("DELETE", status, http.StatusNoContent)
	status, answer = get("")
	s.same("then", fmt.Sprint(status, s.field(answer, "messages"), s.at(answer)), "200[]"+at[5])
	s.same("positions go on", seq(s.at(s.posted(room, `{"message":"next"}`))), "7")
	s.same("without a history there is no position", s.field(s.posted(s.name("not kept"), `{"message":1}`), "position"),
		"nothing")
}

func (s *story) historyOnce() {
	room := s.kept()
	c := s.resuming(2)
	s.joins(c, room)
	var first string
	for i := range 3 {
		answer := s.posted(room, `{"message":"once"}`, "Idempotency-Key: "+room)
		if i == 0 {
			first = s.at(answer)
		}
		s.same("position", s.at(answer), first)
	}
	batch := fmt.Sprintf(`{"broadcasts":[{"channel":%q,"message":"x"},{"channel":%q,"message":"t","transient":true},`+
		`{"channel":%q,"message":"y"}]}`, room, room, room)
	for range 2 {
		status, answer := s.apiPost(0, "/_api/batch", batch, "Idempotency-Key: batch "+room)
		s.same("batch", fmt.Sprint(status, seq(s.at(answer))), "2003")
	}
	s.posted(room, `{"message":"fence"}`)
	s.same("once", s.hears(c, room, "once"), first)
	s.hears(c, room, "x")
	s.same("transient", s.hears(c, room, "t"), "nothing")
	s.hears(c, room, "y")
	s.hears(c, room, "fence")
}

func (s *story) historyBad() {
	room := s.kept()
	c := s.events(0)
	c.Act(fmt.Sprintf(`{"join":%q}`, room))
	for _, bad := range []string{`{"limit":1}`, `{"channel":"","limit":1}`, `{"channel":"x","limit":0}`,
		`{"channel":"x","limit":1001}`, `{"channel":"x","limit":"1"}`, `{"channel":"x","before":1}`,
		`{"channel":"x","since":"1-1"}`, `7`, `[]`, `["x"]`, `null`} {
		c.Send(`{"raw":{"history":` + bad + `,"send":"ran"}}`)
		s.says(c, room, "fence")
		if before := c.Until("fence"); len(before) != 0 && bad != "null" {
			s.Errorf("history %s: %q", bad, before)
		}
	}
	for _, bad := range []string{`{"message":1,"transient":1}`, `{"message":1,"transient":null,"x":1}`,
		`{"transient":true}`} {
		if status, answer := s.apiPost(0, "/_api/channels/x/broadcast", bad); status != http.StatusUnprocessableEntity {
			s.Errorf("%s: %d %s", bad, status, answer)
		}
	}
	if status, answer := s.apiPost(0, "/_api/broadcast", `{"message":1,"transient":true}`); status != 422 {
		s.Errorf("transient to everyone: %d %s", status, answer)
	}
}

func (s *story) historyLarge() {
	room := s.kept()
	c, sender := s.resuming(0), s.events(1)
	at := s.at(s.joins(c, room))
	text := strings.Repeat("x", 60<<10) // of 64 KiB
	s.says(sender, room, text)
	first := s.hears(c, room, text)
	back := s.resuming(2)
	s.same("missed", s.field(s.joins(back, room, at), "missed"), "1")
	s.hears(back, room, text)
	huge := strings.Repeat("y", 400<<10)
	for range 3 {
		s.posted(room, nodetest.JSON(map[string]any{"message": huge}))
		s.hears(c, room, huge)
	}
	late := s.resuming(2)
	s.same("1.2 MiB since", s.field(s.joins(late, room, first), "why"), `"too_many"`)
}
