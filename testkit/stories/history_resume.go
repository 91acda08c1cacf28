package stories

import (
	"encoding/base64"
	"fmt"
	"strings"

	"rollcall/testkit/nodetest"
)

func (s *story) historyResume() {
	room, second, other := s.kept(), s.kept(), s.name("not kept")
	c, sender := s.resuming(0), s.events(1)
	at := s.at(s.joins(c, room))
	atSecond := s.at(s.joins(c, second))
	s.says(sender, room, 1, 2)
	s.says(sender, second, "a")
	value := positions(room, at, second, atSecond, other, "1-1")
	first := fmt.Sprintf(`{"join":[%q,{"channel":%q,"since":%q},%q]}`, room, second, "1-1", other)
	for _, padded := range []string{"", "=", "=="} {
		back := s.resuming(2, "resume", value+padded, "first", first)
		answer := back.Next()
		s.same("by the parameter", s.field(answer, "channel")+s.field(answer, "missed")+s.at(answer),
			nodetest.JSON(room)+"2"+at)
		s.hears(back, room, 1)
		s.hears(back, room, 2)
		answer = back.Next()
		s.same("since decides otherwise", s.field(answer, "channel")+s.field(answer, "why"), nodetest.JSON(second)+`"fork"`)
	}
	// Handlers see it, and it counts for the first join alone.
	told := s.resuming(1, "resume", value, "told", "1")
	s.same("event.resume", s.field(told.Next(), "resume", room), nodetest.JSON(at))
	s.same("missed", s.field(s.joins(told, room), "missed"), "2")
	s.hears(told, room, 1)
	s.hears(told, room, 2)
	told.Act(fmt.Sprintf(`{"leave":%q}`, room))
	s.same("at the second join", s.field(s.joins(told, room), "recovered"), "nothing")
	plain := s.events(1, "resume", value, "told", "1")
	plain.Expect(`{"resume":null}`)
}

func (s *story) historyResumeBad() {
	room := s.kept()
	at := s.at(s.joins(s.resuming(0), room))
	s.says(s.events(1), room, 1)
	encode := base64.RawURLEncoding.EncodeToString
	many := func(n int) string {
		all := []string{room, at}
		for i := range n - 1 {
			all = append(all, fmt.Sprint("c", i), "1-1")
		}
		return positions(all...)
	}
	for name, value := range map[string]string{"65 channels": many(65), "no base64": "%%%", "standard base64": "e30+/w",
		"no JSON": encode([]byte("{")), "an array": encode([]byte(`["1-1"]`)), "null": encode([]byte("null")),
		"a number":        encode([]byte(fmt.Sprintf(`{%q:7}`, room))),
		"no position":     encode([]byte(fmt.Sprintf(`{%q:"1"}`, room))),
		"a name twice":    encode([]byte(fmt.Sprintf(`{%q:%q,%q:%q}`, room, at, room, at))),
		"a bad channel":   positions(room, at, "a\x00", "1-1"),
		"no UTF-8":        encode([]byte("{\"\xff\":\"1-1\"}")),
		"more than 4 KiB": positions(room, at, strings.Repeat("x", 200), strings.Repeat("1", 3000)),
		"deep":            encode([]byte(strings.Repeat("[", 1000)))} {
		c := s.resuming(1, "resume", value, "told", "1")
		c.Expect(`{"resume":null}`)
		s.same(name, s.field(s.joins(c, room), "recovered"), "nothing")
		c.Leave(1000, "")
	}
	s.Logs[1].Await(s, "that it is not readable",
		func(l nodetest.Line) bool { return l.Is("resume parameter is not readable") })
	c := s.resuming(1, "resume", many(64), "told", "1")
	c.Next()
	s.same("64 channels", s.field(s.joins(c, room), "missed"), "1")
}
