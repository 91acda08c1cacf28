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
		{"generations are not compared", 125, edit("message.lua",
			"return tonumber(string.match(inc, '%-(%d+)$')) or 0", "return 0")},
		{"a reaper removes what was written again", 30, edit("reap.lua", "cur and owner(cur) == inc", "cur")},
		{"dead at the deadline, whoever asks", 5, hasty},
		{"removals are not published", 5, edit("reap.lua",
			"publish(ARGV[2], ARGV[3], epoch, seq, 'r', ngone, table.concat(gone), #order, table.concat(users))", "")},
		{"a reaper does not wait for what lingers", 80, edit("reap.lua", "if till > time then", "if false then")},
		{"a join leaves what lingers of its user", 1, edit("join.lua", "if lingers(h[i + 1]) then", "if false then")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for seed := test.first; seed < test.first+100; seed++ {
				if r := live(t, NewPlan(seed, 0), test.flaw...); r.Fault != "" {
					t.Logf("seed %d: %s", seed, r.Fault)
					return
				}
			}
			t.Error("not found in 100 seeds")
		})
	}
}
