package simulation

import (
	"testing"

	"rollcall/integration_test/simulation/redismodel"
)

// hasty lets any node declare others dead at their deadline.
var hasty = []redismodel.Edit{
	{File: "cluster/scripts/declare.lua", Old: "if not own or tonumber(own) < now then return {} end", New: ""},
	{File: "cluster/scripts/declare.lua", Old: "now - tonumber(ARGV[2])", New: "now"},
}

// TestFlaws: a mistake in a script that runs in Redis is found out.
func TestFlaws(t *testing.T) {
	if raceDetector {
		t.Skip("it is about the checks, and slow; make simulate runs it")
	}
	edit := func(script, old, new string) []redismodel.Edit {
		return []redismodel.Edit{{File: "presence/scripts/" + script, Old: old, New: new}}
	}
	tests := []struct {
		name  string
		first uint64 // of the seeds: one that is known to find it, when nothing else has changed
		flaw  []redismodel.Edit
	}{
		{"writes past their deadline are taken", 52, edit("message.lua",
			"return now() > tonumber(deadline)", "return false")},
		{"generations are not compared", 5018, edit("message.lua",
			"return tonumber(string.match(inc, '%-(%d+)$')) or 0", "return 0")},
		{"a reaper removes what was written again", 42, edit("reap.lua", "cur and owner(cur) == inc", "cur")},
		{"dead at the deadline, whoever asks", 5, hasty},
		{"removals are not published", 5, edit("reap.lua",
			"publish(ARGV[2], ARGV[3], epoch, seq, 'r', ngone, table.concat(gone), #order, table.concat(users))", "")},
		{"a reaper does not wait for what lingers", 80, edit("reap.lua", "if till > time then", "if false then")},
		{"a reaper tells no cause but its own", 66, edit("reap.lua", "local cause = ended or 'node_lost'",
			"local cause = 'node_lost'")},
		{"each leave is told as closed", 1, edit("message.lua", "ns('=' .. cause) .. ns(conn)",
			"ns('=closed') .. ns(conn)")},
		{"last_seen is not written with a leave", 1, edit("message.lua", "then emptied(head, keep, now()) end",
			"then emptied(head, '0', 0) end")},
		{"last_seen is not written by the reaper", 43, edit("reap.lua",
			"then emptied(KEYS[1], ARGV[7], math.min(seen, time)) end", "then emptied(KEYS[1], '0', 0) end")},
		{"users of dead nodes were seen until they were reaped", 43, edit("reap.lua",
			"stayed or ARGV[8] ~= '0' and tonumber(ARGV[8]) or time", "time")},
		{"a join leaves what lingers of its user", 1, edit("join.lua", "if lingers(h[i + 1]) then", "if false then")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { findFlaw(t, NewPlan, test.first, test.flaw) })
	}
}

// findFlaw lives through seeds until one fails.
func findFlaw(t *testing.T, plan func(uint64, int) *Plan, first uint64, flaw []redismodel.Edit) {
	t.Helper()
	for seed := first; seed < first+100; seed++ {
		if r := live(t, plan(seed, 0), flaw...); r.Fault != "" {
			t.Logf("seed %d: %s", seed, r.Fault)
			return
		}
	}
	t.Error("not found in 100 seeds")
}

// TestHistoryFlaws: the same of the scripts of history.
func TestHistoryFlaws(t *testing.T) {
	if raceDetector {
		t.Skip("it is about the checks, and slow; make simulate runs it")
	}
	edit := func(script, old, new string) []redismodel.Edit {
		return []redismodel.Edit{{File: "history/scripts/" + script, Old: old, New: new}}
	}
	tests := []struct {
		name  string
		first uint64
		flaw  []redismodel.Edit
	}{
		{"positions are given again after a wipe", 1, edit("publish.lua",
			"t[1] .. string.sub('00000' .. t[2], -6, -4)", "string.sub(t[1], 1, -4) .. '999000'")},
		{"a repeated call is kept again", 1, edit("publish.lua", "if done then return '=' .. done end", "")},
		{"where the channel stands is not kept", 1, edit("publish.lua",
			"call('SET', place, head, 'KEEPTTL')", "")},
		{"what is kept is not published", 1, edit("publish.lua", "call(arg[3], topic, text)",
			"if arg[i] == '' then call(arg[3], topic, text) end")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { findFlaw(t, NewHistoryPlan, test.first, test.flaw) })
	}
}
