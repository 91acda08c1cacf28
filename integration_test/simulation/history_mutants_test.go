package simulation

// historyMutants would each break Promise 7 (SPEC 7) without any error being seen. Those in scripts are in
// flaws_test.go.
var historyMutants = []mutant{
	{"no fork is seen in the ring", "history/ring.go",
		"case prev != nil && *prev == p.MS:", "case prev != nil:"},
	{"no fork is seen at the ring's end", "history/ring.go",
		"case p == at:", "case p.Seq == at.Seq:"},
	{"the ring is trimmed without saying", "history/ring.go",
		"why != \"\" {\n\t\treturn nil, why\n\t}\n\treturn r.messages[n-(r.at.Seq-p.Seq):], \"\"",
		"why != \"\" && why != TooMany && why != beyond {\n\t\treturn nil, why\n\t}\n" +
			"\treturn r.messages[max(0, n-(r.at.Seq-p.Seq)):], \"\""},
	{"the ring ignores the ttl", "history/ring.go",
		"!now.Before(r.messages[n].Until)", "now.IsZero()"},
	{"a gap is not filled", "history/gate.go",
		"case m.At.MS > g.ring.At().MS && (m.At.Seq == 1 || g.listeners == 0):", "case m.At.Seq > g.ring.At().Seq:"},
	{"the gate opens before Redis was read", "history/gate.go",
		"case !g.sure && (g.listeners > 0 || len(g.waiting) > 0):", "case !g.sure && g.listeners < 0:"},
	{"a ring refuses without having asked Redis", "history/gate.go",
		"case !w.asked:", "case !w.asked && a.Why == beyond:"},
	{"a ring is given back while somebody waits", "history/gate.go",
		"if len(g.waiting) == 0 {\n\t\tg.ring.Forget()\n\t}", "g.ring.Forget()"},
	{"the gate does not hear of breaks", "hub/room.go",
		"g.Broke(); return nil", "return nil"},
	{"a late refusal is not told", "hub/feed.go",
		"if m.late && rec.Asked && !rec.Recovered {", "if false {"},
	{"a transient message is kept", "hub/hub.go",
		"if !kept || v.Transient {", "if !kept {"},
	{"a message is published apart from being kept", "history/store.go",
		"answer, err := s.redis.Process(ctx, s.PublishCommand(ctx, channel, p, nil, Outgoing{Broadcast: b}))",
		`cmd := s.PublishCommand(ctx, channel, p, nil, Outgoing{Broadcast: b})
		cmd.Args()[8] = "exists" // in place of publish
		answer, err := s.redis.Process(ctx, cmd)
		held, _ := s.Read(ctx, channel, p, ReadAll)
		for _, m := range held.Messages {
			if m.At.String() == answer {
				_, err = s.redis.Process(ctx, redis.NewCmd(ctx, "publish", s.keys.Topic(channel),
					fmt.Sprint(b.Head(), m.At, "-", m.Prev, " ", b.Text)))
			}
		}`},
}
